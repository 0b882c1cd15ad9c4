/* SPDX-License-Identifier: Apache-2.0
 *
 * subpixel_linear - a 1x1 convolution of the pixel-shuffled image, unshuffled again, without either copy:
 *   x [N,C r^2,H,W]   w [O,C,1,1]   b [O] optional   y [N,O r^2,H,W], r = scale
 *   y[n, o r^2 + s, h, w] = b[o] + sum_c w[o, c] x[n, c r^2 + s, h, w],   s one of r^2 sub-pixel positions
 * so the shuffle is only a way of counting channels. out=f32 keeps the results of bf16 images f32, as in conv2d. */
#include "ops/ops_util.h"

/* r^2, or 0 after a failure. */
static int64_t positions(Infer *c, const Type *image, const Type *w, int side)
{
    int64_t r = attr_int(c->n, "scale");
    if (image->shape.rank != 4 || w->shape.rank != 4 || w->shape.dim[2] != 1 || w->shape.dim[3] != 1) {
        infer_fail(c, "wants x[N,C scale^2,H,W] and w[O,C,1,1]");
        return 0;
    }
    if (r < 1 || r > 64 || image->shape.dim[1] != w->shape.dim[side] * r * r) {
        infer_fail(c, "weight wants %lld channels at scale %lld (of 1 to 64), the image has %lld",
                   (long long)(w->shape.dim[side] * r * r), (long long)r, (long long)image->shape.dim[1]);
        return 0;
    }
    return r * r;
}

static Status infer(Infer *c)
{
    const Type *x = &c->in[0], *w = &c->in[1];
    int64_t s = positions(c, x, w, 1);
    if (!s) return DYN_SHAPE;
    if (c->in[2].shape.rank >= 0 && shape_count(&c->in[2].shape) != w->shape.dim[0])
        return infer_fail(c, "bias must have %lld elements", (long long)w->shape.dim[0]);
    c->out[0] = *x;
    c->out[0].rowmajor = false;
    c->out[0].shape.dim[1] = w->shape.dim[0] * s;
    if (attr_is(c->n, "out", "f32")) c->out[0].dtype = wide_dtype(x->dtype);
    return DYN_OK;
}

static void grad(Grad *c)
{
    const OpDef *dx = op_subpixel_linear.also;
    Value dy = c->dy[0];
    bool bias = c->in[2].id;
    if (!dy.id) return;
    if (c->need[0]) c->dx[0] = graph_emit(c->g, dx, INS(dy, c->in[1], c->in[0]), c->n->attr, c->n->n_attr);
    if (!c->need[1] && !(bias && c->need[2])) return;
    Value v = graph_emit(c->g, dx->also, INS(dy, c->in[0], c->in[1]), c->n->attr, c->n->n_attr);
    c->dx[1] = v;
    if (bias) c->dx[2] = value_at(v, 1);
}

static void ref(const RefCall *c)
{
    const Tensor *x = &c->in[0], *w = &c->in[1], *b = &c->in[2];
    Tensor *y = &c->out[0];
    int64_t r = attr_int(c->n, "scale");
    for (int64_t n = 0; n < y->dim[0]; n++)
        for (int64_t k = 0; k < y->dim[1]; k++)
            for (int64_t h = 0; h < y->dim[2]; h++)
                for (int64_t v = 0; v < y->dim[3]; v++) {
                    int64_t o = k / (r * r), s = k % (r * r);
                    double sum = b->data ? tensor_get(b, o) : 0;
                    for (int64_t i = 0; i < w->dim[1]; i++)
                        sum += load4(w, o, i, 0, 0) * load4(x, n, i * r * r + s, h, v);
                    store4(y, n, k, h, v, sum);
                }
}

/* Like the convolution that it stands for: a profiler sees that one's multiply-accumulates. */
static double macs(const Node *n, const Type *in, const Type *out)
{
    return count_of(&out[0]) * (double)in[1].shape.dim[1];
}

static Cost cost(const Node *n, const Type *in, const Type *out)
{
    double m = macs(n, in, out);
    bool bias = in[2].shape.rank >= 0;
    return (Cost) { 2 * m + (bias ? count_of(&out[0]) : 0), m };
}

/* ---- subpixel_linear_dx: dy, w, x (shape only) -> dx like x ------------------------------------------------------ */

static Status infer_dx(Infer *c)
{
    if (!positions(c, &c->in[2], &c->in[1], 1) || !positions(c, &c->in[0], &c->in[1], 0)) return DYN_SHAPE;
    return infer_like(c, 2);
}

