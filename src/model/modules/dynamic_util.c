/* SPDX-License-Identifier: Apache-2.0
 *
 * The two branches over a bank of kernels, softmax attention and sigmoid gates. */
#include "model/modules/dynamic_util.h"

#include <math.h>

BankOpt bank_in_conv_order(const ModuleArgs *a, const char *experts)
{
    int64_t k = arg_int(a, "k"), d = arg_int(a, "d");
    return (BankOpt) { .c_out = arg_int(a, "c_out"),
                       .k = k,
                       .stride = arg_int(a, "s"),
                       .pad = arg_null(a, "p") ? build_same_pad(k, d) : arg_int(a, "p"),
                       .dilation = d,
                       .groups = arg_int(a, "g"),
                       .experts = arg_int(a, experts) };
}

double bank_fan_in(Builder *b, Value x, BankOpt o)
{
    int64_t c = value_dim(b->g, x, 1);
    if (c <= 0) return 0;
    return build_groups_fit(b, c, o.c_out, o.groups) ? (double)(c / o.groups) * (double)(o.k * o.k) : 0;
}

Value pooled(Builder *b, Value x, bool layer)
{
    return build_op(b, "gap", INS(x), ATTRS(A_TEXT("out", "f32"), A_INT("layer", layer)));
}

Value dense(Builder *b, const char *name, Value x, DenseOpt o)
{
    int64_t in = value_dim(b->g, x, 1);
    if (in <= 0) return (Value) { 0 };
    const char *outer = build_scope(b, name);
    Value w = graph_param(b->g, "weight", PARAM_WEIGHT, SHAPE(o.out, in, 1, 1), o.weight), c = { 0 };
    if (o.linear) graph_param_file_shape(b->g, w, SHAPE(o.out, in));
    if (o.has_bias) c = graph_param(b->g, "bias", PARAM_BIAS, SHAPE(o.out), o.bias);
    Value y = build_op(b, "conv2d", INS(x, w, c), NO_ATTRS);
    graph_pop(b->g, outer);
    return y;
}

Value bank_conv(Builder *b, const Value *in, int n_in, BankOpt o)
{
    return build_op(b, "dynconv2d", in, n_in,
                    ATTRS(A_INT("stride", o.stride), A_INT("pad", o.pad), A_INT("dilation", o.dilation),
                          A_INT("groups", o.groups), A_INT("same", o.same)));
}

/* ---- softmax attention (A) --------------------------------------------------------------------------------------- */

/* The reference gives an image, its only input of 3 channels, as many hidden units as kernels. */
static int64_t hidden_width(int64_t c, int64_t experts, AttentionOpt t)
{
    return c == 3 ? experts : (int64_t)((double)c * t.ratio) + t.hidden_plus_one;
}

static Value attention(Builder *b, Value x, int64_t experts, AttentionOpt t)
{
    int64_t c = value_dim(b->g, x, 1), h = hidden_width(c, experts, t);
    if (c <= 0) return (Value) { 0 };
    if (h < 1) {
        graph_fail(b->g, DYN_SHAPE,
                   "its attention has no hidden unit: ratio %g of %lld input channels; at least %.4g is needed",
                   t.ratio, (long long)c, 1 / (double)c);
        return (Value) { 0 };
    }
    const char *outer = graph_push(b->g, "attention");
    Value z = pooled(b, x, true);
    build_leaf(b);
    z = dense(b, "fc1", z, (DenseOpt) { .out = h, .weight = { INIT_NORMAL, sqrt(2 / (double)h) } });
    z = build_op(b, "relu", INS(z), NO_ATTRS);
    z = dense(b, "fc2", z,
              (DenseOpt) { .out = experts,
                           .weight = { INIT_NORMAL, sqrt(2 / (double)experts) },
                           .bias = { INIT_CONST, 0 },
                           .has_bias = t.fc2_bias });
    Value temperature = build_schedule(
        b, "temperature", (ScheduleSpec) { .start = t.temperature, .end = 1, .step = 3, .published = t.temperature });
    z = build_op(b, "softmax", INS(build_op(b, "div", INS(z, temperature), NO_ATTRS)), ATTRS(A_INT("dim", 1)));
    graph_pop(b->g, outer);
    return z;
}

