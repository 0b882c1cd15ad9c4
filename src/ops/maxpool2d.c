/* SPDX-License-Identifier: Apache-2.0
 *
 * maxpool2d - maximum over k x k windows, padded with -inf: x [N,C,H,W] -> y [N,C,Ho,Wo], Ho = floor((H+2
 * pad-k)/stride)+1. Of equal maxima the first in row-major order of the window gets the gradient; a NaN wins over every
 * number. */
#include "ops/ops_util.h"

#include <math.h>

typedef struct Window {
    int64_t k, stride, pad;
} Window;

static Window window(const Node *n)
{
    return (Window) { attr_int(n, "k"), attr_int(n, "stride"), attr_int(n, "pad") };
}

static Status pooled(Infer *c, const Type *x, Type *y)
{
    Window q = window(c->n);
    if (x->shape.rank != 4) return infer_fail(c, "wants x[N,C,H,W]");
    if (q.k < 1 || q.k > 1 << 20 || q.stride < 1 || q.pad < 0 || q.pad > q.k / 2)
        return infer_fail(c, "wants k and stride of at least 1, pad from 0 to k/2; got k=%lld stride=%lld pad=%lld",
                          (long long)q.k, (long long)q.stride, (long long)q.pad);
    *y = *x;
    y->rowmajor = false;
    for (int d = 2; d < 4; d++) {
        int64_t span = x->shape.dim[d] + 2 * q.pad - q.k;
        y->shape.dim[d] = span < 0 ? 0 : span / q.stride + 1;
    }
    return DYN_OK;
}

static Status infer(Infer *c)
{
    return pooled(c, &c->in[0], &c->out[0]);
}

/* Where in plane (n, ch) of x the maximum of window (h, w) lies, as hi * W + wi. */
static int64_t arg_max(const Tensor *x, const Window *q, int64_t n, int64_t ch, int64_t h, int64_t w)
{
    int64_t best = -1;
    double top = 0;
    for (int64_t hi = MAX(h * q->stride - q->pad, 0); hi < MIN(h * q->stride - q->pad + q->k, x->dim[2]); hi++)
        for (int64_t wi = MAX(w * q->stride - q->pad, 0); wi < MIN(w * q->stride - q->pad + q->k, x->dim[3]); wi++) {
            double v = load4(x, n, ch, hi, wi);
            if (best >= 0 && !(v > top) && !isnan(v)) continue;
            best = hi * x->dim[3] + wi;
            top = v;
        }
    return best;
}

static void ref(const RefCall *c)
{
    const Tensor *x = &c->in[0];
    Tensor *y = &c->out[0];
    Window q = window(c->n);
    for (int64_t n = 0; n < y->dim[0]; n++)
        for (int64_t ch = 0; ch < y->dim[1]; ch++)
            for (int64_t h = 0; h < y->dim[2]; h++)
                for (int64_t w = 0; w < y->dim[3]; w++) {
                    int64_t at = arg_max(x, &q, n, ch, h, w);
                    store4(y, n, ch, h, w, load4(x, n, ch, at / x->dim[3], at % x->dim[3]));
                }
}

static void grad(Grad *c)
{
    if (c->dy[0].id) c->dx[0] = graph_emit(c->g, op_maxpool2d.also, INS(c->dy[0], c->in[0]), c->n->attr, c->n->n_attr);
}

static Cost cost(const Node *n, const Type *in, const Type *out)
{
    Window q = window(n);
    return (Cost) { (double)(q.k * q.k - 1) * count_of(&out[0]), 0 };
}

/* ---- maxpool2d_grad: dy [N,C,Ho,Wo], x [N,C,H,W] -> dx like x ---------------------------------------------------- */

static Status infer_grad(Infer *c)
{
    Type y;
    TRY(pooled(c, &c->in[1], &y));
    if (!shape_eq(&c->in[0].shape, &y.shape)) return infer_fail(c, "dy is not of the result's shape");
    return infer_like(c, 1);
}

/* Gathers instead of scattering, so that overlapping windows add up in F64 whatever the dtype of dx. */
static void ref_grad(const RefCall *c)
{
    const Tensor *dy = &c->in[0], *x = &c->in[1];
    Tensor *dx = &c->out[0];
    Window q = window(c->n);
    for (int64_t i = 0, count = tensor_count(dx); i < count; i++) {
        int64_t W = dx->dim[3], H = dx->dim[2], wi = i % W, hi = i / W % H, ch = i / W / H % dx->dim[1];
        int64_t n = i / W / H / dx->dim[1];
        double sum = 0;
        for (int64_t h = MAX(hi + q.pad - q.k + q.stride, 0) / q.stride; h < dy->dim[2] && h * q.stride <= hi + q.pad;
             h++)
            for (int64_t w = MAX(wi + q.pad - q.k + q.stride, 0) / q.stride;
                 w < dy->dim[3] && w * q.stride <= wi + q.pad; w++)
                if (arg_max(x, &q, n, ch, h, w) == hi * W + wi) sum += load4(dy, n, ch, h, w);
        store4(dx, n, ch, hi, wi, sum);
    }
}

static Cost cost_grad(const Node *n, const Type *in, const Type *out)
{
    Window q = window(n);
    return (Cost) { (double)(q.k * q.k) * count_of(&in[0]), 0 };
}

#define POOL_ATTRS "k=2 stride=1 pad=0"

static const OpDef op_maxpool2d_grad = { .name = "maxpool2d_grad",
                                         .doc = "gradient of maxpool2d",
                                         .in = "dy x",
                                         .out = "dx",
                                         .attrs = POOL_ATTRS,
                                         .infer = infer_grad,
                                         .ref = ref_grad,
                                         .cost = cost_grad };
const OpDef op_maxpool2d = { .name = "maxpool2d",
                             .doc = "maximum over windows",
                             .in = "x",
                             .out = "y",
                             .attrs = POOL_ATTRS,
                             .infer = infer,
                             .grad = grad,
                             .ref = ref,
                             .cost = cost,
                             .also = &op_maxpool2d_grad,
                             .cases =
                                 "x[1,5,7,6] k=5 stride=1 pad=2\nx[3,3,8,7] k=2 stride=2\n"
                                 "x[1,4,9,9] k=3 stride=2 pad=1\nx[3,2,5,7] k=2 stride=3\nx[1,1,1,1] k=5 pad=2\n" };
