/* SPDX-License-Identifier: Apache-2.0
 *
 * conv2d - two-dimensional convolution (cross-correlation, as in every framework), with what fuses into its epilogue.
 *   x [N,C,H,W]   w [O,C/groups,kh,kw]   b [O] optional   res [N,O,Ho,Wo] optional
 *   y [N,O,Ho,Wo] = act(conv(x, w) + b) + res        Ho = floor((H + 2 pad - dilation (kh-1) - 1) / stride) + 1
 * The residual comes after the activation because that is where YOLO's bottleneck adds it. out=f32 keeps a bf16
 * convolution's accumulators as f32 results (detection logits). pad_w = -1 means: the same as pad. Gradients are
 * defined for act=none without res: passes fuse those at inference only. */
#include "ops/ops_util.h"

#include <math.h>

typedef struct Geometry {
    int64_t stride, pad_h, pad_w, dilation, groups;
} Geometry;

static Geometry geometry(const Node *n)
{
    int64_t pad_w = attr_int(n, "pad_w");
    return (Geometry) { attr_int(n, "stride"), attr_int(n, "pad"), pad_w < 0 ? attr_int(n, "pad") : pad_w,
                        attr_int(n, "dilation"), attr_int(n, "groups") };
}

static int64_t out_size(int64_t in, int64_t pad, int64_t k, const Geometry *q)
{
    int64_t span = in + 2 * pad - q->dilation * (k - 1) - 1;
    return span < 0 ? 0 : span / q->stride + 1;
}

static Status infer(Infer *c)
{
    const Type *x = &c->in[0], *w = &c->in[1];
    Geometry q = geometry(c->n);
    const int64_t *wd = w->shape.dim;
    if (x->shape.rank != 4 || w->shape.rank != 4) return infer_fail(c, "wants x[N,C,H,W] and w[O,C/groups,kh,kw]");
    if (q.stride < 1 || q.dilation < 1 || q.groups < 1 || q.pad_h < 0)
        return infer_fail(c, "stride, dilation and groups must be at least 1, pad at least 0");
    if (wd[1] * q.groups != x->shape.dim[1] || wd[0] % q.groups)
        return infer_fail(c, "weight wants %lld input channels in %lld groups, input has %lld",
                          (long long)(wd[1] * q.groups), (long long)q.groups, (long long)x->shape.dim[1]);
    if (!act_known(attr_text(c->n, "act"))) return infer_fail(c, "unknown activation '%s'", attr_text(c->n, "act"));
    c->out[0] = *x;
    c->out[0].rowmajor = false;
    if (attr_is(c->n, "out", "f32") && x->dtype != F64) c->out[0].dtype = F32;
    c->out[0].shape.dim[1] = wd[0];
    c->out[0].shape.dim[2] = out_size(x->shape.dim[2], q.pad_h, wd[2], &q);
    c->out[0].shape.dim[3] = out_size(x->shape.dim[3], q.pad_w, wd[3], &q);
    if (c->n->n_in > 3 && c->in[3].shape.rank >= 0 && !shape_eq(&c->in[3].shape, &c->out[0].shape))
        return infer_fail(c, "the residual has another shape than the result");
    return DYN_OK;
}

static double macs(const Type *w, const Type *y)
{
    return count_of(y) * (double)(w->shape.dim[1] * w->shape.dim[2] * w->shape.dim[3]);
}

static Cost cost(const Node *n, const Type *in, const Type *out)
{
    double m = macs(&in[1], &out[0]), extra = 0;
    if (n->n_in > 2 && in[2].shape.rank >= 0) extra += count_of(&out[0]);
    if (n->n_in > 3 && in[3].shape.rank >= 0) extra += count_of(&out[0]);
    if (!attr_is(n, "act", "none")) extra += 4 * count_of(&out[0]);
    return (Cost) { 2 * m + extra, m };
}

static void ref(const RefCall *c)
{
    const Tensor *x = &c->in[0], *w = &c->in[1], *b = c->n->n_in > 2 ? &c->in[2] : NULL,
                 *r = c->n->n_in > 3 ? &c->in[3] : NULL;
    Tensor *y = &c->out[0];
    Geometry q = geometry(c->n);
    int64_t O = w->dim[0], I = w->dim[1];
    for (int64_t n = 0; n < y->dim[0]; n++)
        for (int64_t o = 0; o < O; o++)
            for (int64_t h = 0; h < y->dim[2]; h++)
                for (int64_t v = 0; v < y->dim[3]; v++) {
                    double sum = b && b->data ? load_i(b, o) : 0;
                    for (int64_t i = 0; i < I; i++)
                        for (int64_t kh = 0; kh < w->dim[2]; kh++)
                            for (int64_t kw = 0; kw < w->dim[3]; kw++) {
                                int64_t hi = h * q.stride - q.pad_h + kh * q.dilation;
                                int64_t wi = v * q.stride - q.pad_w + kw * q.dilation;
                                if (hi < 0 || wi < 0 || hi >= x->dim[2] || wi >= x->dim[3]) continue;
                                sum += load4(x, n, o / (O / q.groups) * I + i, hi, wi) * load4(w, o, i, kh, kw);
                            }
                    sum = act_value(attr_text(c->n, "act"), sum);
                    store4(y, n, o, h, v, r && r->data ? sum + load4(r, n, o, h, v) : sum);
                }
}

