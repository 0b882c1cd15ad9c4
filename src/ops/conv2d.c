/* SPDX-License-Identifier: Apache-2.0
 *
 * conv2d - two-dimensional convolution (cross-correlation, as in every framework), with what fuses into its epilogue.
 *   x [N,C,H,W]   w [O,C/groups,kh,kw]   b [O] optional   res [N,O,Ho,Wo] optional
 *   y [N,O,Ho,Wo] = act(conv(x, w) + b) + res        Ho = floor((H + 2 pad - dilation (kh-1) - 1) / stride) + 1
 * The residual comes after the activation because that is where YOLO's bottleneck adds it. out=f32 keeps a bf16
 * convolution's accumulators as f32 results (detection logits). pad_w = -1 means: the same as pad. Gradients are
 * defined for act=none without res: passes fuse those at inference only. */
#include "ops/conv_util.h"

static ConvGeometry geometry(const Node *n, const Shape *x, const Shape *w)
{
    return conv_geometry(n, x->dim, w->dim, false);
}

static Status infer(Infer *c)
{
    const Type *x = &c->in[0], *w = &c->in[1];
    if (x->shape.rank != 4 || w->shape.rank != 4) return infer_fail(c, "wants x[N,C,H,W] and w[O,C/groups,kh,kw]");
    ConvGeometry q = geometry(c->n, &x->shape, &w->shape);
    if (c->in[2].shape.rank >= 0 && shape_count(&c->in[2].shape) != q.O)
        return infer_fail(c, "bias must have %lld elements", (long long)q.O);
    return conv_infer_y(c, &q, x, &c->in[3]);
}

static double macs(const Node *n, const Type *x, const Type *w)
{
    ConvGeometry q = geometry(n, &x->shape, &w->shape);
    return conv_macs(&q, x->shape.dim[0]);
}

static double macs_y(const Node *n, const Type *in, const Type *out)
{
    return macs(n, &in[0], &in[1]);
}

static Cost cost(const Node *n, const Type *in, const Type *out)
{
    double m = macs_y(n, in, out);
    bool bias = in[2].shape.rank >= 0, res = in[3].shape.rank >= 0;
    return (Cost) { 2 * m + conv_extra_flops(n, &out[0], bias, res), m };
}

/* The geometry of a call in which x and w, or what has their shapes, are these. */
static ConvGeometry ref_geometry(const RefCall *c, const Tensor *x, const Tensor *w)
{
    return conv_geometry(c->n, x->dim, w->dim, false);
}

/* Input 1 of conv2d and conv2d_dx. */
static double weight(const ConvGeometry *q, const RefCall *c, int64_t n, int64_t o, int64_t i, int64_t a, int64_t b)
{
    return load4(&c->in[1], o, i, a, b);
}

static void ref(const RefCall *c)
{
    const Tensor *x = &c->in[0], *b = &c->in[2], *r = &c->in[3];
    Tensor *y = &c->out[0];
    ConvGeometry q = ref_geometry(c, x, &c->in[1]);
    for (int64_t n = 0; n < y->dim[0]; n++)
        for (int64_t o = 0; o < q.O; o++)
            for (int64_t h = 0; h < q.Ho; h++)
                for (int64_t v = 0; v < q.Wo; v++) {
                    double sum = conv_y_at(&q, c, weight, x, n, o, h, v) + (b->data ? tensor_get(b, o) : 0);
                    sum = act_value(attr_text(c->n, "act"), sum);
                    store4(y, n, o, h, v, r->data ? sum + load4(r, n, o, h, v) : sum);
                }
}

static void grad(Grad *c)
{
    Value dy = c->dy[0];
    if (!dy.id) return;
    if (!attr_is(c->n, "act", "none") || c->in[3].id) {
        graph_fail(c->g, DYN_UNSUPPORTED, "conv2d '%s' has a fused activation or residual: differentiate before fusing",
                   c->n->name);
        return;
    }
    if (attr_is(c->n, "out", "f32")) dy = EMIT(c->g, cast, INS(dy, c->in[0]), NO_ATTRS);
    if (c->need[0]) c->dx[0] = graph_emit(c->g, op_conv2d.also, INS(dy, c->in[1], c->in[0]), c->n->attr, c->n->n_attr);
    if (c->need[1])
        c->dx[1] = graph_emit(c->g, op_conv2d.also->also, INS(dy, c->in[0], c->in[1]), c->n->attr, c->n->n_attr);
    if (c->in[2].id && c->need[2]) c->dx[2] = EMIT(c->g, bias_grad, INS(dy), NO_ATTRS);
}

/* ---- conv2d_dw: gradient of the weights: dy [N,O,Ho,Wo], x [N,C,H,W], w (shape only) -> dw like w, f32 ------- */

static Status infer_dw(Infer *c)
{
    TRY(conv_infer_grad(c, &c->in[0], &c->in[1], &c->in[2], &c->in[2]));
    c->out[0].dtype = wide_dtype(c->in[0].dtype);
    return DYN_OK;
}

static Cost cost_dw(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { 2 * macs(n, &in[1], &in[2]), 0 };
}

