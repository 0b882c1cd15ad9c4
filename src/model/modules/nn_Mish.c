/* SPDX-License-Identifier: Apache-2.0
 *
 * nn.Mish - the activation as a row of its own. */
#include "model/builder.h"

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    return build_act(b, in[0], (Act) { .kind = ACT_OP, .op = "mish" });
}

const ModuleDef module_nn_Mish = {
    .name = "nn.Mish",
    .doc = "activation",
    .args = "inplace:bool=false",
    .build = build,
};
