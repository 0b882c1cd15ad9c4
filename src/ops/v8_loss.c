/* SPDX-License-Identifier: Apache-2.0
 *
 * v8_loss - the three terms of a YOLOv8 detector's loss (spec 4.5 to 4.7; GFL, Li et al. 2020, for the distributions).
 *   maps (v8_util.h) and v8_assign's target_box, cls, weight, score_sum; class_weight [nc], which may be left out
 *   -> loss [1] = N * sum of items, for the gradient   items [3] box, cls, dfl with their gains, for the reports
 * Box terms are taken over anchors with a weight, in grid units; the class term over all anchors and classes, each
 * class's times its class_weight. Sums in double. Gradient (v8_loss_grad) by the maps only: the assignment is a
 * constant, and dy of items is not followed. */
#include "ops/v8_util.h"

#include <math.h>

#define LOSS_ATTRS "reg_max=16 strides=8,16,32 box=7.5 cls=0.5 dfl=1.5"

static Status check(Infer *c, V8Layout *q, int extra)
{
    TRY(v8_layout_infer(c, q));
    const Type *t = &c->in[2 * q->n_level];
    int given = c->n->n_in - 2 * q->n_level - extra;
    if (given != 4 && given != 5)
        return infer_fail(c, "wants %d maps, target_box, cls, weight, score_sum and perhaps class_weight",
                          2 * q->n_level);
    Shape box = SHAPE(q->N, q->A, 4), one = SHAPE(q->N, q->A), classes = SHAPE(q->nc);
    if (!shape_eq(&t[0].shape, &box) || !shape_eq(&t[1].shape, &one) || !shape_eq(&t[2].shape, &one) ||
        shape_count(&t[3].shape) != 1 || t[1].dtype != I32)
        return infer_fail(c, "the assignment is not one of %lld anchors of %lld images", (long long)q->A,
                          (long long)q->N);
    if (given == 5 && !shape_eq(&t[4].shape, &classes))
        return infer_fail(c, "class_weight is not one number for each of %lld classes", (long long)q->nc);
    return DYN_OK;
}

static Status infer(Infer *c)
{
    V8Layout q;
    TRY(check(c, &q, 0));
    DType wide = wide_dtype(c->in[0].dtype);
    c->out[0] = (Type) { .dtype = wide, .shape = SHAPE(1) };
    c->out[1] = (Type) { .dtype = wide, .shape = SHAPE(3) };
    return DYN_OK;
}

static double map_elements(const Node *n, const Type *in)
{
    double sum = 0, stride[V8_MAX_LEVELS];
    for (int i = 0, maps = 2 * v8_strides(n, stride); i < maps; i++)
        sum += count_of(&in[i]);
    return sum;
}

/* About 8 operations a logit: an upper bound, since box logits count on the foreground only. */
static Cost cost(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { 8 * map_elements(n, in), 0 };
}

static void ref(const RefCall *c)
{
    V8Layout q = v8_layout(c->n, c->in);
    const Tensor *assigned = &c->in[2 * q.n_level], *class_weight = v8_class_weight(c->n, c->in);
    double box = 0, dfl = 0, bce = 0;
    for (int64_t n = 0; n < q.N; n++)
        for (int64_t a = 0; a < q.A; a++) {
            V8Anchor at = v8_anchor(&q, a);
            int64_t i = n * q.A + a, cls = (int64_t)tensor_get(&assigned[1], i);
            V8Goal g = v8_goal(assigned, &q, i, &at);
            if (g.weight > 0) v8_box_terms(&c->in[at.level], &q, n, &at, &g, &box, &dfl);
            for (int64_t k = 0; k < q.nc; k++) {
                double z = load4(&c->in[q.n_level + at.level], n, k, at.y, at.x), want = k == cls ? g.weight : 0;
                double w = class_weight ? tensor_get(class_weight, k) : 1;
                bce += w * (MAX(z, 0) - z * want + log1p(exp(-fabs(z))));
            }
        }
    double sum = tensor_get(&assigned[3], 0);
    double item[3] = { attr_float(c->n, "box") * box / sum, attr_float(c->n, "cls") * bce / sum,
                       attr_float(c->n, "dfl") * dfl / sum };
    tensor_set(&c->out[0], 0, (item[0] + item[1] + item[2]) * (double)q.N);
    for (int k = 0; k < 3; k++)
        tensor_set(&c->out[1], k, item[k]);
}

/* ---- v8_loss_grad: v8_loss's inputs, then dy [1] -> d box_0 .. , d cls_0 .., each like its map, but where that is f32
 * in the dtype of activations: it is what the convolution that made the map wants for its own gradients. -------------
 */

