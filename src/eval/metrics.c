/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics - collects matches image by image (spec 8.3, 8.4, 8.10) and turns them into the result and its printed table
 * (8.7). Keeps seven bytes a prediction and no boxes. */
#include "eval/eval.h"

#include <string.h>

typedef struct Column {
    void *data;
    size_t n, cap, size;
} Column;

struct Metrics {
    MetricsOpt opt;
    Column hit, conf, pred_cls, target_cls; /* uint16_t, float, int32_t, int32_t */
    int64_t n_images;
    int64_t *images;    /* [nc] images that show the class */
    int64_t *confusion; /* [nc+1, nc+1] or NULL */
};

static bool column_reserve(Column *c, size_t more)
{
    if (more > SIZE_MAX / 2 / c->size - c->n) return false;
    size_t want = c->n + more, cap = MAX(c->cap, 1024);
    if (want <= c->cap) return true;
    while (cap < want)
        cap += cap / 2;
    void *p = mem_alloc(cap * c->size);
    if (!p) return false;
    if (c->n) memcpy(p, c->data, c->n * c->size);
    mem_free(c->data);
    c->data = p, c->cap = cap;
    return true;
}

Status metrics_new(Metrics **out, const MetricsOpt *opt, Error *err)
{
    *out = NULL;
    if (opt->nc < 1 || opt->nc > 1 << 20) return fail(err, DYN_USAGE, "nc=%d classes: must be at least 1", opt->nc);
    size_t nc = (size_t)opt->nc, cells = opt->confusion ? (nc + 1) * (nc + 1) : 0;
    if (cells > SIZE_MAX / sizeof(int64_t) - nc) return fail_nomem(err, SIZE_MAX);
    Metrics *m = mem_alloc(sizeof *m);
    int64_t *counts = mem_alloc((nc + cells) * sizeof *counts);
    if (!m || !counts) {
        mem_free(m), mem_free(counts);
        return fail_nomem(err, (nc + cells) * sizeof *counts);
    }
    *m = (Metrics) { .opt = *opt, .images = counts, .confusion = cells ? counts + nc : NULL };
    m->hit.size = 2, m->conf.size = 4, m->pred_cls.size = 4, m->target_cls.size = 4;
    metrics_reset(m);
    *out = m;
    return DYN_OK;
}

void metrics_free(Metrics **m)
{
    if (!*m) return;
    mem_free((*m)->hit.data), mem_free((*m)->conf.data);
    mem_free((*m)->pred_cls.data), mem_free((*m)->target_cls.data);
    mem_free((*m)->images), mem_free(*m);
    *m = NULL;
}

void metrics_reset(Metrics *m)
{
    size_t nc = (size_t)m->opt.nc, cells = m->confusion ? (nc + 1) * (nc + 1) : 0;
    memset(m->images, 0, (nc + cells) * sizeof *m->images);
    m->hit.n = m->conf.n = m->pred_cls.n = m->target_cls.n = 0;
    m->n_images = 0;
}

/* Both sides in one space, and the room that matching needs. */
typedef struct Pair {
    float (*pred)[4], (*target)[4], *iou; /* iou [n_target, n_pred] */
    int32_t *pred_cls, *target_cls;
    uint32_t *claim, *winner; /* confusion: target of a detection, detection of a target */
    uint16_t *taken;
    size_t n_pred, n_target;
    void *block;
} Pair;

static bool pair_new(Pair *p, size_t n_pred, size_t n_target)
{
    if (n_pred > UINT32_MAX || n_target > UINT32_MAX || (n_target && n_pred > SIZE_MAX / 8 / n_target)) return false;
    size_t n_box = n_pred + n_target, n_iou = n_pred * n_target;
    char *at = p->block = mem_alloc(n_box * 24 + n_iou * 4 + n_target * 2 + 1);
    if (!at) return false;
    p->n_pred = n_pred, p->n_target = n_target;
    p->pred = (float(*)[4])(void *)at;
    p->target = p->pred + n_pred;
    p->iou = (float *)(p->target + n_target);
    p->pred_cls = (int32_t *)(p->iou + n_iou);
    p->target_cls = p->pred_cls + n_pred;
    p->claim = (uint32_t *)(p->target_cls + n_target);
    p->winner = p->claim + n_pred;
    p->taken = (uint16_t *)(p->winner + n_target);
    return true;
}

