/* SPDX-License-Identifier: Apache-2.0
 *
 * nn.LeakyReLU - the activation as a row of its own. */
#include "model/builder.h"

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    return build_act(b, in[0], (Act) { .kind = ACT_OP, .op = "leaky_relu", .slope = arg_float(a, "negative_slope") });
}

const ModuleDef module_nn_LeakyReLU = {
    .name = "nn.LeakyReLU",
    .doc = "activation",
    .args = "negative_slope:float[0,1]=0.01 inplace:bool=false",
    .build = build,
};
