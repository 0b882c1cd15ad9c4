/* SPDX-License-Identifier: Apache-2.0
 *
 * nn.Tanh - the activation as a row of its own. */
#include "model/builder.h"

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    return build_act(b, in[0], (Act) { .kind = ACT_OP, .op = "tanh" });
}

const ModuleDef module_nn_Tanh = {
    .name = "nn.Tanh",
    .doc = "activation",
    .args = "",
    .build = build,
};