static void pair_fill(Pair *p, MatchSpace space, const Placement *l, const Detection *det, const Target *target)
{
    for (size_t i = 0; i < p->n_pred; i++) {
        float box[4] = { det[i].x1, det[i].y1, det[i].x2, det[i].y2 };
        if (space == MATCH_ORIGINAL) placement_undo(l, box);
        memcpy(p->pred[i], box, sizeof box);
        p->pred_cls[i] = det[i].cls;
    }
    for (size_t i = 0; i < p->n_target; i++) {
        float xywh[4] = { target[i].x, target[i].y, target[i].w, target[i].h }, box[4];
        box_xywh_to_xyxy(xywh, box);
        for (int d = 0; d < 4; d++)
            box[d] *= (float)(d % 2 ? l->net_h : l->net_w);
        if (space == MATCH_ORIGINAL) placement_undo(l, box);
        memcpy(p->target[i], box, sizeof box);
        p->target_cls[i] = target[i].cls;
    }
    for (size_t t = 0; t < p->n_target; t++)
        for (size_t i = 0; i < p->n_pred; i++)
            p->iou[t * p->n_pred + i] = box_iou(p->target[t], p->pred[i]);
}

/* Classes do not matter for who meets whom: each detection above the threshold claims its best target, each target
 * takes the claimant that overlaps most. */
static void count_confusion(Metrics *m, const Pair *p, const Detection *det)
{
    const float iou_min = 0.45f;
    double val_conf = m->opt.conf;
    float conf = (float)(val_conf == 0.001 || val_conf == 0 ? 0.25 : val_conf);
    size_t nc = (size_t)m->opt.nc, width = nc + 1, n = p->n_pred;
    for (size_t t = 0; t < p->n_target; t++)
        p->winner[t] = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        size_t claim = p->n_target;
        float best = iou_min;
        for (size_t t = 0; t < p->n_target && det[i].conf > conf; t++)
            if (p->iou[t * n + i] > best) best = p->iou[t * n + i], claim = t;
        p->claim[i] = (uint32_t)claim;
        if (claim == p->n_target) continue;
        uint32_t w = p->winner[claim];
        if (w == n || best > p->iou[claim * n + w]) p->winner[claim] = (uint32_t)i;
    }
    for (size_t i = 0; i < n; i++) {
        if (!(det[i].conf > conf)) continue;
        size_t t = p->claim[i];
        bool won = t < p->n_target && p->winner[t] == i;
        m->confusion[(size_t)det[i].cls * width + (won ? (size_t)p->target_cls[t] : nc)]++;
    }
    for (size_t t = 0; t < p->n_target; t++)
        if (p->winner[t] == n) m->confusion[nc * width + (size_t)p->target_cls[t]]++;
}

static Status check_classes(const Metrics *m, const Detection *det, size_t n_det, const Target *target, size_t n_target,
                            Error *err)
{
    for (size_t i = 0; i < n_det; i++)
        if (det[i].cls < 0 || det[i].cls >= m->opt.nc)
            return fail(err, DYN_FORMAT, "a prediction of class %d, but the data has classes 0..%d", det[i].cls,
                        m->opt.nc - 1);
    for (size_t i = 0; i < n_target; i++)
        if (target[i].cls < 0 || target[i].cls >= m->opt.nc)
            return fail(err, DYN_FORMAT, "a label of class %d, but the data has classes 0..%d", target[i].cls,
                        m->opt.nc - 1);
    return DYN_OK;
}

