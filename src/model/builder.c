/* SPDX-License-Identifier: Apache-2.0
 *
 * The builder's helpers: layers with the reference's names, initial values (spec 2.8) and order of declaration. */
#include "model/builder.h"

#include "ops/ops.h"

#include <math.h>

int64_t make_divisible(double x, int64_t d)
{
    return (int64_t)ceil(x / (double)d) * d;
}

void build_leaf(Builder *b)
{
    b->n_leaf++;
}

Value build_op(Builder *b, const char *op, const Value *in, int n_in, const Attr *attr, int n_attr)
{
    const OpDef *def = ops_find(op);
    if (!def) {
        graph_fail(b->g, DYN_UNSUPPORTED, "operator '%s' is not built in", op);
        return (Value) { 0 };
    }
    return graph_emit(b->g, def, in, n_in, attr, n_attr);
}

const char *build_scope(Builder *b, const char *name)
{
    return *name ? graph_push(b->g, "%s", name) : graph_scope(b->g);
}

int64_t build_same_pad(int64_t k, int64_t dilation)
{
    return (dilation * (k - 1) + 1) / 2;
}

static ConvOpt with_defaults(ConvOpt o, bool same)
{
    if (!o.k) o.k = 1;
    if (!o.stride) o.stride = 1;
    if (!o.groups) o.groups = 1;
    if (!o.dilation) o.dilation = 1;
    if (!o.pad_given) o.pad = same ? build_same_pad(o.k, o.dilation) : 0;
    return o;
}

bool build_groups_fit(Builder *b, int64_t c_in, int64_t c_out, int64_t groups)
{
    if (groups > 0 && c_in % groups == 0 && c_out % groups == 0) return true;
    graph_fail(b->g, DYN_SHAPE, "%lld groups do not divide %lld input and %lld output channels", (long long)groups,
               (long long)c_in, (long long)c_out);
    return false;
}

/* The weight of a convolution in the current scope; its fan-in goes to *fan_in when that is not NULL. */
static Value conv_weight(Builder *b, int64_t c_in, ConvOpt o, double *fan_in)
{
    if (c_in <= 0 || !build_groups_fit(b, c_in, o.c_out, o.groups)) return (Value) { 0 };
    int64_t c_group = c_in / o.groups;
    double fan = (double)c_group * (double)o.k * (double)o.k;
    if (fan_in) *fan_in = fan;
    return graph_param(b->g, "weight", PARAM_WEIGHT, SHAPE(o.c_out, c_group, o.k, o.k),
                       o.zero ? (Init) { INIT_CONST, 0 } : (Init) { INIT_UNIFORM, 1 / sqrt(fan) });
}

typedef struct NormParams {
    Value gamma, beta, mean, var;
} NormParams;

static NormParams norm_params(Builder *b, int64_t c)
{
    NormParams p;
    p.gamma = graph_param(b->g, "weight", PARAM_NORM, SHAPE(c), (Init) { INIT_CONST, 1 });
    p.beta = graph_param(b->g, "bias", PARAM_BIAS, SHAPE(c), (Init) { INIT_CONST, 0 });
    p.mean = graph_param(b->g, "running_mean", PARAM_STATE, SHAPE(c), (Init) { INIT_CONST, 0 });
    p.var = graph_param(b->g, "running_var", PARAM_STATE, SHAPE(c), (Init) { INIT_CONST, 1 });
    graph_counter(b->g, "num_batches_tracked");
    return p;
}

static Value emit_conv(Builder *b, Value x, Value w, Value bias, ConvOpt o, bool wide)
{
    return build_op(b, "conv2d", INS(x, w, bias),
                    ATTRS(A_INT("stride", o.stride), A_INT("pad", o.pad), A_INT("dilation", o.dilation),
                          A_INT("groups", o.groups), A_TEXT("out", wide ? "f32" : "act")));
}

static Value emit_norm(Builder *b, Value x, NormParams p)
{
    return build_op(b, "batchnorm", INS(x, p.gamma, p.beta, p.mean, p.var),
                    ATTRS(A_FLOAT("eps", b->bn_eps), A_FLOAT("momentum", b->bn_momentum)));
}

void build_conv_declare(Builder *b, const char *name, int64_t c_in, ConvOpt o)
{
    const char *outer = build_scope(b, name), *inner = graph_push(b->g, "conv");
    conv_weight(b, c_in, with_defaults(o, true), NULL);
    graph_pop(b->g, inner);
    inner = graph_push(b->g, "bn");
    norm_params(b, o.c_out);
    graph_pop(b->g, inner);
    graph_pop(b->g, outer);
}

