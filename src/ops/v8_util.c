/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/v8_util.h"

#include <math.h>

int v8_strides(const Node *n, double *stride)
{
    int64_t list[V8_MAX_LEVELS];
    int count = attr_list(n, "strides", list, V8_MAX_LEVELS);
    for (int i = 0; i < count; i++) {
        if (list[i] <= 0 || list[i] > 1 << 20) return 0;
        stride[i] = (double)list[i];
    }
    return MAX(count, 0);
}

static void place_level(V8Layout *q, int i, int64_t h, int64_t w, double stride)
{
    q->level[i] = (V8Level) { .h = h, .w = w, .first = q->A, .stride = stride };
    q->A += h * w;
    if (i == 0) q->width = (double)w * stride, q->height = (double)h * stride;
}

Status v8_layout_infer(Infer *c, V8Layout *q)
{
    double stride[V8_MAX_LEVELS];
    int n = v8_strides(c->n, stride);
    *q = (V8Layout) { .n_level = n, .bins = (int)CLAMP(attr_int(c->n, "reg_max"), 0, V8_MAX_BINS + 1) };
    if (!n) return infer_fail(c, "strides must be one to %d whole numbers: 8,16,32", V8_MAX_LEVELS);
    if (q->bins < 2 || q->bins > V8_MAX_BINS) return infer_fail(c, "reg_max must lie in 2 .. %d", V8_MAX_BINS);
    if (c->n->n_in < 2 * n) return infer_fail(c, "wants a box and a class map for each of %d strides", n);
    q->N = c->in[0].shape.dim[0];
    q->nc = c->in[n].shape.rank == 4 ? c->in[n].shape.dim[1] : 0;
    for (int i = 0; i < n; i++) {
        const Type *b = &c->in[i], *k = &c->in[n + i];
        const int64_t *bd = b->shape.dim, *kd = k->shape.dim;
        if (b->shape.rank != 4 || k->shape.rank != 4 || b->rowmajor || k->rowmajor)
            return infer_fail(c, "level %d: wants maps [N,C,h,w]", i);
        if (bd[0] != q->N || kd[0] != q->N || bd[2] != kd[2] || bd[3] != kd[3])
            return infer_fail(c, "level %d: box and class map differ in batch, height or width", i);
        if (bd[1] != 4 * q->bins || kd[1] != q->nc)
            return infer_fail(c, "level %d: %lld box and %lld class channels, wants %d and %lld", i, (long long)bd[1],
                              (long long)kd[1], 4 * q->bins, (long long)q->nc);
        place_level(q, i, bd[2], bd[3], stride[i]);
    }
    return DYN_OK;
}

V8Layout v8_layout(const Node *n, const Tensor *in)
{
    double stride[V8_MAX_LEVELS] = { 0 };
    V8Layout q = { .n_level = v8_strides(n, stride), .bins = (int)attr_int(n, "reg_max"), .N = in[0].dim[0] };
    q.nc = in[q.n_level].dim[1];
    for (int i = 0; i < q.n_level; i++)
        place_level(&q, i, in[i].dim[2], in[i].dim[3], stride[i]);
    return q;
}

V8Anchor v8_anchor(const V8Layout *q, int64_t a)
{
    int i = q->n_level - 1;
    while (i > 0 && a < q->level[i].first)
        i--;
    int64_t cell = a - q->level[i].first, y = cell / q->level[i].w, x = cell % q->level[i].w;
    return (V8Anchor) { i, y, x, (double)x + 0.5, (double)y + 0.5, q->level[i].stride };
}

double v8_side(const double *z, int bins, double *p, double *log_sum)
{
    double top = z[0], sum = 0, mean = 0;
    for (int k = 1; k < bins; k++)
        top = MAX(top, z[k]);
    for (int k = 0; k < bins; k++)
        sum += p[k] = exp(z[k] - top);
    for (int k = 0; k < bins; k++)
        mean += k * (p[k] /= sum);
    *log_sum = top + log(sum);
    return mean;
}

void v8_logits(const Tensor *box, const V8Layout *q, int64_t n, const V8Anchor *at, double *z)
{
    for (int s = 0; s < 4; s++)
        for (int k = 0; k < q->bins; k++)
            z[s * q->bins + k] = load4(box, n, s * q->bins + k, at->y, at->x);
}

