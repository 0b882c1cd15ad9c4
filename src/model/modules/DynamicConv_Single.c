/* SPDX-License-Identifier: Apache-2.0
 *
 * DynamicConv_Single - CondConv: a convolution whose kernel is a sum of experts, each behind a sigmoid gate of its own
 * (dynamic modules, B.1; Yang et al., NeurIPS 2019, arXiv 1904.04971). padding is '' ("same" for stride 1), same
 * (TensorFlow's), valid, or a number. */
#include "model/modules/dynamic_util.h"

/* Spec B.2. '' is kept from null by nothing: both are the default. */
static bool read_padding(const ModuleArgs *a, BankOpt *o)
{
    int64_t reach = o->dilation * (o->k - 1);
    const char *text = arg_null(a, "padding") ? "" : arg_text(a, "padding");
    bool same = str_eq(text, "same");
    o->same = same && (o->stride > 1 || reach % 2);
    if (!*text || same)
        o->pad = o->same ? 0 : (o->stride - 1 + reach) / 2;
    else if (str_eq(text, "valid"))
        o->pad = 0;
    else
        return str_to_int(text, &o->pad) && o->pad >= 0 && o->pad <= 99;
    return true;
}

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    BankOpt o = { .c_out = arg_int(a, "out_features"),
                  .k = arg_int(a, "kernel_size"),
                  .stride = arg_int(a, "stride"),
                  .dilation = arg_int(a, "dilation"),
                  .groups = arg_int(a, "groups"),
                  .experts = arg_int(a, "num_experts"),
                  .bias = arg_bool(a, "bias") };
    if (read_padding(a, &o)) {
        Value y = cond_conv(b, "", in[0], o);
        cond_conv_plain(b, "", "", o);
        return y;
    }
    graph_fail(b->g, DYN_FORMAT, "padding must be '', same, valid or a number from 0 to 99, not %s",
               arg_text(a, "padding"));
    return (Value) { 0 };
}

const ModuleDef module_DynamicConv_Single = {
    .name = "DynamicConv_Single",
    .doc = "convolution with a sigmoid-gated sum of expert kernels, bare",
    .args = "out_features:channels kernel_size:int[1,99]=1 stride:int[1,64]=1 padding:text?=null dilation:int[1,64]=1 "
            "groups:int[1,]=1 bias:bool=false num_experts:int[1,64]=4",
    .build = build,
    .cases = "x[2,4,5,6] args=[6, 3, 2, same, {bias: true}]\n",
};
