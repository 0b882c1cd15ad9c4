/* SPDX-License-Identifier: Apache-2.0
 *
 * nms - greedy non-maximum suppression, spec 8.2, without its clock.
 *
 * Three steps. Scan: count the scores above the threshold anchor by anchor, vectorised in either contiguous layout;
 * only anchors with a hit are looked at again. Sort: survivors only. Suppress: walk in score order and compare each box
 * with the kept boxes of its class; the walk ends when max_det boxes are kept, so the cost is survivors x kept, not
 * survivors squared. Classes are kept apart by shifting boxes by class * 7680 in float32, whose rounding is part of the
 * definition, so the shifted coordinates are what is compared. When every box lies within a span smaller than the
 * shift, boxes of different classes cannot meet and only the own class's kept boxes need a look; otherwise all are
 * compared. */
#include "eval/eval.h"
#include "eval/sort.h"

#include <math.h>
#include <string.h>

static const float CLASS_SHIFT = 7680.f;

NmsOpt nms_defaults_predict(void)
{
    return (NmsOpt) { .conf = 0.25, .iou = 0.7, .max_det = 300, .max_nms = 30000 };
}

NmsOpt nms_defaults_val(void)
{
    return (NmsOpt) { .conf = 0.001, .iou = 0.7, .max_det = 300, .max_nms = 30000, .multi_label = true };
}

/* (anchor, class) pairs above the threshold, in that order. */
typedef struct Rows {
    uint32_t *anchor;
    int32_t *cls;
    float *score;
    size_t n;
    uint32_t *hit, *next; /* scratch [A]: anchors with a row, and where their next row goes */
} Rows;

/* Kept boxes as columns, so that one comparison runs over many; each bucket owns a slice. */
typedef struct Kept {
    float *x1, *y1, *x2, *y2, *area;
    size_t *start, *len; /* [buckets] */
} Kept;

static float at(const Predictions *p, int64_t anchor, int64_t channel)
{
    return p->data[anchor * p->anchor_stride + channel * p->channel_stride];
}

static void corners(const Predictions *p, int64_t anchor, float xyxy[4])
{
    float xywh[4] = { at(p, anchor, 0), at(p, anchor, 1), at(p, anchor, 2), at(p, anchor, 3) };
    box_xywh_to_xyxy(xywh, xyxy);
}

/* hits[a] = number of classes of anchor a above conf; returns the sum. */
static size_t count_hits(const Predictions *p, float conf, int32_t *hits)
{
    enum { BLOCK = 1024 }; /* anchors whose counters stay in L1 while the class rows stream by */
    size_t total = 0;
    if (p->anchor_stride == 1) {
        for (int64_t a0 = 0; a0 < p->n_anchors; a0 += BLOCK) {
            int64_t n = MIN(BLOCK, p->n_anchors - a0);
            for (int64_t c = 0; c < p->nc; c++) {
                const float *s = p->data + (4 + c) * p->channel_stride + a0;
                int32_t *h = hits + a0;
#pragma omp simd
                for (int64_t i = 0; i < n; i++)
                    h[i] += s[i] > conf;
            }
        }
    } else {
        for (int64_t a = 0; a < p->n_anchors; a++) {
            const float *s = p->data + a * p->anchor_stride + 4 * p->channel_stride;
            int64_t step = p->channel_stride;
            int32_t n = 0;
            if (step == 1) {
#pragma omp simd reduction(+ : n)
                for (int64_t c = 0; c < p->nc; c++)
                    n += s[c] > conf;
            } else {
                for (int64_t c = 0; c < p->nc; c++)
                    n += s[c * step] > conf;
            }
            hits[a] = n;
        }
    }
    for (int64_t a = 0; a < p->n_anchors; a++)
        total += (size_t)hits[a];
    return total;
}

static void put(Rows *rows, size_t i, int64_t anchor, int64_t cls, float score)
{
    rows->anchor[i] = (uint32_t)anchor;
    rows->cls[i] = (int32_t)cls;
    rows->score[i] = score;
}

static int64_t best_class(const Predictions *p, int64_t anchor)
{
    int64_t best = 0;
    for (int64_t c = 1; c < p->nc; c++)
        if (at(p, anchor, 4 + c) > at(p, anchor, 4 + best)) best = c;
    return best;
}

static void gather_best(const Predictions *p, const bool *wanted, const int32_t *hits, Rows *rows)
{
    for (int64_t a = 0; a < p->n_anchors; a++) {
        if (!hits[a]) continue;
        int64_t c = best_class(p, a);
        if (!wanted || wanted[c]) put(rows, rows->n++, a, c, at(p, a, 4 + c));
    }
}

