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

/* 1x1 convolution of a pooled map [N,C,1,1] to c_out values. */
static Value dense(Builder *b, const char *name, Value x, int64_t c_out, bool bias)
{
    const char *outer = graph_push(b->g, "%s", name);
    Value w =
        graph_param(b->g, "weight", PARAM_WEIGHT, SHAPE(c_out, value_dim(b->g, x, 1), 1, 1), kaiming_out(c_out, 1));
    Value c = bias ? graph_param(b->g, "bias", PARAM_BIAS, SHAPE(c_out), (Init) { INIT_CONST, 0 }) : (Value) { 0 };
    Value y = build_op(b, "conv2d", INS(x, w, c), NO_ATTRS);
    graph_pop(b->g, outer);
    return y;
}

typedef struct Attention {
    Value channel, filter, spatial, kernel; /* [N,C|O|k*k|K,1,1]; void where there is nothing to weigh */
} Attention;

static Value head(Builder *b, const char *name, Value h, Value temperature, int64_t n, bool softmax)
{
    Value z = build_op(b, "div", INS(dense(b, name, h, n, true), temperature), NO_ATTRS);
    return softmax ? build_op(b, "softmax", INS(z), ATTRS(A_INT("dim", 1))) : build_op(b, "sigmoid", INS(z), NO_ATTRS);
}

static Attention attend(Builder *b, Value x, const OdconvOpt *o)
{
    enum { LEAST = 16 };
    int64_t c_in = value_dim(b->g, x, 1), width = MAX((int64_t)((double)c_in * o->reduction), LEAST);
    bool depthwise = c_in == o->groups && c_in == o->c_out;
    Attention a = { 0 };
    const char *outer = graph_push(b->g, "attention"), *fc = graph_push(b->g, "fc");
    build_leaf(b);
    Value h = build_op(b, "gap", INS(x), ATTRS(A_TEXT("out", "f32"), A_INT("layer", 1)));
    h = build_batchnorm(b, "bn", dense(b, "conv", h, width, false));
    graph_pop(b->g, fc);
    build_leaf(b);
    h = build_op(b, "relu", INS(h), NO_ATTRS);
    /* The official training falls from 30 to 1 in ten epochs; the recipe constructs it with 1 and never moves it. */
    Value t = build_schedule(b, "temperature", (ScheduleSpec) { .start = 30, .end = 1, .epochs = 10, .published = 1 });
    a.channel = head(b, "channel_fc", h, t, c_in, false);
    if (!depthwise) a.filter = head(b, "filter_fc", h, t, o->c_out, false);
    if (o->k > 1) a.spatial = head(b, "spatial_fc", h, t, o->k * o->k, false);
    if (o->kernels > 1) a.kernel = head(b, "kernel_fc", h, t, o->kernels, true);
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
    int64_t c_in = value_dim(b->g, x, 1);
    if (!value_ok(x)) return x;
    if (c_in % o.groups || o.c_out % o.groups) {
        graph_fail(b->g, DYN_SHAPE, "%lld groups do not divide %lld input and %lld output channels",
                   (long long)o.groups, (long long)c_in, (long long)o.c_out);
        return (Value) { 0 };
    }
    Value w = graph_param(b->g, "weight", PARAM_WEIGHT, SHAPE(o.kernels, o.c_out, c_in / o.groups, o.k, o.k),
                          kaiming_out(o.c_out, o.k));
    Attention a = attend(b, x, &o);
    begins_plain(b, &a);
    return build_op(b, "dynconv2d", INS(x, w, a.kernel, { 0 }, a.channel, a.filter, a.spatial),
                    ATTRS(A_INT("stride", o.stride), A_INT("pad", o.pad), A_INT("dilation", o.dilation),
                          A_INT("groups", o.groups)));
}

Value odconv_bn_act(Builder *b, const char *name, Value x, OdconvOpt o)
{
    const char *outer = *name ? graph_push(b->g, "%s", name) : graph_scope(b->g);
    Value y = build_act(b, build_batchnorm(b, "bn", odconv(b, x, o)), o.act);
    graph_pop(b->g, outer);
    return y;
}