static void ref_dw(const RefCall *c)
{
    const Tensor *dy = &c->in[0], *x = &c->in[1];
    Tensor *dw = &c->out[0];
    ConvGeometry q = ref_geometry(c, x, dw);
    for (int64_t o = 0; o < q.O; o++)
        for (int64_t i = 0; i < q.I; i++)
            for (int64_t a = 0; a < q.kh; a++)
                for (int64_t b = 0; b < q.kw; b++) {
                    double sum = 0;
                    for (int64_t n = 0; n < dy->dim[0]; n++)
                        sum += conv_dw_at(&q, dy, x, n, o, i, a, b);
                    store4(dw, o, i, a, b, sum);
                }
}

/* ---- conv2d_dx: gradient of the input: dy, w, x (shape only), res (optional) -> dx like x, + res ---------------- */

static Status infer_dx(Infer *c)
{
    TRY(conv_infer_grad(c, &c->in[0], &c->in[2], &c->in[1], &c->in[2]));
    if (c->in[3].shape.rank >= 0 && !shape_eq(&c->in[3].shape, &c->out[0].shape))
        return infer_fail(c, "the residual has another shape than the result");
    return DYN_OK;
}

static Cost cost_dx(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { 2 * macs(n, &in[2], &in[1]) + (in[3].shape.rank >= 0 ? count_of(&out[0]) : 0), 0 };
}

static void ref_dx(const RefCall *c)
{
    const Tensor *r = &c->in[3];
    Tensor *dx = &c->out[0];
    ConvGeometry q = ref_geometry(c, dx, &c->in[1]);
    for (int64_t n = 0; n < dx->dim[0]; n++)
        for (int64_t ch = 0; ch < q.C; ch++)
            for (int64_t h = 0; h < q.H; h++)
                for (int64_t v = 0; v < q.W; v++) {
                    double sum = conv_dx_at(&q, c, weight, &c->in[0], n, ch, h, v);
                    store4(dx, n, ch, h, v, r->data ? sum + load4(r, n, ch, h, v) : sum);
                }
}

/* ---- bias_grad: dy [N,O,H,W] -> db [O], f32 ------------------------------------------------------------------- */

static Status infer_db(Infer *c)
{
    if (c->in[0].shape.rank != 4) return infer_fail(c, "wants dy[N,O,H,W]");
    c->out[0] = (Type) { .dtype = wide_dtype(c->in[0].dtype), .shape = SHAPE(c->in[0].shape.dim[1]) };
    return DYN_OK;
}

static Cost cost_db(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { count_of(&in[0]), 0 };
}

static void ref_db(const RefCall *c)
{
    const Tensor *dy = &c->in[0];
    for (int64_t o = 0; o < dy->dim[1]; o++) {
        double sum = 0;
        for (int64_t n = 0; n < dy->dim[0]; n++)
            sum += conv_db_at(dy, n, o);
        tensor_set(&c->out[0], o, sum);
    }
}

const OpDef op_bias_grad = { .name = "bias_grad",
                             .doc = "sum over batch and space",
                             .in = "dy",
                             .out = "db",
                             .infer = infer_db,
                             .cost = cost_db,
                             .ref = ref_db };
static const OpDef op_conv2d_dw = { .name = "conv2d_dw",
                                    .doc = "weight gradient of conv2d",
                                    .in = "dy x w",
                                    .out = "dw",
                                    .attrs = CONV_ATTRS,
                                    .shape_only = 1 << 2,
                                    .infer = infer_dw,
                                    .cost = cost_dw,
                                    .ref = ref_dw,
                                    .also = &op_bias_grad };
static const OpDef op_conv2d_dx = { .name = "conv2d_dx",
                                    .doc = "input gradient of conv2d with optional residual",
                                    .in = "dy w x res?",
                                    .out = "dx",
                                    .attrs = CONV_ATTRS,
                                    .shape_only = 1 << 2,
                                    .infer = infer_dx,
                                    .cost = cost_dx,
                                    .ref = ref_dx,
                                    .also = &op_conv2d_dw };
const OpDef op_conv2d = { .name = "conv2d",
                          .doc = "convolution with optional bias, activation and residual",
                          .in = "x w b? res?",
                          .out = "y",
                          .attrs = CONV_ATTRS,
                          .infer = infer,
                          .grad = grad,
                          .cost = cost,
                          .macs = macs_y,
                          .ref = ref,
                          .also = &op_conv2d_dx,
                          .cases = "x[1,3,9,7] w[4,3,3,3] stride=2 pad=1\n"
                                   "x[3,4,5,5] w[6,4,1,1] b[6]\n"
                                   "x[1,4,6,5] w[4,2,3,3] groups=2 pad=1\n"
                                   "x[1,6,6,6] w[6,1,3,3] groups=6 pad=1\n"
                                   "x[1,2,9,9] w[3,2,3,3] dilation=2 pad=2\n"
                                   "x[2,3,8,8] w[5,3,3,3] b[5] res[2,5,8,8] pad=1 act=silu\n" };
