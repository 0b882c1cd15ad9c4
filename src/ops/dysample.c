/* SPDX-License-Identifier: Apache-2.0
 *
 * dysample - upsampling by reading the input at learned places (Liu et al., ICCV 2023; spec E.2, E.4 to E.6).
 *   x [N,C,H,W]   off [N,2 G r^2,H,W] in input pixels, never narrower than f32   y [N,C,r H,r W]   r = scale, G =
 * groups y[n, c, r i + ry, r j + rx] = x[n, c] bilinearly at column j + off[x,g,ry,rx,i,j], row i + off[y,g,ry,rx,i,j],
 * both clamped into the image; g is the group of C/G channels that c lies in; channel of off = ((q G + g) r + ry) r +
 * rx with q = 0 for columns and 1 for rows. That is grid_sample (bilinear, border, align_corners=False) on shuffled
 * offsets. Coordinates are f32 also where images are bf16: eight bits would move samples by whole pixels. A NaN reads
 * pixel 0, an infinity the border.
 *
 * Gradient: strictly inside (0, W-1) and (0, H-1) before clamping a coordinate has one, on the border and beyond it has
 * none, as in PyTorch. No factor W/2: the normalisation of coordinates there and its inverse cancel. */
#include "ops/ops_util.h"

#include <math.h>

static Status check(Infer *c, const Type *x, const Type *off)
{
    int64_t r = attr_int(c->n, "scale"), groups = attr_int(c->n, "groups");
    const int64_t *a = x->shape.dim, *b = off->shape.dim;
    if (x->shape.rank != 4 || off->shape.rank != 4)
        return infer_fail(c, "wants x[N,C,H,W] and off[N,2 groups scale^2,H,W]");
    if (r < 1 || r > 64) return infer_fail(c, "scale is %lld, wants 1 to 64", (long long)r);
    if (groups < 1 || a[1] % groups)
        return infer_fail(c, "%lld channels are no multiple of %lld groups", (long long)a[1], (long long)groups);
    if (a[0] != b[0] || a[2] != b[2] || a[3] != b[3] || b[1] / (2 * r * r) != groups || b[1] % (2 * r * r))
        return infer_fail(
            c, "offsets must be [N,2 groups scale^2,H,W] for the input's N, H and W; they have %lld channels",
            (long long)b[1]);
    if (off->dtype != wide_dtype(x->dtype)) return infer_fail(c, "offsets must be f32 whatever the images are");
    return DYN_OK;
}

static Status infer(Infer *c)
{
    TRY(check(c, &c->in[0], &c->in[1]));
    c->out[0] = c->in[0];
    c->out[0].rowmajor = false;
    for (int d = 2; d < 4; d++)
        c->out[0].shape.dim[d] *= attr_int(c->n, "scale");
    return DYN_OK;
}

static void grad(Grad *c)
{
    if (!c->dy[0].id) return;
    Value v = graph_emit(c->g, op_dysample.also, INS(c->dy[0], c->in[0], c->in[1]), c->n->attr, c->n->n_attr);
    c->dx[0] = v;
    c->dx[1] = value_at(v, 1);
}

/* One coordinate: the two neighbours, the fraction, and whether it is strictly inside. */
typedef struct Axis {
    int64_t lo, hi;
    double frac;
    bool inside;
} Axis;

static Axis axis(int64_t at, double off, int64_t size)
{
    double p = (double)at + off, last = (double)(size - 1);
    Axis a = { .inside = p > 0 && p < last };
    p = p > 0 ? fmin(p, last) : 0; /* a NaN is not above 0 */
    a.lo = (int64_t)p;
    a.hi = MIN(a.lo + 1, size - 1);
    a.frac = p - (double)a.lo;
    return a;
}

/* Where output pixel (h, w) of channel ch is read. */
static void place(const Node *node, const Tensor *off, int64_t n, int64_t group, int64_t h, int64_t w, Axis *ax,
                  Axis *ay)
{
    int64_t r = attr_int(node, "scale"), groups = attr_int(node, "groups"), H = off->dim[2], W = off->dim[3];
    int64_t c = (group * r + h % r) * r + w % r, i = h / r, j = w / r;
    *ax = axis(j, load4(off, n, c, i, j), W);
    *ay = axis(i, load4(off, n, groups * r * r + c, i, j), H);
}

static void ref(const RefCall *c)
{
    const Tensor *x = &c->in[0], *off = &c->in[1];
    Tensor *y = &c->out[0];
    int64_t each = x->dim[1] / attr_int(c->n, "groups");
    for (int64_t n = 0; n < y->dim[0]; n++)
        for (int64_t h = 0; h < y->dim[2]; h++)
            for (int64_t w = 0; w < y->dim[3]; w++)
                for (int64_t ch = 0; ch < y->dim[1]; ch++) {
                    Axis u, v;
                    place(c->n, off, n, ch / each, h, w, &u, &v);
                    double top = (1 - u.frac) * load4(x, n, ch, v.lo, u.lo) + u.frac * load4(x, n, ch, v.lo, u.hi);
                    double low = (1 - u.frac) * load4(x, n, ch, v.hi, u.lo) + u.frac * load4(x, n, ch, v.hi, u.hi);
                    store4(y, n, ch, h, w, (1 - v.frac) * top + v.frac * low);
                }
}

/* Four taps of one multiply-accumulate; a profiler of layers has no rule for it. */
static double macs(const Node *n, const Type *in, const Type *out)
{
    return 4 * count_of(&out[0]); /* taps */
}

