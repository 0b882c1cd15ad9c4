/* SPDX-License-Identifier: Apache-2.0
 *
 * DWConv - Conv with as many groups as the channels allow: gcd(input channels, output channels). */
#include "model/builder.h"

static int64_t gcd(int64_t a, int64_t b)
{
    return b ? gcd(b, a % b) : a;
}

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    int64_t c_out = arg_int(a, "c_out");
    return build_conv(b, "", in[0],
                      (ConvOpt) { .c_out = c_out,
                                  .k = arg_int(a, "k"),
                                  .stride = arg_int(a, "s"),
                                  .groups = gcd(value_dim(b->g, in[0], 1), c_out),
                                  .dilation = arg_int(a, "d"),
                                  .act = arg_act(a, "act") });
}

const ModuleDef module_DWConv = {
    .name = "DWConv",
    .doc = "depthwise Conv",
    .args = "c_out:channels k:int[1,99]=1 s:int[1,64]=1 d:int[1,64]=1 act:act=true",
    .build = build,
    .cases = "x[2,4,5,6] train=1 args=[8, 3, 2]\n",
};