Value dynamic_conv(Builder *b, const char *name, Value x, BankOpt o, AttentionOpt t)
{
    double fan_in = bank_fan_in(b, x, o);
    if (fan_in <= 0) return (Value) { 0 };
    const char *outer = build_scope(b, name);
    Value bias = { 0 };
    Value bank =
        graph_param(b->g, "weight", PARAM_WEIGHT, SHAPE(o.experts, o.c_out, value_dim(b->g, x, 1) / o.groups, o.k, o.k),
                    (Init) { INIT_UNIFORM, sqrt(6 / fan_in) });
    if (o.bias) bias = graph_param(b->g, "bias", PARAM_BIAS, SHAPE(o.experts, o.c_out), (Init) { INIT_CONST, 0 });
    Value y = bank_conv(b, INS(x, bank, attention(b, x, o.experts, t), bias), o);
    build_plain(b, "weight", "weight", 1);
    build_plain_zero(b, "attention.fc2", "weight"); /* a softmax of zeros: an even mix */
    if (o.bias) build_plain(b, "bias", "bias", 1);
    graph_pop(b->g, outer);
    return y;
}

/* ---- sigmoid gates (B) ------------------------------------------------------------------------------------------- */

static Value gates(Builder *b, Value x, int64_t experts)
{
    Init init = { INIT_UNIFORM, 1 / sqrt((double)MAX(value_dim(b->g, x, 1), 1)) };
    DenseOpt o = { .out = experts, .weight = init, .bias = init, .has_bias = true, .linear = true };
    return build_op(b, "sigmoid", INS(dense(b, "routing", pooled(b, x, false), o)), NO_ATTRS);
}

Value cond_conv(Builder *b, const char *name, Value x, BankOpt o)
{
    double fan_in = bank_fan_in(b, x, o);
    if (fan_in <= 0) return (Value) { 0 };
    const char *outer = build_scope(b, name);
    int64_t per_group = value_dim(b->g, x, 1) / o.groups;
    Value mix = gates(b, x, o.experts), bias = { 0 };
    const char *inner = graph_push(b->g, "cond_conv");
    Init init = { INIT_UNIFORM, 1 / sqrt(fan_in) };
    Value bank = graph_param(b->g, "weight", PARAM_WEIGHT, SHAPE(o.experts, o.c_out, per_group, o.k, o.k), init);
    graph_param_file_shape(b->g, bank, SHAPE(o.experts, o.c_out * per_group * o.k * o.k));
    if (o.bias) bias = graph_param(b->g, "bias", PARAM_BIAS, SHAPE(o.experts, o.c_out), init);
    Value y = bank_conv(b, INS(x, bank, mix, bias), o);
    graph_pop(b->g, inner);
    graph_pop(b->g, outer);
    return y;
}

/* With its layer at zero every gate is one half, and `experts` halves of a kernel times 2 / experts are the kernel. */
void cond_conv_plain(Builder *b, const char *at, const char *plain, BankOpt o)
{
    char name[64], source[64];
    snprintf(source, sizeof source, "%sweight", plain);
    snprintf(name, sizeof name, "%srouting", at);
    build_plain_zero(b, name, source);
    snprintf(name, sizeof name, "%scond_conv.weight", at);
    build_plain_gated(b, name, source, o.experts);
    if (!o.bias) return;
    snprintf(name, sizeof name, "%scond_conv.bias", at);
    snprintf(source, sizeof source, "%sbias", plain);
    build_plain_gated(b, name, source, o.experts);
}

Value cond_conv_bn_act(Builder *b, const char *name, Value x, BankOpt o, Act act)
{
    const char *outer = build_scope(b, name);
    Value y = build_batchnorm(b, "conv.1", cond_conv(b, "conv.0", x, o));
    y = build_act(b, y, act);
    graph_pop(b->g, outer);
    const char *dot = *name ? "." : "";
    char part[64]; /* a plain Conv has its parts in the scope of `name` */
    snprintf(part, sizeof part, "%s%sconv.0.", name, dot);
    cond_conv_plain(b, part, "conv.", o);
    snprintf(part, sizeof part, "%s%sconv.1", name, dot);
    build_plain(b, part, "bn", 1);
    return y;
}
