/* SPDX-License-Identifier: Apache-2.0
 *
 * v8_assign - which anchor learns which target: the task-aligned assigner (TOOD, Feng et al. 2021; spec 4.1 to 4.3).
 *   maps (v8_util.h)   targets [T,6] rows of image, class, cx, cy, w, h (relative to the input)   n_targets [1] rows
 *   used -> target_box [N,A,4] xyxy input pixels (zeros on background)   cls [N,A] i32, -1 on background
 *           weight [N,A] target score of that class (zero on background)   score_sum [1] max(sum of weights, 1)
 * Without gradient. Constants of the published models: align = score^0.5 iou^6, iou = max(CIoU, 0).
 *
 * Ties, which the reference leaves to its framework: among equal alignments the lower anchor index is taken, among
 * equal overlaps the earlier target. A row whose class or image does not exist takes part in nothing; a box whose
 * corners do not sum to more than zero wins no anchor, but counts as its image's first target (spec 4.3, step 4). */
#include "ops/v8_util.h"

#include <math.h>

static Status infer(Infer *c)
{
    V8Layout q;
    TRY(v8_layout_infer(c, &q));
    const Node *n = c->n;
    int64_t topk = attr_int(n, "topk");
    if (n->n_in != 2 * q.n_level + 2) return infer_fail(c, "wants %d maps, targets and n_targets", 2 * q.n_level);
    const Type *t = &c->in[2 * q.n_level], *used = t + 1;
    if (t->shape.rank != 2 || t->shape.dim[1] != 6 || (t->dtype != F32 && t->dtype != F64))
        return infer_fail(c, "targets must be [T,6], F32 or F64");
    if (used->shape.rank != 1 || used->shape.dim[0] != 1 || used->dtype != I32)
        return infer_fail(c, "n_targets must be I32 [1]");
    if (topk < 1 || topk > V8_MAX_TOPK) return infer_fail(c, "topk must lie in 1 .. %d", V8_MAX_TOPK);
    DType wide = wide_dtype(c->in[0].dtype);
    c->out[0] = (Type) { .dtype = wide, .shape = SHAPE(q.N, q.A, 4) };
    c->out[1] = (Type) { .dtype = I32, .shape = SHAPE(q.N, q.A) };
    c->out[2] = (Type) { .dtype = wide, .shape = SHAPE(q.N, q.A) };
    c->out[3] = (Type) { .dtype = wide, .shape = SHAPE(1) };
    return DYN_OK;
}

/* Boxes are decoded once (softmax, four sides); a pair of target and anchor costs about 40 operations. */
static Cost cost(const Node *n, const Type *in, const Type *out)
{
    double anchors = count_of(&out[1]), sides = count_of(&in[0]) / (double)(in[0].shape.dim[2] * in[0].shape.dim[3]);
    int64_t targets = in[n->n_in - 2].shape.dim[0];
    double per_image = anchors / (double)in[0].shape.dim[0];
    return (Cost) { anchors * 4 * sides / (double)in[0].shape.dim[0] + 40 * per_image * (double)targets, 0 };
}

/* One call of ref. The outputs serve as working memory until they are final: box holds the predicted boxes, row
 * the index of the target that has the anchor. */
typedef struct Assign {
    const Node *n;
    const Tensor *in, *targets;
    V8Layout q;
    int64_t used; /* rows of targets */
    Tensor box, row, weight;
} Assign;

/* Overlap and alignment of a pair, both zero where the anchor's point is not inside the target. */
static double pair(const Assign *s, const V8Target *t, int64_t n, int64_t a, double *align)
{
    V8Anchor at = v8_anchor(&s->q, a);
    *align = 0;
    if (!v8_inside(t, &at)) return 0;
    double box[4];
    for (int k = 0; k < 4; k++)
        box[k] = tensor_get(&s->box, (n * s->q.A + a) * 4 + k);
    return v8_align(t, box, load4(&s->in[s->q.n_level + at.level], n, t->cls, at.y, at.x), align);
}

static void decode(Assign *s, int64_t n)
{
    for (int64_t a = 0; a < s->q.A; a++) {
        V8Anchor at = v8_anchor(&s->q, a);
        double xyxy[4];
        v8_box(&s->in[at.level], &s->q, n, &at, xyxy);
        for (int k = 0; k < 4; k++)
            tensor_set(&s->box, (n * s->q.A + a) * 4 + k, xyxy[k] * at.stride);
        tensor_set(&s->row, n * s->q.A + a, -1);
        tensor_set(&s->weight, n * s->q.A + a, 0);
    }
}