/* Rows by anchor, then class. Memory is walked along its own order: with class rows the place of each anchor's rows is
 * counted off first and the classes come one after another. hits is used up. */
static void gather_all(const Predictions *p, float conf, const bool *wanted, int32_t *hits, Rows *rows)
{
    if (p->anchor_stride != 1) {
        for (int64_t a = 0; a < p->n_anchors; a++)
            for (int64_t c = 0; hits[a]; c++) {
                float s = at(p, a, 4 + c);
                if (!(s > conf)) continue;
                hits[a]--;
                if (!wanted || wanted[c]) put(rows, rows->n++, a, c, s);
            }
        return;
    }
    int64_t n_hit = 0;
    uint32_t *next = rows->next, *hit = rows->hit;
    for (int64_t a = 0; a < p->n_anchors; a++) {
        if (!hits[a]) continue;
        hit[n_hit] = (uint32_t)a, next[n_hit++] = (uint32_t)rows->n;
        rows->n += (size_t)hits[a];
    }
    for (int64_t c = 0; c < p->nc; c++) {
        const float *s = p->data + (4 + c) * p->channel_stride;
        for (int64_t i = 0; i < n_hit; i++)
            if (s[hit[i]] > conf) put(rows, next[i]++, hit[i], c, s[hit[i]]);
    }
    if (!wanted) return;
    size_t kept = 0;
    for (size_t i = 0; i < rows->n; i++)
        if (wanted[rows->cls[i]]) put(rows, kept++, rows->anchor[i], rows->cls[i], rows->score[i]);
    rows->n = kept;
}

/* No two shifted boxes of different classes can touch: all lie in a span smaller than the shift. One pixel of slack,
 * because shifted coordinates are rounded (to at most 1/2 px below 2^24, i.e. for classes below 2184). */
static bool classes_apart(const Predictions *p, const Rows *rows)
{
    float lo = INFINITY, hi = -INFINITY;
    for (size_t i = 0; i < rows->n; i++) {
        if (i && rows->anchor[i] == rows->anchor[i - 1]) continue;
        float b[4];
        corners(p, rows->anchor[i], b);
        if (!isfinite(b[0]) || !isfinite(b[2])) return false;
        lo = MIN(lo, b[0]), hi = MAX(hi, b[2]);
    }
    return hi - lo < CLASS_SHIFT - 1 && p->nc < 2184;
}

static bool overlaps(const Kept *k, size_t bucket, const float b[4], float area, float iou)
{
    enum { CHUNK = 32 };
    size_t end = k->start[bucket] + k->len[bucket];
    for (size_t j0 = k->start[bucket]; j0 < end; j0 += CHUNK) {
        size_t j1 = MIN(j0 + CHUNK, end);
        int hit = 0;
#pragma omp simd reduction(| : hit)
        for (size_t j = j0; j < j1; j++) {
            float w = MIN(b[2], k->x2[j]) - MAX(b[0], k->x1[j]), h = MIN(b[3], k->y2[j]) - MAX(b[1], k->y1[j]);
            float inter = MAX(w, 0.f) * MAX(h, 0.f);
            hit |= inter / (area + k->area[j] - inter) > iou;
        }
        if (hit) return true;
    }
    return false;
}

static void keep(Kept *k, size_t bucket, const float b[4], float area)
{
    size_t j = k->start[bucket] + k->len[bucket]++;
    k->x1[j] = b[0], k->y1[j] = b[1], k->x2[j] = b[2], k->y2[j] = b[3];
    k->area[j] = area;
}

static bool kept_new(Kept *k, const Rows *rows, const uint32_t *order, size_t n, size_t n_buckets, size_t max_det,
                     Arena *a)
{
    k->start = ARENA_ARRAY(a, size_t, n_buckets), k->len = ARENA_ARRAY(a, size_t, n_buckets);
    float *columns = ARENA_ARRAY(a, float, MAX(n, 1) * 5);
    if (!k->start || !k->len || !columns) return false;
    for (size_t i = 0; i < n; i++)
        k->len[n_buckets == 1 ? 0 : rows->cls[order[i]]]++;
    size_t used = 0;
    for (size_t b = 0; b < n_buckets; b++) {
        k->start[b] = used;
        used += MIN(k->len[b], max_det);
        k->len[b] = 0;
    }
    k->x1 = columns, k->y1 = columns + used, k->x2 = columns + 2 * used, k->y2 = columns + 3 * used;
    k->area = columns + 4 * used;
    return true;
}

