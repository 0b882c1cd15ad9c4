/* SPDX-License-Identifier: Apache-2.0
 *
 * yolo_decode - logits of the detection head to boxes and class probabilities.
 *   inputs, L of each: box maps [N,4 reg_max,h,w], then class maps [N,nc,h,w]; strides: L of them, pixels per cell
 *   y [N,A,4+nc] f32 (F64 when the maps are): cx cy w h in input pixels, then probabilities; score [N,A]: their maximum
 * A cell (i, j) of a level is the anchor (j + 0.5, i + 0.5); anchors run level by level, row-major. A distance to a
 * side is the expectation of 0..reg_max-1 under the softmax of that side's bins (distribution focal loss, Li et al.
 * 2020); sides are in the order left, top, right, bottom. Rows of one anchor lie together because what follows reads by
 * anchor; a file format that wants [N,4+nc,A] transposes. No clipping to the picture, no gradient. */
#include "ops/ops_util.h"

#include <math.h>

enum { MAX_LEVELS = 16 };

static Status infer(Infer *c)
{
    int64_t stride[MAX_LEVELS], bins = attr_int(c->n, "reg_max"), anchors = 0;
    int levels = attr_list(c->n, "strides", stride, MAX_LEVELS);
    const Type *box = c->in, *cls = c->in + MAX(levels, 0);
    if (levels < 1 || c->n->n_in != 2 * levels)
        return infer_fail(c, "strides=%s wants a box map and a class map for each of at most %d strides, got %d maps",
                          attr_text(c->n, "strides"), MAX_LEVELS, c->n->n_in);
    for (int i = 0; i < levels; i++) {
        const int64_t *b = box[i].shape.dim, *k = cls[i].shape.dim;
        if (box[i].shape.rank != 4 || cls[i].shape.rank != 4 || bins < 1 || b[1] % 4 || b[1] / 4 != bins)
            return infer_fail(c, "level %d wants box[N,4*reg_max,h,w] and cls[N,nc,h,w], reg_max is %lld", i,
                              (long long)bins);
        if (b[0] != box[0].shape.dim[0] || k[0] != b[0] || k[1] != cls[0].shape.dim[1] || k[2] != b[2] || k[3] != b[3])
            return infer_fail(c, "level %d: box and class maps differ in size, or from level 0 in N or nc", i);
        anchors += b[2] * b[3];
    }
    c->out[0] = (Type) { .dtype = wide_dtype(box[0].dtype),
                         .shape = SHAPE(box[0].shape.dim[0], anchors, 4 + cls[0].shape.dim[1]) };
    c->out[1] = (Type) { .dtype = c->out[0].dtype, .shape = SHAPE(box[0].shape.dim[0], anchors) };
    return DYN_OK;
}

/* Expectation of the bin number; the largest logit is taken out first, so that nothing overflows. */
static double distance(const Tensor *box, int64_t n, int64_t side, int64_t h, int64_t w, int64_t bins)
{
    double top = -INFINITY, sum = 0, mean = 0;
    for (int64_t k = 0; k < bins; k++)
        top = MAX(top, load4(box, n, side * bins + k, h, w));
    for (int64_t k = 0; k < bins; k++) {
        double e = exp(load4(box, n, side * bins + k, h, w) - top);
        sum += e;
        mean += (double)k * e;
    }
    return mean / sum;
}

static void decode_cell(const RefCall *c, int level, int levels, double stride, int64_t n, int64_t h, int64_t w,
                        int64_t anchor)
{
    const Tensor *box = &c->in[level], *cls = &c->in[levels + level];
    Tensor *y = &c->out[0];
    int64_t row = (n * y->dim[1] + anchor) * y->dim[2], bins = attr_int(c->n, "reg_max");
    double d[4], best = 0;
    for (int side = 0; side < 4; side++)
        d[side] = distance(box, n, side, h, w, bins);
    tensor_set(y, row + 0, ((double)w + 0.5 + (d[2] - d[0]) / 2) * stride);
    tensor_set(y, row + 1, ((double)h + 0.5 + (d[3] - d[1]) / 2) * stride);
    tensor_set(y, row + 2, (d[0] + d[2]) * stride);
    tensor_set(y, row + 3, (d[1] + d[3]) * stride);
    for (int64_t k = 0; k < cls->dim[1]; k++) {
        double p = act_value("sigmoid", load4(cls, n, k, h, w));
        tensor_set(y, row + 4 + k, p);
        best = MAX(best, p);
    }
    tensor_set(&c->out[1], n * y->dim[1] + anchor, best);
}

static void ref(const RefCall *c)
{
    int64_t stride[MAX_LEVELS];
    int levels = attr_list(c->n, "strides", stride, MAX_LEVELS);
    for (int64_t n = 0; n < c->out[0].dim[0]; n++) {
        int64_t anchor = 0;
        for (int i = 0; i < levels; i++)
            for (int64_t h = 0; h < c->in[i].dim[2]; h++)
                for (int64_t w = 0; w < c->in[i].dim[3]; w++)
                    decode_cell(c, i, levels, (double)stride[i], n, h, w, anchor++);
    }
}

/* True: a maximum, a difference, an exponential, two sums and a product per bin, 20 per box, 4 per class. A profiler
 * sees the convolution that the reference writes the expectation as (spec 2.10): one MAC per bin. */
/* The reference has a convolution that takes the mean of each distribution. */
static double macs(const Node *n, const Type *in, const Type *out)
{
    return count_of(&out[1]) * 4 * (double)attr_int(n, "reg_max");
}

static Cost cost(const Node *n, const Type *in, const Type *out)
{
    double anchors = count_of(&out[1]), bins = 4 * (double)attr_int(n, "reg_max");
    return (Cost) { anchors * (6 * bins + 20 + 4 * (double)(out[0].shape.dim[2] - 4)), macs(n, in, out) };
}

const OpDef op_yolo_decode = { .name = "yolo_decode",
                               .doc = "detection logits to boxes and class probabilities",
                               .in = "x*",
                               .out = "y score",
                               .attrs = "reg_max=16 strides=8,16,32",
                               .infer = infer,
                               .ref = ref,
                               .cost = cost,
                               .macs = macs,
                               .cases = "b0[1,64,3,5] b1[1,64,2,3] b2[1,64,1,2] c0[1,5,3,5] c1[1,5,2,3] c2[1,5,1,2]\n"
                                        "b0[3,16,2,2] b1[3,16,1,1] c0[3,1,2,2] c1[3,1,1,1] reg_max=4 strides=4,64\n"
                                        "b0[1,8,3,1] c0[1,17,3,1] reg_max=2 strides=16\n" };
