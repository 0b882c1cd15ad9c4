/* SPDX-License-Identifier: Apache-2.0
 *
 * Dynamic_conv2d - a convolution whose kernel is a softmax-weighed mix of K (dynamic modules, A; Chen et al., CVPR
 * 2020, arXiv 1912.03458). Bare, as the recipe has it: no BatchNorm, no activation, padding 0. DynConv2dBnAct is the
 * layer for Conv's place. */
#include "model/modules/dynamic_util.h"

#include <math.h>

/* The recipe's own rows put Conv's [c2, k, s] here, where the third place is the ratio. */
static void warn_of_order(Builder *b, const ModuleArgs *a)
{
    double ratio = arg_float(a, "ratio");
    if (ratio < 1 || ratio != floor(ratio)) return;
    build_warn(
        b,
        "ratio=%g gives the attention %gx the input's width, with stride %lld and padding %lld: the third argument "
        "is no stride as in Conv. Write [out_planes, %lld, {stride: %g, padding: %lld}], or take DynConv2dBnAct, "
        "which has Conv's order",
        ratio, ratio, (long long)arg_int(a, "stride"), (long long)arg_int(a, "padding"),
        (long long)arg_int(a, "kernel_size"), ratio, (long long)arg_int(a, "kernel_size") / 2);
}

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    warn_of_order(b, a);
    if (!arg_bool(a, "init_weight")) {
        graph_fail(b->g, DYN_UNSUPPORTED, "init_weight=false would leave the kernels without initial values");
        return (Value) { 0 };
    }
    return dynamic_conv(b, "", in[0],
                        (BankOpt) { .c_out = arg_int(a, "out_planes"),
                                    .k = arg_int(a, "kernel_size"),
                                    .stride = arg_int(a, "stride"),
                                    .pad = arg_int(a, "padding"),
                                    .dilation = arg_int(a, "dilation"),
                                    .groups = arg_int(a, "groups"),
                                    .experts = arg_int(a, "K"),
                                    .bias = arg_bool(a, "bias") },
                        (AttentionOpt) { .ratio = arg_float(a, "ratio"),
                                         .temperature = arg_float(a, "temperature"),
                                         .hidden_plus_one = arg_bool(a, "hidden_plus_one"),
                                         .fc2_bias = arg_bool(a, "fc2_bias") });
}

const ModuleDef module_Dynamic_conv2d = {
    .name = "Dynamic_conv2d",
    .doc = "convolution with a softmax-weighed mix of K kernels, bare",
    .args = "out_planes:channels kernel_size:int[1,99] ratio:float[0,64]=0.25 stride:int[1,64]=1 padding:int[0,99]=0 "
            "dilation:int[1,64]=1 groups:int[1,]=1 bias:bool=true K:int[1,64]=4 temperature:float[1,]=34 "
            "init_weight:bool=true hidden_plus_one:bool=false fc2_bias:bool=false",
    .build = build,
    .cases = "x[2,4,5,6] args=[6, 3, 0.5, 2, 1, {temperature: 4}]\n"
             "x[1,4,3,5] args=[4, 3, {groups: 2, K: 1}]\n",
};
