/* SPDX-License-Identifier: Apache-2.0
 *
 * Four attentions from one small branch: pooled input, 1x1 convolution, BatchNorm, ReLU, then one 1x1 convolution each
 * for input channels, output channels, taps and kernels. The branch is f32 in every program. All K kernels share the
 * first three attentions, as the released code does (the paper's notation has one set each). */
#include "model/modules/odconv_util.h"

#include <math.h>

/* Kaiming's normal distribution over the fan-out, for ReLU. */
static Init kaiming_out(int64_t c_out, int64_t k)
{
    return (Init) { INIT_NORMAL, sqrt(2 / ((double)c_out * (double)k * (double)k)) };
}

static DenseOpt layer(int64_t c_out, bool has_bias)
{
    return (DenseOpt) { c_out, kaiming_out(c_out, 1), { INIT_CONST, 0 }, has_bias, false };
}

typedef struct Attention {
    Value channel, filter, spatial, kernel; /* [N,C|O|k*k|K,1,1]; void where there is nothing to weigh */
} Attention;

static Value head(Builder *b, const char *name, Value h, Value temperature, int64_t n, bool softmax)
{
    Value z = build_op(b, "div", INS(dense(b, name, h, layer(n, true)), temperature), NO_ATTRS);
    return softmax ? build_op(b, "softmax", INS(z), ATTRS(A_INT("dim", 1))) : build_op(b, "sigmoid", INS(z), NO_ATTRS);
}

static Attention attend(Builder *b, Value x, const OdconvOpt *o)
{
    enum { LEAST = 16 };
    int64_t c_in = value_dim(b->g, x, 1), width = MAX((int64_t)((double)c_in * o->reduction), LEAST);
    bool depthwise = c_in == o->bank.groups && c_in == o->bank.c_out;
    Attention a = { 0 };
    const char *outer = graph_push(b->g, "attention"), *fc = graph_push(b->g, "fc");
    build_leaf(b);
    Value h = pooled(b, x, true);
    h = build_batchnorm(b, "bn", dense(b, "conv", h, layer(width, false)));
    graph_pop(b->g, fc);
    build_leaf(b);
    h = build_op(b, "relu", INS(h), NO_ATTRS);
    /* The official training falls from 30 to 1 in ten epochs; the recipe constructs it with 1 and never moves it. */
    Value t = build_schedule(b, "temperature", (ScheduleSpec) { .start = 30, .end = 1, .epochs = 10, .published = 1 });
    a.channel = head(b, "channel_fc", h, t, c_in, false);
    if (!depthwise) a.filter = head(b, "filter_fc", h, t, o->bank.c_out, false);
    if (o->bank.k > 1) a.spatial = head(b, "spatial_fc", h, t, o->bank.k * o->bank.k, false);
    if (o->bank.experts > 1) a.kernel = head(b, "kernel_fc", h, t, o->bank.experts, true);
    graph_pop(b->g, outer);
    return a;
}

/* With the last layers of the attentions at zero each sigmoid is one half everywhere, which the kernels make up for,
 * and the mix of kernels is even: it begins as the plain convolution, at any temperature. */
static void begins_plain(Builder *b, const Attention *a)
{
    const struct {
        Value v;
        const char *name;
        double gain;
    } part[] = { { a->channel, "attention.channel_fc", 2 },
                 { a->filter, "attention.filter_fc", 2 },
                 { a->spatial, "attention.spatial_fc", 2 },
                 { a->kernel, "attention.kernel_fc", 1 } };
    double gain = 1;
    for (size_t i = 0; i < COUNT_OF(part); i++) {
        if (!value_ok(part[i].v)) continue;
        build_plain_zero(b, part[i].name, "conv.weight");
        gain *= part[i].gain;
    }
    build_plain(b, "weight", "conv.weight", gain);
}

Value odconv(Builder *b, Value x, OdconvOpt o)
{
    const BankOpt *k = &o.bank;
    if (bank_fan_in(b, x, *k) <= 0) return (Value) { 0 };
    Value w = graph_param(b->g, "weight", PARAM_WEIGHT,
                          SHAPE(k->experts, k->c_out, value_dim(b->g, x, 1) / k->groups, k->k, k->k),
                          kaiming_out(k->c_out, k->k));
    Attention a = attend(b, x, &o);
    begins_plain(b, &a);
    return bank_conv(b, INS(x, w, a.kernel, { 0 }, a.channel, a.filter, a.spatial), *k);
}

Value odconv_bn_act(Builder *b, const char *name, Value x, OdconvOpt o)
{
    const char *outer = build_scope(b, name);
    Value y = build_act(b, build_batchnorm(b, "bn", odconv(b, x, o)), o.act);
    graph_pop(b->g, outer);
    return y;
}
