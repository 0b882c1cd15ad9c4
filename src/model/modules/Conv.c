/* SPDX-License-Identifier: Apache-2.0
 *
 * Conv - convolution, BatchNorm2d, activation (spec 2.1). p null: "same" for odd kernels. */
#include "model/builder.h"

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    return build_conv(b, "", in[0],
                      (ConvOpt) { .c_out = arg_int(a, "c_out"),
                                  .k = arg_int(a, "k"),
                                  .stride = arg_int(a, "s"),
                                  .pad = arg_null(a, "p") ? 0 : arg_int(a, "p"),
                                  .pad_given = !arg_null(a, "p"),
                                  .groups = arg_int(a, "g"),
                                  .dilation = arg_int(a, "d"),
                                  .act = arg_act(a, "act") });
}

const ModuleDef module_Conv = {
    .name = "Conv",
    .doc = "convolution, batch normalisation, activation",
    .args = "c_out:channels k:int[1,99]=1 s:int[1,64]=1 p:int[0,99]?=null g:int[1,]=1 d:int[1,64]=1 act:act=true",
    .build = build,
    .cases = "x[2,4,5,6] train=1 args=[6, 3, 2]\n"
             "x[1,4,5,3] train=0 args=[4, 3, {g: 2, act: nn.ReLU()}]\n",
};