/* The target of the image that overlaps anchor a most, whether it wanted the anchor or not. */
static int64_t winner(const Assign *s, int64_t n, int64_t a)
{
    int64_t best = -1;
    double most = -1, align;
    for (int64_t g = 0; g < s->used; g++) {
        V8Target t = v8_target(s->targets, &s->q, g, n);
        if (!t.here) continue;
        double iou = pair(s, &t, n, a, &align);
        if (iou > most) most = iou, best = g;
    }
    return best;
}

/* Target g asks for its best anchors; one that is already taken goes to the winner. */
static void claim(Assign *s, int64_t n, int64_t g, const V8Target *t)
{
    int64_t best[V8_MAX_TOPK], asked = attr_int(s->n, "topk"), topk = CLAMP(asked, 1, s->q.A), have = 0;
    double align[V8_MAX_TOPK];
    for (int64_t a = 0; a < s->q.A; a++) {
        double v;
        pair(s, t, n, a, &v);
        if (have == topk && !(v > align[have - 1])) continue;
        int64_t k = have < topk ? have++ : have - 1;
        for (; k > 0 && v > align[k - 1]; k--)
            align[k] = align[k - 1], best[k] = best[k - 1];
        align[k] = v, best[k] = a;
    }
    for (int64_t k = 0; k < have; k++) {
        V8Anchor at = v8_anchor(&s->q, best[k]);
        int64_t i = n * s->q.A + best[k];
        if (!v8_inside(t, &at)) continue;
        tensor_set(&s->row, i, tensor_get(&s->row, i) < 0 ? (double)g : (double)winner(s, n, best[k]));
    }
}

/* Scores of the anchors that target g has: the best of them gets its overlap. */
static double score(Assign *s, int64_t n, int64_t g, const V8Target *t)
{
    double most_align = 0, most_iou = 0, align, sum = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t a = 0; a < s->q.A; a++) {
            int64_t i = n * s->q.A + a;
            if (tensor_get(&s->row, i) != (double)g) continue;
            double iou = pair(s, t, n, a, &align);
            if (pass == 0) {
                most_align = MAX(most_align, align), most_iou = MAX(most_iou, iou);
                continue;
            }
            double v = align * most_iou / (most_align + 1e-9);
            tensor_set(&s->weight, i, v);
            sum += v;
        }
    return sum;
}

/* The working values become the results. */
static void finish(Assign *s, int64_t n)
{
    for (int64_t a = 0; a < s->q.A; a++) {
        int64_t i = n * s->q.A + a, g = (int64_t)tensor_get(&s->row, i);
        V8Target t = { .cls = -1 };
        if (g >= 0) t = v8_target(s->targets, &s->q, g, n);
        tensor_set(&s->row, i, (double)t.cls);
        for (int k = 0; k < 4; k++)
            tensor_set(&s->box, i * 4 + k, t.xyxy[k]);
    }
}

static void ref(const RefCall *c)
{
    Assign s = { .n = c->n, .in = c->in, .q = v8_layout(c->n, c->in) };
    s.targets = &c->in[2 * s.q.n_level];
    s.used = CLAMP((int64_t)dtype_load(s.targets[1].data, I32, 0), 0, s.targets->dim[0]);
    s.box = c->out[0], s.row = c->out[1], s.weight = c->out[2];
    double sum = 0;
    for (int64_t n = 0; n < s.q.N; n++) {
        decode(&s, n);
        for (int64_t g = 0; g < s.used; g++) {
            V8Target t = v8_target(s.targets, &s.q, g, n);
            if (t.here && t.valid) claim(&s, n, g, &t);
        }
        for (int64_t g = 0; g < s.used; g++) {
            V8Target t = v8_target(s.targets, &s.q, g, n);
            if (t.here && t.valid) sum += score(&s, n, g, &t);
        }
        finish(&s, n);
    }
    tensor_set(&c->out[3], 0, MAX(sum, 1));
}

const OpDef op_v8_assign = { .name = "v8_assign",
                             .doc = "task-aligned assignment of targets to anchors",
                             .in = "x*",
                             .out = "target_box cls weight score_sum",
                             .attrs = "reg_max=16 strides=8,16,32 topk=10",
                             .infer = infer,
                             .cost = cost,
                             .ref = ref,
                             .cases =
                                 "b0[2,64,4,4] b1[2,64,2,2] c0[2,3,4,4] c1[2,3,2,2] targets[5,6]:wide n_targets[1]:i32 "
                                 "strides=8,16\n" };