static void ref_dx(const RefCall *c)
{
    const Tensor *dy = &c->in[0], *w = &c->in[1];
    Tensor *dx = &c->out[0];
    int64_t r = attr_int(c->n, "scale");
    for (int64_t n = 0; n < dx->dim[0]; n++)
        for (int64_t k = 0; k < dx->dim[1]; k++)
            for (int64_t h = 0; h < dx->dim[2]; h++)
                for (int64_t v = 0; v < dx->dim[3]; v++) {
                    double sum = 0;
                    for (int64_t o = 0; o < w->dim[0]; o++)
                        sum += load4(w, o, k / (r * r), 0, 0) * load4(dy, n, o * r * r + k % (r * r), h, v);
                    store4(dx, n, k, h, v, sum);
                }
}

static Cost cost_dx(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { 2 * count_of(&out[0]) * (double)in[1].shape.dim[0], 0 };
}

/* ---- subpixel_linear_dw: dy, x, w (shape only) -> dw like w, db [O], f32 ----------------------------------------- */

static Status infer_dw(Infer *c)
{
    if (!positions(c, &c->in[1], &c->in[2], 1) || !positions(c, &c->in[0], &c->in[2], 0)) return DYN_SHAPE;
    c->out[0] = c->in[2];
    c->out[0].dtype = wide_dtype(c->in[1].dtype);
    c->out[1] = (Type) { .dtype = c->out[0].dtype, .shape = SHAPE(c->in[2].shape.dim[0]) };
    return DYN_OK;
}

static void ref_dw(const RefCall *c)
{
    const Tensor *dy = &c->in[0], *x = &c->in[1];
    Tensor *dw = &c->out[0];
    int64_t s = attr_int(c->n, "scale") * attr_int(c->n, "scale"), pixels = dy->dim[0] * dy->dim[2] * dy->dim[3];
    for (int64_t o = 0; o < dw->dim[0]; o++)
        for (int64_t i = -1; i < dw->dim[1]; i++) { /* -1: the bias, whose input is 1 */
            double sum = 0;
            for (int64_t p = 0; p < pixels; p++)
                for (int64_t k = 0; k < s; k++) {
                    int64_t n = p / dy->dim[3] / dy->dim[2], h = p / dy->dim[3] % dy->dim[2], v = p % dy->dim[3];
                    double e = load4(dy, n, o * s + k, h, v);
                    sum += i < 0 ? e : e * load4(x, n, i * s + k, h, v);
                }
            if (i < 0)
                tensor_set(&c->out[1], o, sum);
            else
                store4(dw, o, i, 0, 0, sum);
        }
}

static Cost cost_dw(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { 2 * count_of(&in[0]) * (double)in[2].shape.dim[1] + count_of(&in[0]), 0 };
}

#define SUBPIXEL_ATTRS "scale=2 out=act"

static const OpDef op_subpixel_linear_dw = { .name = "subpixel_linear_dw",
                                             .doc = "weight and bias gradient of subpixel_linear",
                                             .in = "dy x w",
                                             .out = "dw db",
                                             .attrs = SUBPIXEL_ATTRS,
                                             .shape_only = 1 << 2,
                                             .infer = infer_dw,
                                             .ref = ref_dw,
                                             .cost = cost_dw };
static const OpDef op_subpixel_linear_dx = { .name = "subpixel_linear_dx",
                                             .doc = "input gradient of subpixel_linear",
                                             .in = "dy w x",
                                             .out = "dx",
                                             .attrs = SUBPIXEL_ATTRS,
                                             .shape_only = 1 << 2,
                                             .infer = infer_dx,
                                             .ref = ref_dx,
                                             .cost = cost_dx,
                                             .also = &op_subpixel_linear_dw };
const OpDef op_subpixel_linear = { .name = "subpixel_linear",
                                   .doc = "1x1 convolution between pixel_shuffle and pixel_unshuffle",
                                   .in = "x w b?",
                                   .out = "y",
                                   .attrs = SUBPIXEL_ATTRS,
                                   .infer = infer,
                                   .grad = grad,
                                   .ref = ref,
                                   .cost = cost,
                                   .macs = macs,
                                   .also = &op_subpixel_linear_dx,
                                   .cases = "x[2,8,3,4] w[4,2,1,1]:wide b[4]:wide\n"
                                            "x[1,18,2,3] w[3,2,1,1]:wide scale=3 out=f32\n"
                                            "x[1,5,2,2] w[4,5,1,1]:wide b[4]:wide scale=1\n" };
