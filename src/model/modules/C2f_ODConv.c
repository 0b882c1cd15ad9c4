/* SPDX-License-Identifier: Apache-2.0
 *
 * C2f_ODConv - C2f whose bottlenecks' two 3x3 convolutions are ODConv2d (dynamic modules, D.8: the recipe prints a
 * snippet that cannot run; this is what its name says). */
#include "model/modules/blocks_util.h"
#include "model/modules/odconv_util.h"

static Value bottleneck(Builder *b, int64_t i, Value x, OdconvOpt o, int64_t groups, bool shortcut)
{
    const char *outer = graph_push(b->g, "m.%lld", (long long)i);
    Value y = odconv_bn_act(b, "cv1", x, o);
    o.bank.groups = groups;
    y = odconv_bn_act(b, "cv2", y, o);
    if (shortcut) y = build_add(b, x, y);
    graph_pop(b->g, outer);
    return y;
}

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    int64_t c = arg_int(a, "c_out"), n = arg_int(a, "n"), h = block_hidden(c, arg_float(a, "e"));
    ConvOpt last = { .c_out = c };
    BankOpt k3 = {
        .c_out = h, .k = 3, .stride = 1, .pad = 1, .dilation = 1, .groups = 1, .experts = arg_int(a, "kernel_num")
    };
    OdconvOpt o = { .bank = k3, .reduction = arg_float(a, "reduction") };
    Value part[2 + MAX_REPEAT];
    build_split(b, build_conv(b, "cv1", in[0], (ConvOpt) { .c_out = 2 * h }), 2, part);
    build_conv_declare(b, "cv2", (2 + n) * h, last);
    for (int64_t i = 0; i < n; i++)
        part[2 + i] = bottleneck(b, i, part[1 + i], o, arg_int(a, "g"), arg_bool(a, "shortcut"));
    return build_conv(b, "cv2", build_concat(b, part, (int)(2 + n)), last);
}

const ModuleDef module_C2f_ODConv = {
    .name = "C2f_ODConv",
    .doc = "C2f with omni-dimensional dynamic convolutions in its bottlenecks",
    .args = "c_out:channels n:repeat shortcut:bool=false g:int[1,]=1 e:float[0.001,16]=0.5 kernel_num:int[1,64]=1 "
            "reduction:float[0,1]=0.0625",
    .build = build,
    .cases = "x[2,4,5,3] train=0 temperature=1 repeat=2 args=[8, true, {kernel_num: 4}]\n",
};
