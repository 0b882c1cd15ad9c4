/* SPDX-License-Identifier: Apache-2.0
 *
 * DynamicBnAct - DynamicConv, which has a BatchNorm and SiLU already, then BatchNorm2d and an activation, and a
 * shortcut (dynamic modules, B.4). The doubling is the recipe's own; so is the fourth argument, a dilation. The
 * shortcut is there where skip is set and stride and channels allow it; drop_path leaves the branch out for a random
 * part of the samples of a training batch. */
#include "model/modules/dynamic_util.h"

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    int64_t c = arg_int(a, "out_chs"), k = arg_int(a, "kernel_size"), d = arg_int(a, "dilation"),
            s = arg_int(a, "stride");
    double rate = arg_float(a, "drop_path_rate");
    BankOpt o = { .c_out = c,
                  .k = k,
                  .stride = s,
                  .pad = arg_null(a, "pad_type") ? build_same_pad(k, d) : arg_int(a, "pad_type"),
                  .dilation = d,
                  .groups = 1,
                  .experts = arg_int(a, "num_experts") };
    if (d > 1 && d == k / 2 && s > 1)
        build_warn(b, "dilation=%lld: the fourth argument is no padding as in Conv", (long long)d);
    Value y = cond_conv_bn_act(b, "conv", in[0], o, (Act) { .kind = ACT_OP, .op = "silu" });
    y = build_act(b, build_batchnorm(b, "bn1", y), arg_act(a, "act_layer"));
    if (!arg_bool(a, "skip") || s != 1 || value_dim(b->g, in[0], 1) != c) return y;
    if (rate > 0) y = build_op(b, "drop_path", INS(y), ATTRS(A_FLOAT("rate", rate)));
    return build_add(b, y, in[0]);
}

const ModuleDef module_DynamicBnAct = {
    .name = "DynamicBnAct",
    .doc = "DynamicConv, batch normalisation, activation, shortcut",
    .args = "out_chs:channels kernel_size:int[1,99] stride:int[1,64]=1 dilation:int[1,64]=1 pad_type:int[0,99]?=null "
            "skip:bool=false act_layer:act=nn.ReLU() norm_layer:text(nn.BatchNorm2d|BatchNorm2d)=nn.BatchNorm2d "
            "drop_path_rate:float[0,0.999]=0 num_experts:int[1,64]=4",
    .build = build,
    .cases = "x[2,4,5,6] train=0 args=[4, 3, {skip: true}]\n",
};
