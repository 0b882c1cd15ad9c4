/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/conv_util.h"

const ConvPorts *conv_ports(const OpDef *op)
{
    static const ConvPorts plain = { 1, 2, 3, -1, 0 }, dynamic = { 1, 7, 8, 3, 1 };
    return op == &op_conv2d ? &plain : op == &op_dynconv2d ? &dynamic : NULL;
}

/* Bounded, so that no product with a size (below 2^40) overflows. */
static bool attributes_fit(const ConvGeometry *q)
{
    enum { MOST = 1 << 20 };
    return q->stride >= 1 && q->stride <= MOST && q->dilation >= 1 && q->dilation <= MOST && q->groups >= 1 &&
           q->groups <= MOST && q->pad_h >= 0 && q->pad_h <= MOST && q->pad_w <= MOST;
}

static int64_t span(int64_t k, int64_t dilation)
{
    return dilation * (k - 1) + 1;
}

/* Padding before, and outputs, along one dimension. */
static void place(const ConvGeometry *q, bool same, int64_t in, int64_t k, int64_t *pad, int64_t *out)
{
    if (!attributes_fit(q)) {
        *out = 0;
    } else if (same) {
        *out = (in + q->stride - 1) / q->stride;
        *pad = MAX((*out - 1) * q->stride + span(k, q->dilation) - in, 0) / 2;
    } else {
        int64_t room = in + 2 * *pad - span(k, q->dilation);
        *out = room < 0 ? 0 : room / q->stride + 1;
    }
}

ConvGeometry conv_geometry(const Node *n, const int64_t x[4], const int64_t w[4], bool same)
{
    int64_t pad = attr_int(n, "pad"), pad_w = attr_int(n, "pad_w");
    ConvGeometry q = { .stride = attr_int(n, "stride"),
                       .dilation = attr_int(n, "dilation"),
                       .groups = attr_int(n, "groups"),
                       .pad_h = pad,
                       .pad_w = pad_w < 0 ? pad : pad_w,
                       .O = w[0],
                       .I = w[1],
                       .kh = w[2],
                       .kw = w[3],
                       .C = x[1],
                       .H = x[2],
                       .W = x[3] };
    place(&q, same, q.H, q.kh, &q.pad_h, &q.Ho);
    place(&q, same, q.W, q.kw, &q.pad_w, &q.Wo);
    return q;
}

Status conv_check(Infer *c, const ConvGeometry *q)
{
    if (!attributes_fit(q))
        return infer_fail(c, "stride, dilation and groups must be at least 1, pad at least 0, none above 2^20");
    if (q->I * q->groups != q->C || q->O % q->groups)
        return infer_fail(c, "weight wants %lld input channels in %lld groups, input has %lld",
                          (long long)(q->I * q->groups), (long long)q->groups, (long long)q->C);
    return DYN_OK;
}

Status conv_infer_y(Infer *c, const ConvGeometry *q, const Type *x, const Type *res)
{
    Type *y = &c->out[0];
    TRY(conv_check(c, q));
    if (!act_known(attr_text(c->n, "act"))) return infer_fail(c, "unknown activation '%s'", attr_text(c->n, "act"));
    *y = (Type) { .dtype = x->dtype, .shape = SHAPE(x->shape.dim[0], q->O, q->Ho, q->Wo) };
    if (attr_is(c->n, "out", "f32")) y->dtype = wide_dtype(x->dtype);
    if (res && res->shape.rank >= 0 && !shape_eq(&res->shape, &y->shape))
        return infer_fail(c, "the residual has another shape than the result");
    return DYN_OK;
}

Status conv_infer_grad(Infer *c, const Type *dy, const Type *x, const Type *w, const Type *like)
{
    char got[96], wanted[96];
    if (x->shape.rank != 4 || w->shape.rank != 4) return infer_fail(c, "wants x[N,C,H,W] and w[O,C/groups,kh,kw]");
    ConvGeometry q = conv_geometry(c->n, x->shape.dim, w->shape.dim, false);
    TRY(conv_check(c, &q));
    Shape y = SHAPE(x->shape.dim[0], q.O, q.Ho, q.Wo);
    if (!shape_eq(&dy->shape, &y))
        return infer_fail(c, "dy is %s, x and w want %s", shape_text(&dy->shape, got, sizeof got),
                          shape_text(&y, wanted, sizeof wanted));
    c->out[0] = *like;
    return DYN_OK;
}

double conv_macs(const ConvGeometry *q, int64_t batch)
{
    return (double)batch * (double)(q->O * q->Ho * q->Wo) * (double)(q->I * q->kh * q->kw);
}

double conv_extra_flops(const Node *n, const Type *y, bool bias, bool res)
{
    return count_of(y) * (bias + res + (attr_is(n, "act", "none") ? 0 : 4));
}

double conv_y_at(const ConvGeometry *q, const RefCall *c, ConvWeight *w, const Tensor *x, int64_t n, int64_t o,
                 int64_t h, int64_t v)
{
    int64_t first = o / (q->O / q->groups) * q->I;
    double sum = 0;
    for (int64_t i = 0; i < q->I; i++)
        for (int64_t a = 0; a < q->kh; a++)
            for (int64_t b = 0; b < q->kw; b++) {
                int64_t hi = h * q->stride - q->pad_h + a * q->dilation;
                int64_t wi = v * q->stride - q->pad_w + b * q->dilation;
                if (hi < 0 || wi < 0 || hi >= q->H || wi >= q->W) continue;
                sum += load4(x, n, first + i, hi, wi) * w(q, c, n, o, i, a, b);
            }
    return sum;
}

double conv_dx_at(const ConvGeometry *q, const RefCall *c, ConvWeight *w, const Tensor *dy, int64_t n, int64_t ch,
                  int64_t hi, int64_t wi)
{
    int64_t per_group = q->O / q->groups;
    double sum = 0;
    for (int64_t a = 0; a < q->kh; a++)
        for (int64_t b = 0; b < q->kw; b++) {
            int64_t h = hi + q->pad_h - a * q->dilation, v = wi + q->pad_w - b * q->dilation;
            if (h < 0 || v < 0 || h % q->stride || v % q->stride) continue;
            h /= q->stride, v /= q->stride;
            if (h >= q->Ho || v >= q->Wo) continue;
            for (int64_t k = 0; k < per_group; k++) {
                int64_t o = ch / q->I * per_group + k;
                sum += load4(dy, n, o, h, v) * w(q, c, n, o, ch % q->I, a, b);
            }
        }
    return sum;
}

double conv_dw_at(const ConvGeometry *q, const Tensor *dy, const Tensor *x, int64_t n, int64_t o, int64_t i, int64_t a,
                  int64_t b)
{
    int64_t ch = o / (q->O / q->groups) * q->I + i;
    double sum = 0;
    for (int64_t h = 0; h < q->Ho; h++)
        for (int64_t v = 0; v < q->Wo; v++) {
            int64_t hi = h * q->stride - q->pad_h + a * q->dilation;
            int64_t wi = v * q->stride - q->pad_w + b * q->dilation;
            if (hi < 0 || wi < 0 || hi >= q->H || wi >= q->W) continue;
            sum += load4(dy, n, o, h, v) * load4(x, n, ch, hi, wi);
        }
    return sum;
}

double conv_db_at(const Tensor *dy, int64_t n, int64_t o)
{
    double sum = 0;
    for (int64_t h = 0; h < dy->dim[2]; h++)
        for (int64_t w = 0; w < dy->dim[3]; w++)
            sum += load4(dy, n, o, h, w);
    return sum;
}
