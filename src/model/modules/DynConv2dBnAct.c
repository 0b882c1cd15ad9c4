/* SPDX-License-Identifier: Apache-2.0
 *
 * DynConv2dBnAct - Dynamic_conv2d without bias, BatchNorm2d, activation, in Conv's order of arguments (dynamic modules,
 * A.8): what takes Conv's place one for one. */
#include "model/modules/dynamic_util.h"

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    Value y = dynamic_conv(b, "conv", in[0], bank_in_conv_order(a, "K"),
                           (AttentionOpt) { .ratio = arg_float(a, "ratio"),
                                            .temperature = arg_float(a, "temperature"),
                                            .hidden_plus_one = arg_bool(a, "hidden_plus_one"),
                                            .fc2_bias = arg_bool(a, "fc2_bias") });
    return build_act(b, build_batchnorm(b, "bn", y), arg_act(a, "act"));
}

const ModuleDef module_DynConv2dBnAct = {
    .name = "DynConv2dBnAct",
    .doc = "Dynamic_conv2d, batch normalisation, activation",
    .args = "c_out:channels k:int[1,99]=1 s:int[1,64]=1 p:int[0,99]?=null g:int[1,]=1 d:int[1,64]=1 act:act=true "
            "K:int[1,64]=4 ratio:float[0,64]=0.25 temperature:float[1,]=34 hidden_plus_one:bool=false "
            "fc2_bias:bool=false",
    .build = build,
    .cases = "x[2,4,5,6] train=1 args=[6, 3, 2]\n"
             "x[1,6,3,5] train=0 args=[4, 3, {ratio: 0.5, temperature: 1}]\n",
};