Status metrics_add(Metrics *m, const Placement *l, const Detection *det, size_t n_det, const Target *target,
                   size_t n_target, Error *err)
{
    Pair pair;
    TRY(check_classes(m, det, n_det, target, n_target, err));
    if (!column_reserve(&m->hit, n_det) || !column_reserve(&m->conf, n_det) || !column_reserve(&m->pred_cls, n_det) ||
        !column_reserve(&m->target_cls, n_target) || !pair_new(&pair, n_det, n_target))
        return fail_nomem(err, n_det * 10 + n_target * 4);
    pair_fill(&pair, m->opt.space, l, det, target);
    match_predictions(pair.iou, pair.pred_cls, n_det, pair.target_cls, n_target, (uint16_t *)m->hit.data + m->hit.n,
                      pair.taken);
    if (m->confusion) count_confusion(m, &pair, det);
    float *conf = (float *)m->conf.data + m->conf.n;
    int32_t *target_cls = (int32_t *)m->target_cls.data + m->target_cls.n;
    for (size_t i = 0; i < n_det; i++)
        conf[i] = det[i].conf;
    if (n_det) memcpy((int32_t *)m->pred_cls.data + m->pred_cls.n, pair.pred_cls, n_det * 4);
    for (size_t i = 0; i < n_target; i++) {
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++)
            seen = target[j].cls == target[i].cls;
        m->images[target[i].cls] += !seen;
        target_cls[i] = target[i].cls;
    }
    m->hit.n += n_det, m->conf.n += n_det, m->pred_cls.n += n_det, m->target_cls.n += n_target;
    m->n_images++;
    mem_free(pair.block);
    return DYN_OK;
}

Status metrics_result(const Metrics *m, Arena *a, EvalResult *r, Error *err)
{
    TRY(ap_per_class(m->hit.data, m->conf.data, m->pred_cls.data, m->hit.n, m->target_cls.data, m->target_cls.n,
                     m->opt.nc, m->opt.ap_rule, a, r, err));
    r->images = m->n_images;
    for (size_t i = 0; i < r->n_rows; i++)
        r->row[i].images = m->images[r->row[i].cls];
    if (!m->confusion) return DYN_OK;
    size_t cells = ((size_t)m->opt.nc + 1) * ((size_t)m->opt.nc + 1);
    int64_t *copy = ARENA_ARRAY(a, int64_t, cells);
    if (!copy) return fail_nomem(err, cells * sizeof *copy);
    memcpy(copy, m->confusion, cells * sizeof *copy);
    r->confusion = copy;
    return DYN_OK;
}

static int table_row(char *buf, size_t size, const char *name, int64_t images, int64_t instances, double p, double r,
                     double map50, double map)
{
    return snprintf(buf, size, "\n%22s%11lld%11lld%11.3g%11.3g%11.3g%11.3g", name, (long long)images,
                    (long long)instances, p, r, map50, map);
}

char *eval_table(const EvalResult *r, const char *const *names, bool per_class, Arena *a)
{
    size_t rows = per_class && r->nc > 1 ? r->n_rows : 0, size = 256, used;
    for (size_t i = 0; i < rows; i++)
        size += 128 + (names ? strlen(names[r->row[i].cls]) : 0);
    char *text = arena_alloc(a, size), number[16];
    if (!text) return NULL;
    used = (size_t)snprintf(text, size, "%22s%11s%11s%11s%11s%11s%11s", "Class", "Images", "Instances", "Box(P", "R",
                            "mAP50", "mAP50-95)");
    used += (size_t)table_row(text + used, size - used, "all", r->images, r->instances, r->p, r->r, r->map50, r->map);
    for (size_t i = 0; i < rows; i++) {
        const ClassResult *c = &r->row[i];
        snprintf(number, sizeof number, "%d", c->cls);
        used += (size_t)table_row(text + used, size - used, names ? names[c->cls] : number, c->images, c->instances,
                                  c->p, c->r, c->ap[0], c->map);
    }
    return text;
}
