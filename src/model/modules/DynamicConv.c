/* SPDX-License-Identifier: Apache-2.0
 *
 * DynamicConv - DynamicConv_Single, BatchNorm2d, activation, in Conv's order of arguments (dynamic modules, B.3). Its
 * activation is SiLU whatever the description's key `activation` says: the reference's layer has its own. */
#include "model/modules/dynamic_util.h"

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    Act act = arg_act(a, "act");
    if (act.kind == ACT_DEFAULT) act = (Act) { .kind = ACT_OP, .op = "silu" };
    return cond_conv_bn_act(b, "", in[0], bank_in_conv_order(a, "num_experts"), act);
}

const ModuleDef module_DynamicConv = {
    .name = "DynamicConv",
    .doc = "DynamicConv_Single, batch normalisation, activation",
    .args = "c_out:channels k:int[1,99]=1 s:int[1,64]=1 p:int[0,99]?=null g:int[1,]=1 d:int[1,64]=1 act:act=true "
            "num_experts:int[1,64]=4",
    .build = build,
    .cases = "x[2,4,5,6] train=1 args=[6, 3, 2]\n"
             "x[1,4,3,5] train=0 args=[4, 3, {num_experts: 1}]\n",
};