static void grad(Grad *c)
{
    Value dy = c->dy[0];
    if (!dy.id) return;
    if (!attr_is(c->n, "act", "none") || (c->n->n_in > 3 && c->in[3].id)) {
        graph_fail(c->g, DYN_UNSUPPORTED, "conv2d '%s' has a fused activation or residual: differentiate before fusing",
                   c->n->name);
        return;
    }
    if (attr_is(c->n, "out", "f32")) dy = EMIT(c->g, cast, INS(dy, c->in[0]), NO_ATTRS);
    if (c->need[0]) c->dx[0] = graph_emit(c->g, op_conv2d.also, INS(dy, c->in[1], c->in[0]), c->n->attr, c->n->n_attr);
    if (c->need[1])
        c->dx[1] = graph_emit(c->g, op_conv2d.also->also, INS(dy, c->in[0], c->in[1]), c->n->attr, c->n->n_attr);
    if (c->n->n_in > 2 && c->in[2].id && c->need[2])
        c->dx[2] = graph_emit(c->g, op_conv2d.also->also->also, INS(dy), NO_ATTRS);
}

/* ---- conv2d_dw: gradient of the weights: dy [N,O,Ho,Wo], x [N,C,H,W], w (shape only) -> dw like w, f32 ------- */

static Status infer_dw(Infer *c)
{
    c->out[0] = c->in[2];
    c->out[0].dtype = wide_dtype(c->in[0].dtype);
    return DYN_OK;
}

static Cost cost_dw(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { 2 * macs(&in[2], &in[0]), 0 };
}

static void ref_dw(const RefCall *c)
{
    const Tensor *dy = &c->in[0], *x = &c->in[1];
    Tensor *dw = &c->out[0];
    Geometry q = geometry(c->n);
    int64_t O = dw->dim[0], I = dw->dim[1];
    for (int64_t o = 0; o < O; o++)
        for (int64_t i = 0; i < I; i++)
            for (int64_t kh = 0; kh < dw->dim[2]; kh++)
                for (int64_t kw = 0; kw < dw->dim[3]; kw++) {
                    double sum = 0;
                    for (int64_t n = 0; n < dy->dim[0]; n++)
                        for (int64_t h = 0; h < dy->dim[2]; h++)
                            for (int64_t v = 0; v < dy->dim[3]; v++) {
                                int64_t hi = h * q.stride - q.pad_h + kh * q.dilation;
                                int64_t wi = v * q.stride - q.pad_w + kw * q.dilation;
                                if (hi < 0 || wi < 0 || hi >= x->dim[2] || wi >= x->dim[3]) continue;
                                sum += load4(dy, n, o, h, v) * load4(x, n, o / (O / q.groups) * I + i, hi, wi);
                            }
                    store4(dw, o, i, kh, kw, sum);
                }
}

/* ---- conv2d_dx: gradient of the input: dy, w, x (shape only) -> dx like x ------------------------------------- */

static Status infer_dx(Infer *c)
{
    c->out[0] = c->in[2];
    return DYN_OK;
}

static Cost cost_dx(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { 2 * macs(&in[1], &in[0]), 0 };
}

static void ref_dx(const RefCall *c)
{
    const Tensor *dy = &c->in[0], *w = &c->in[1];
    Tensor *dx = &c->out[0];
    Geometry q = geometry(c->n);
    int64_t O = w->dim[0], I = w->dim[1], per_group = O / q.groups;
    for (int64_t n = 0; n < dx->dim[0]; n++)
        for (int64_t ch = 0; ch < dx->dim[1]; ch++)
            for (int64_t hi = 0; hi < dx->dim[2]; hi++)
                for (int64_t wi = 0; wi < dx->dim[3]; wi++) {
                    double sum = 0;
                    for (int64_t kh = 0; kh < w->dim[2]; kh++)
                        for (int64_t kw = 0; kw < w->dim[3]; kw++) {
                            int64_t h = hi + q.pad_h - kh * q.dilation, v = wi + q.pad_w - kw * q.dilation;
                            if (h < 0 || v < 0 || h % q.stride || v % q.stride) continue;
                            h /= q.stride, v /= q.stride;
                            if (h >= dy->dim[2] || v >= dy->dim[3]) continue;
                            for (int64_t k = 0; k < per_group; k++) {
                                int64_t o = ch / I * per_group + k;
                                sum += load4(dy, n, o, h, v) * load4(w, o, ch % I, kh, kw);
                            }
                        }
                    store4(dx, n, ch, hi, wi, sum);
                }
}

/* ---- bias_grad: dy [N,O,H,W] -> db [O], f32 ------------------------------------------------------------------- */

static Status infer_db(Infer *c)
{
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
            for (int64_t h = 0; h < dy->dim[2]; h++)
                for (int64_t w = 0; w < dy->dim[3]; w++)
                    sum += load4(dy, n, o, h, w);
        store_i(&c->out[0], o, sum);
    }
}

#define CONV_ATTRS "stride=1 pad=0 pad_w=-1 dilation=1 groups=1 act=none out=act"

static const OpDef op_bias_grad = { .name = "bias_grad",
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
                                    .doc = "input gradient of conv2d",
                                    .in = "dy w x",
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
                          .ref = ref,
                          .also = &op_conv2d_dx,
                          .cases = "x[1,3,9,7] w[4,3,3,3] stride=2 pad=1\n"
                                   "x[3,4,5,5] w[6,4,1,1] b[6]\n"
                                   "x[1,4,6,5] w[4,2,3,3] groups=2 pad=1\n"
                                   "x[1,6,6,6] w[6,1,3,3] groups=6 pad=1\n"
                                   "x[1,2,9,9] w[3,2,3,3] dilation=2 pad=2\n"
                                   "x[2,3,8,8] w[5,3,3,3] b[5] res[2,5,8,8] pad=1 act=silu\n" };