static Cost cost(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { 2 * macs(n, in, out), 0 };
}

/* ---- dysample_grad: dy [N,C,r H,r W], x, off -> dx like x, doff like off ------------------------------------------
 */

static Status infer_grad(Infer *c)
{
    const Type *dy = &c->in[0], *x = &c->in[1];
    int64_t r = attr_int(c->n, "scale");
    TRY(check(c, x, &c->in[2]));
    for (int d = 0; d < 4; d++)
        if (dy->shape.rank != 4 || dy->shape.dim[d] != x->shape.dim[d] * (d < 2 ? 1 : r))
            return infer_fail(c, "dy has another shape than the result");
    c->out[0] = *x;
    c->out[1] = c->in[2];
    return DYN_OK;
}

/* What output pixel (h, w) adds to pixel (i, j) of dx for each unit of dy. */
static double weight(const Axis *u, const Axis *v, int64_t i, int64_t j)
{
    double row = (v->lo == i ? 1 - v->frac : 0) + (v->hi == i ? v->frac : 0);
    return row * ((u->lo == j ? 1 - u->frac : 0) + (u->hi == j ? u->frac : 0));
}

/* Gathers instead of scattering, so that taps add up in F64 whatever the dtype of dx. */
static void ref_dx(const RefCall *c)
{
    const Tensor *dy = &c->in[0], *off = &c->in[2];
    Tensor *dx = &c->out[0];
    int64_t each = dy->dim[1] / attr_int(c->n, "groups");
    for (int64_t k = 0, count = tensor_count(dx); k < count; k++) {
        int64_t j = k % dx->dim[3], i = k / dx->dim[3] % dx->dim[2], plane = k / dx->dim[3] / dx->dim[2];
        int64_t n = plane / dx->dim[1], ch = plane % dx->dim[1];
        double sum = 0;
        for (int64_t h = 0; h < dy->dim[2]; h++)
            for (int64_t w = 0; w < dy->dim[3]; w++) {
                Axis u, v;
                place(c->n, off, n, ch / each, h, w, &u, &v);
                double part = weight(&u, &v, i, j);
                if (part != 0) sum += part * load4(dy, n, ch, h, w);
            }
        store4(dx, n, ch, i, j, sum);
    }
}

/* The two offsets of output pixel (h, w) in one group: sums over the group's channels. */
static void ref_doff(const RefCall *c, int64_t n, int64_t group, int64_t h, int64_t w)
{
    const Tensor *dy = &c->in[0], *x = &c->in[1], *off = &c->in[2];
    int64_t r = attr_int(c->n, "scale"), groups = attr_int(c->n, "groups"), each = x->dim[1] / groups;
    int64_t to = (group * r + h % r) * r + w % r;
    double du = 0, dv = 0;
    Axis u, v;
    place(c->n, off, n, group, h, w, &u, &v);
    for (int64_t ch = group * each; ch < (group + 1) * each; ch++) {
        double e = load4(dy, n, ch, h, w), x00 = load4(x, n, ch, v.lo, u.lo), x01 = load4(x, n, ch, v.lo, u.hi);
        double x10 = load4(x, n, ch, v.hi, u.lo), x11 = load4(x, n, ch, v.hi, u.hi);
        du += e * ((1 - v.frac) * (x01 - x00) + v.frac * (x11 - x10));
        dv += e * ((1 - u.frac) * (x10 - x00) + u.frac * (x11 - x01));
    }
    store4(&c->out[1], n, to, h / r, w / r, u.inside ? du : 0);
    store4(&c->out[1], n, groups * r * r + to, h / r, w / r, v.inside ? dv : 0);
}

static void ref_grad(const RefCall *c)
{
    const Tensor *dy = &c->in[0];
    ref_dx(c);
    for (int64_t n = 0; n < dy->dim[0]; n++)
        for (int64_t group = 0; group < attr_int(c->n, "groups"); group++)
            for (int64_t h = 0; h < dy->dim[2]; h++)
                for (int64_t w = 0; w < dy->dim[3]; w++)
                    ref_doff(c, n, group, h, w);
}

/* Four taps scattered, and two bilinear slopes. */
static Cost cost_grad(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { (8 + 14) * count_of(&in[0]), 0 };
}

#define SAMPLE_ATTRS "scale=2 groups=4"

static const OpDef op_dysample_grad = { .name = "dysample_grad",
                                        .doc = "gradient of dysample",
                                        .in = "dy x off",
                                        .out = "dx doff",
                                        .attrs = SAMPLE_ATTRS,
                                        .infer = infer_grad,
                                        .ref = ref_grad,
                                        .cost = cost_grad };
const OpDef op_dysample = { .name = "dysample",
                            .doc = "upsampling that reads at learned offsets, bilinearly",
                            .in = "x off",
                            .out = "y",
                            .attrs = SAMPLE_ATTRS,
                            .infer = infer,
                            .grad = grad,
                            .ref = ref,
                            .cost = cost,
                            .macs = macs,
                            .also = &op_dysample_grad,
                            .cases = "x[2,8,3,4] off[2,32,3,4]:wide\n"
                                     "x[1,6,5,2] off[1,36,5,2]:wide scale=3 groups=2\n"
                                     "x[1,5,4,1] off[1,8,4,1]:wide groups=1\n"
                                     "x[3,4,1,3] off[3,8,1,3]:wide scale=1 groups=4\n" };
