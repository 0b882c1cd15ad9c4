/* SPDX-License-Identifier: Apache-2.0
 *
 * nn.ReLU - the activation as a row of its own. */
#include "model/builder.h"

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    return build_act(b, in[0], (Act) { .kind = ACT_OP, .op = "relu" });
}

const ModuleDef module_nn_ReLU = {
    .name = "nn.ReLU",
    .doc = "activation",
    .args = "inplace:bool=false",
    .build = build,
};