void v8_box(const Tensor *box, const V8Layout *q, int64_t n, const V8Anchor *at, double xyxy[4])
{
    double z[4 * V8_MAX_BINS], p[V8_MAX_BINS], log_sum, d[4];
    v8_logits(box, q, n, at, z);
    for (int s = 0; s < 4; s++)
        d[s] = v8_side(z + s * q->bins, q->bins, p, &log_sum);
    xyxy[0] = at->px - d[0], xyxy[1] = at->py - d[1];
    xyxy[2] = at->px + d[2], xyxy[3] = at->py + d[3];
}

/* Derivative of min(a, b) by a; of max(a, b) it is slope_min(b, a). Equal arguments share it. */
static double slope_min(double a, double b)
{
    return a < b ? 1 : a > b ? 0 : 0.5;
}

/* Span of two intervals (lo, hi), and what CIoU needs of its derivative by the first. */
typedef struct Span {
    double common, whole;
    double d_common[2], d_whole[2];
} Span;

static Span span(double lo, double hi, double lo2, double hi2)
{
    Span s = { .common = MIN(hi, hi2) - MAX(lo, lo2), .whole = MAX(hi, hi2) - MIN(lo, lo2) };
    if (s.common >= 0) s.d_common[0] = -slope_min(lo2, lo), s.d_common[1] = slope_min(hi, hi2);
    s.common = MAX(s.common, 0);
    s.d_whole[0] = -slope_min(lo, lo2), s.d_whole[1] = slope_min(hi2, hi);
    return s;
}

double v8_ciou(const double a[4], const double b[4], double d[4])
{
    static const double pi = 3.14159265358979323846, eps = 1e-7;
    /* eps on the heights only: the reference's own asymmetry, which thin boxes show */
    double w1 = a[2] - a[0], h1 = a[3] - a[1] + eps, w2 = b[2] - b[0], h2 = b[3] - b[1] + eps;
    Span x = span(a[0], a[2], b[0], b[2]), y = span(a[1], a[3], b[1], b[3]);
    double inter = x.common * y.common, all = w1 * h1 + w2 * h2 - inter + eps, iou = inter / all;
    double c2 = x.whole * x.whole + y.whole * y.whole + eps;
    double sx = b[0] + b[2] - a[0] - a[2], sy = b[1] + b[3] - a[1] - a[3], rho2 = (sx * sx + sy * sy) / 4;
    double turn = atan(w2 / h2) - atan(w1 / h1), v = 4 / (pi * pi) * turn * turn, alpha = v / (v - iou + 1 + eps);
    if (d) {
        double dv = -8 / (pi * pi) * turn / (w1 * w1 + h1 * h1), dv_side[2] = { dv * h1, -dv * w1 };
        for (int k = 0; k < 4; k++) {
            const Span *s = k % 2 ? &y : &x, *other = k % 2 ? &x : &y;
            double sign = k < 2 ? -1 : 1, d_inter = s->d_common[k / 2] * other->common;
            double d_all = sign * (k % 2 ? w1 : h1) - d_inter;
            double d_iou = (d_inter * all - inter * d_all) / (all * all);
            double d_c2 = 2 * s->whole * s->d_whole[k / 2], d_rho2 = -(k % 2 ? sy : sx) / 2;
            d[k] = d_iou - (d_rho2 * c2 - rho2 * d_c2) / (c2 * c2) - alpha * sign * dv_side[k % 2];
        }
    }
    return iou - rho2 / c2 - v * alpha;
}

/* ---- targets --------------------------------------------------------------------------------------------------- */

V8Target v8_target(const Tensor *targets, const V8Layout *q, int64_t row, int64_t image)
{
    double v[6];
    for (int k = 0; k < 6; k++)
        v[k] = dtype_load(targets->data, targets->dtype, row * 6 + k);
    V8Target t = { .here = v[0] == (double)image && v[1] >= 0 && v[1] < (double)q->nc };
    if (!t.here) return t;
    double cx = v[2] * q->width, cy = v[3] * q->height, w = v[4] * q->width, h = v[5] * q->height;
    t.cls = (int64_t)v[1];
    t.xyxy[0] = cx - w / 2, t.xyxy[1] = cy - h / 2, t.xyxy[2] = cx + w / 2, t.xyxy[3] = cy + h / 2;
    t.valid = t.xyxy[0] + t.xyxy[1] + t.xyxy[2] + t.xyxy[3] > 0;
    return t;
}

