/* SPDX-License-Identifier: Apache-2.0
 *
 * Bottleneck - two convolutions and a shortcut (spec 2.2), and the chain of them that C2f, C2 and C3 hold. */
#include "model/modules/blocks_util.h"

int64_t block_hidden(int64_t c, double e)
{
    int64_t h = (int64_t)((double)c * e);
    return MAX(h, 1);
}

Value block_bottleneck(Builder *b, const char *name, Value x, BottleneckOpt o)
{
    const char *outer = build_scope(b, name);
    Value y = build_conv(b, "cv1", x, (ConvOpt) { .c_out = o.hidden, .k = o.k0 });
    y = build_conv(b, "cv2", y, (ConvOpt) { .c_out = o.c_out, .k = o.k1, .groups = o.groups });
    if (o.shortcut && value_dim(b->g, x, 1) == o.c_out) y = build_add(b, x, y);
    graph_pop(b->g, outer);
    return y;
}

Value block_bottlenecks(Builder *b, Value x, int64_t n, BottleneckOpt o, Value *out)
{
    for (int64_t i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "m.%lld", (long long)i);
        x = block_bottleneck(b, name, x, o);
        if (out) out[i] = x;
    }
    return x;
}

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    int64_t c = arg_int(a, "c_out");
    const int64_t *k;
    if (arg_ints(a, "k", &k) != 2) {
        graph_fail(b->g, DYN_FORMAT, "Bottleneck takes two kernel sizes, e.g. [3, 3]");
        return (Value) { 0 };
    }
    return block_bottleneck(b, "", in[0],
                            (BottleneckOpt) { .c_out = c,
                                              .hidden = block_hidden(c, arg_float(a, "e")),
                                              .k0 = k[0],
                                              .k1 = k[1],
                                              .groups = arg_int(a, "g"),
                                              .shortcut = arg_bool(a, "shortcut") });
}

const ModuleDef module_Bottleneck = {
    .name = "Bottleneck",
    .doc = "two convolutions with a shortcut",
    .args = "c_out:channels shortcut:bool=true g:int[1,]=1 k:ints[1,99]=3,3 e:float[0.001,16]=0.5",
    .build = build,
    .cases = "x[2,4,5,6] train=1 args=[4]\n",
};