Value build_conv(Builder *b, const char *name, Value x, ConvOpt o)
{
    build_conv_declare(b, name, value_dim(b->g, x, 1), o);
    o = with_defaults(o, true);
    const char *outer = build_scope(b, name), *inner = graph_push(b->g, "conv");
    Value y = emit_conv(b, x, conv_weight(b, value_dim(b->g, x, 1), o, NULL), (Value) { 0 }, o, false);
    graph_pop(b->g, inner);
    inner = graph_push(b->g, "bn");
    y = emit_norm(b, y, norm_params(b, o.c_out));
    graph_pop(b->g, inner);
    y = build_act(b, y, o.act);
    graph_pop(b->g, outer);
    return y;
}

Value build_conv2d(Builder *b, const char *name, Value x, ConvOpt o, bool bias, double bias_init, bool wide)
{
    double fan_in = 1;
    o = with_defaults(o, false);
    const char *outer = build_scope(b, name);
    Value w = conv_weight(b, value_dim(b->g, x, 1), o, &fan_in), c = { 0 };
    if (bias)
        c = graph_param(b->g, "bias", PARAM_BIAS, SHAPE(o.c_out),
                        isnan(bias_init) ? (Init) { INIT_UNIFORM, 1 / sqrt(fan_in) }
                                         : (Init) { INIT_CONST, bias_init });
    Value y = emit_conv(b, x, w, c, o, wide);
    graph_pop(b->g, outer);
    return y;
}

Value build_batchnorm(Builder *b, const char *name, Value x)
{
    if (!value_ok(x)) return x;
    const char *outer = build_scope(b, name);
    Value y = emit_norm(b, x, norm_params(b, value_dim(b->g, x, 1)));
    graph_pop(b->g, outer);
    return y;
}

Value build_schedule(Builder *b, const char *name, ScheduleSpec s)
{
    double steps = s.step > 0 ? (s.start - s.end) / s.step : 0, below = s.end + MAX(floor(steps), 0) * s.step;
    if (s.end > 0 && s.start >= s.end && fabs(steps - nearbyint(steps)) < 1e-9) return graph_schedule(b->g, name, s);
    if (s.step > 0)
        graph_fail(b->g, DYN_FORMAT, "%s %g is not on its schedule, which falls to %g in steps of %g: take %g or %g",
                   name, s.start, s.end, s.step, below, below + s.step);
    else
        graph_fail(b->g, DYN_FORMAT, "%s %g is not on its schedule, which falls to %g", name, s.start, s.end);
    return (Value) { 0 };
}

Value build_act(Builder *b, Value x, Act act)
{
    if (act.kind == ACT_DEFAULT) {
        if (!b->shared_act) build_leaf(b);
        b->shared_act = true;
        act = b->act;
    } else
        build_leaf(b);
    if (act.kind != ACT_OP) return x;
    const char *outer = graph_push(b->g, "act");
    const Attr slope = A_FLOAT("slope", act.slope);
    Value y = build_op(b, act.op, INS(x), &slope, str_eq(act.op, "leaky_relu") ? 1 : 0);
    graph_pop(b->g, outer);
    return y;
}

Value build_add(Builder *b, Value x, Value y)
{
    return build_op(b, "add", INS(x, y), NO_ATTRS);
}

Value build_concat(Builder *b, const Value *in, int n_in)
{
    return build_op(b, "concat", in, n_in, ATTRS(A_INT("dim", 1)));
}

void build_split(Builder *b, Value x, int n, Value *part)
{
    Value v = build_op(b, "split", INS(x), ATTRS(A_INT("n_out", n), A_INT("dim", 1)));
    for (int i = 0; i < n; i++)
        part[i] = value_at(v, i);
}

Value build_maxpool(Builder *b, Value x, int64_t k, int64_t stride, int64_t pad)
{
    return build_op(b, "maxpool2d", INS(x), ATTRS(A_INT("k", k), A_INT("stride", stride), A_INT("pad", pad)));
}

Value build_upsample(Builder *b, Value x, int64_t scale)
{
    return build_op(b, "upsample_nearest", INS(x), ATTRS(A_INT("scale", scale)));
}

int64_t build_stride(Builder *b, Value x)
{
    int64_t h = value_dim(b->g, x, 2), w = value_dim(b->g, x, 3);
    if (!value_ok(x)) return 1;
    if (h > 0 && h == w && b->nominal % h == 0) return b->nominal / h;
    graph_fail(b->g, DYN_SHAPE,
               "a map of %lldx%lld for an input of %lldx%lld has no whole stride: look at strides and padding of the "
               "rows before",
               (long long)h, (long long)w, (long long)b->nominal, (long long)b->nominal);
    return 1;
}