bool v8_inside(const V8Target *t, const V8Anchor *at)
{
    double x = at->px * at->stride, y = at->py * at->stride;
    return t->valid && MIN(MIN(x - t->xyxy[0], y - t->xyxy[1]), MIN(t->xyxy[2] - x, t->xyxy[3] - y)) > 1e-9;
}

double v8_align(const V8Target *t, const double box[4], double z, double *align)
{
    double iou = v8_ciou(t->xyxy, box, NULL);
    *align = 0;
    if (!(iou > 0)) return 0;
    *align = sqrt(1 / (1 + exp(-z))) * pow(iou, 6);
    return iou;
}

/* ---- what the loss asks of one anchor ------------------------------------------------------------------------ */

V8Goal v8_goal(const Tensor *assigned, const V8Layout *q, int64_t i, const V8Anchor *at)
{
    V8Goal g = { .weight = tensor_get(&assigned[2], i) };
    for (int k = 0; k < 4; k++) {
        g.xyxy[k] = tensor_get(&assigned[0], i * 4 + k) / at->stride;
        double point = k % 2 ? at->py : at->px, reach = k < 2 ? point - g.xyxy[k] : g.xyxy[k] - point;
        reach = CLAMP(reach, 0, q->bins - 1 - 0.01);
        g.lo[k] = (int)reach;
        g.hi_part[k] = reach - g.lo[k];
    }
    return g;
}

const Tensor *v8_class_weight(const Node *n, const Tensor *in)
{
    double stride[V8_MAX_LEVELS];
    int at = 2 * v8_strides(n, stride) + 4, last = n->n_in - str_eq(n->op->name, "v8_loss_grad"); /* dy */
    return at < last ? &in[at] : NULL;
}

void v8_box_terms(const Tensor *box, const V8Layout *q, int64_t n, const V8Anchor *at, const V8Goal *g,
                  double *box_loss, double *dfl_loss)
{
    double z[4 * V8_MAX_BINS], p[V8_MAX_BINS], log_sum, d[4], ce = 0;
    v8_logits(box, q, n, at, z);
    for (int s = 0; s < 4; s++) {
        const double *zs = z + s * q->bins;
        d[s] = v8_side(zs, q->bins, p, &log_sum);
        ce += log_sum - zs[g->lo[s]] * (1 - g->hi_part[s]) - zs[g->lo[s] + 1] * g->hi_part[s];
    }
    double pred[4] = { at->px - d[0], at->py - d[1], at->px + d[2], at->py + d[3] };
    *box_loss += (1 - v8_ciou(pred, g->xyxy, NULL)) * g->weight;
    *dfl_loss += ce / 4 * g->weight;
}

void v8_box_gradient(const Tensor *box, const V8Layout *q, int64_t n, const V8Anchor *at, const V8Goal *g,
                     double gain_box, double gain_dfl, double *dz)
{
    double z[4 * V8_MAX_BINS], p[4][V8_MAX_BINS], log_sum, d[4], by_corner[4];
    v8_logits(box, q, n, at, z);
    for (int s = 0; s < 4; s++)
        d[s] = v8_side(z + s * q->bins, q->bins, p[s], &log_sum);
    double pred[4] = { at->px - d[0], at->py - d[1], at->px + d[2], at->py + d[3] };
    v8_ciou(pred, g->xyxy, by_corner);
    for (int s = 0; s < 4; s++) {
        double by_side = (s < 2 ? 1 : -1) * by_corner[s] * gain_box * g->weight;
        double ce = gain_dfl / 4 * g->weight;
        double *out = dz + s * q->bins;
        for (int k = 0; k < q->bins; k++)
            out[k] = p[s][k] * (by_side * (k - d[s]) + ce);
        out[g->lo[s]] -= ce * (1 - g->hi_part[s]);
        out[g->lo[s] + 1] -= ce * g->hi_part[s];
    }
}