static Status suppress(const Predictions *p, const NmsOpt *opt, const Rows *rows, const uint32_t *order, size_t n,
                       Arena *a, Detection *out, size_t *n_out, Error *err)
{
    /* The comparison is with the double: the largest float not above it gives the same answer. */
    float iou = (float)opt->iou;
    if (iou > opt->iou) iou = nextafterf(iou, -1.f);
    size_t n_buckets = opt->agnostic || !classes_apart(p, rows) ? 1 : (size_t)p->nc, max_det = (size_t)opt->max_det;
    Kept kept;
    if (!kept_new(&kept, rows, order, n, n_buckets, max_det, a)) return fail_nomem(err, n * 5 * sizeof(float));
    *n_out = 0;
    for (size_t i = 0; i < n && *n_out < max_det; i++) {
        uint32_t r = order[i];
        float box[4], shifted[4], shift = opt->agnostic ? 0.f : (float)rows->cls[r] * CLASS_SHIFT;
        corners(p, rows->anchor[r], box);
        if (!isfinite(box[0]) || !isfinite(box[1]) || !isfinite(box[2]) || !isfinite(box[3])) continue; /* is nowhere */
        for (int d = 0; d < 4; d++)
            shifted[d] = box[d] + shift;
        float area = (shifted[2] - shifted[0]) * (shifted[3] - shifted[1]);
        size_t bucket = n_buckets == 1 ? 0 : (size_t)rows->cls[r];
        if (overlaps(&kept, bucket, shifted, area, iou)) continue;
        keep(&kept, bucket, shifted, area);
        out[(*n_out)++] = (Detection) { box[0], box[1], box[2], box[3], rows->score[r], rows->cls[r] };
    }
    return DYN_OK;
}

static Status check(const Predictions *p, const NmsOpt *opt, Error *err)
{
    if (!(opt->conf >= 0 && opt->conf <= 1)) return fail(err, DYN_USAGE, "conf=%g: must lie in 0..1", opt->conf);
    if (!(opt->iou >= 0 && opt->iou <= 1)) return fail(err, DYN_USAGE, "iou=%g: must lie in 0..1", opt->iou);
    if (opt->max_det < 0 || opt->max_nms < 0)
        return fail(err, DYN_USAGE, "max_det=%lld, max_nms=%lld: must not be negative", (long long)opt->max_det,
                    (long long)opt->max_nms);
    if (p->n_anchors < 0 || p->nc < 1 || p->n_anchors > INT32_MAX || p->nc > INT32_MAX ||
        p->n_anchors > UINT32_MAX / p->nc)
        return fail(err, DYN_SHAPE, "predictions of %lld anchors and %lld classes cannot be indexed",
                    (long long)p->n_anchors, (long long)p->nc);
    return DYN_OK;
}

static Status run(const Predictions *p, const NmsOpt *opt, Arena *a, Detection *out, size_t *n, Error *err)
{
    float conf = (float)opt->conf;
    bool *wanted = NULL;
    int32_t *hits = ARENA_ARRAY(a, int32_t, MAX(p->n_anchors, 1));
    if (!hits) return fail_nomem(err, (size_t)p->n_anchors * sizeof *hits);
    if (opt->classes) {
        wanted = ARENA_ARRAY(a, bool, p->nc);
        if (!wanted) return fail_nomem(err, (size_t)p->nc);
        for (size_t i = 0; i < opt->n_classes; i++)
            if (opt->classes[i] >= 0 && opt->classes[i] < p->nc) wanted[opt->classes[i]] = true;
    }
    size_t total = count_hits(p, conf, hits);
    *n = 0;
    if (total == 0) return DYN_OK;
    Rows rows = { .anchor = ARENA_ARRAY(a, uint32_t, total),
                  .cls = ARENA_ARRAY(a, int32_t, total),
                  .score = ARENA_ARRAY(a, float, total),
                  .hit = ARENA_ARRAY(a, uint32_t, p->n_anchors),
                  .next = ARENA_ARRAY(a, uint32_t, p->n_anchors) };
    uint32_t *order = ARENA_ARRAY(a, uint32_t, total);
    uint64_t *pair = ARENA_ARRAY(a, uint64_t, 2 * total);
    if (!rows.anchor || !rows.cls || !rows.score || !rows.hit || !rows.next || !order || !pair)
        return fail_nomem(err, total * 32);
    if (opt->multi_label)
        gather_all(p, conf, wanted, hits, &rows);
    else
        gather_best(p, wanted, hits, &rows);
    sort_falling(rows.score, order, rows.n, pair);
    return suppress(p, opt, &rows, order, MIN(rows.n, (size_t)opt->max_nms), a, out, n, err);
}

Status nms(const Predictions *p, const NmsOpt *opt, Arena *scratch, Detection *out, size_t *n, Error *err)
{
    TRY(check(p, opt, err));
    ArenaMark mark = arena_mark(scratch);
    Status s = run(p, opt, scratch, out, n, err);
    arena_release(scratch, mark);
    return s;
}