static Status infer_grad(Infer *c)
{
    V8Layout q;
    TRY(check(c, &q, 1));
    if (c->n->n_out != 2 * q.n_level) return infer_fail(c, "n_out must be %d", 2 * q.n_level);
    for (int i = 0; i < c->n->n_out; i++) {
        c->out[i] = c->in[i];
        if (c->in[i].dtype == F32) c->out[i].dtype = c->bind->act;
    }
    return DYN_OK;
}

static Cost cost_grad(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { 8 * map_elements(n, in), 0 };
}

static void ref_grad(const RefCall *c)
{
    V8Layout q = v8_layout(c->n, c->in);
    const Tensor *assigned = &c->in[2 * q.n_level], *class_weight = v8_class_weight(c->n, c->in);
    double scale = tensor_get(&c->in[c->n->n_in - 1], 0) * (double)q.N / tensor_get(&assigned[3], 0);
    for (int64_t n = 0; n < q.N; n++)
        for (int64_t a = 0; a < q.A; a++) {
            V8Anchor at = v8_anchor(&q, a);
            int64_t i = n * q.A + a, cls = (int64_t)tensor_get(&assigned[1], i);
            V8Goal g = v8_goal(assigned, &q, i, &at);
            double dz[4 * V8_MAX_BINS] = { 0 };
            if (g.weight > 0)
                v8_box_gradient(&c->in[at.level], &q, n, &at, &g, scale * attr_float(c->n, "box"),
                                scale * attr_float(c->n, "dfl"), dz);
            for (int k = 0; k < 4 * q.bins; k++)
                store4(&c->out[at.level], n, k, at.y, at.x, dz[k]);
            for (int64_t k = 0; k < q.nc; k++) {
                double z = load4(&c->in[q.n_level + at.level], n, k, at.y, at.x), want = k == cls ? g.weight : 0;
                double w = class_weight ? tensor_get(class_weight, k) : 1;
                store4(&c->out[q.n_level + at.level], n, k, at.y, at.x,
                       scale * attr_float(c->n, "cls") * w * (1 / (1 + exp(-z)) - want));
            }
        }
}

static void grad(Grad *c)
{
    enum { MAX_IN = 2 * V8_MAX_LEVELS + 6, MAX_ATTR = 8 };
    double stride[V8_MAX_LEVELS];
    int maps = 2 * v8_strides(c->n, stride);
    if (!c->dy[0].id) return;
    Value in[MAX_IN];
    Attr attr[MAX_ATTR];
    memcpy(in, c->in, (size_t)c->n->n_in * sizeof *in);
    memcpy(attr, c->n->attr, (size_t)c->n->n_attr * sizeof *attr);
    in[c->n->n_in] = c->dy[0];
    attr[c->n->n_attr] = A_INT("n_out", maps);
    Value d = graph_emit(c->g, op_v8_loss.also, in, c->n->n_in + 1, attr, c->n->n_attr + 1);
    for (int i = 0; i < maps; i++)
        if (c->need[i]) c->dx[i] = EMIT(c->g, cast, INS(value_at(d, i), c->in[i]), NO_ATTRS);
}

static const OpDef op_v8_loss_grad = { .name = "v8_loss_grad",
                                       .doc = "gradient of v8_loss by the maps of the head",
                                       .in = "x*",
                                       .out = "dx*",
                                       .attrs = LOSS_ATTRS " n_out=6",
                                       .infer = infer_grad,
                                       .cost = cost_grad,
                                       .ref = ref_grad };
const OpDef op_v8_loss = { .name = "v8_loss",
                           .doc = "box, class and distribution loss of a YOLOv8 head",
                           .in = "x*",
                           .out = "loss items",
                           .attrs = LOSS_ATTRS,
                           .infer = infer,
                           .grad = grad,
                           .cost = cost,
                           .ref = ref,
                           .also = &op_v8_loss_grad,
                           /* The boxes' gradient takes CIoU's alpha for a constant: no differences there. */
                           .cases = "b0[2,64,4,4]:const b1[2,64,2,2]:const c0[2,3,4,4] c1[2,3,2,2] "
                                    "target_box[2,20,4]:const:wide cls[2,20]:i32 weight[2,20]:const:pos:wide "
                                    "score_sum[1]:const:pos:wide strides=8,16\n"
                                    "b0[2,64,4,4]:const b1[2,64,2,2]:const c0[2,3,4,4] c1[2,3,2,2] "
                                    "target_box[2,20,4]:const:wide cls[2,20]:i32 weight[2,20]:const:pos:wide "
                                    "score_sum[1]:const:pos:wide class_weight[3]:const:pos:wide strides=8,16\n" };
