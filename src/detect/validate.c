/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/validate.h"
#include "report/report.h"

enum { PICTURE_BATCHES = 3, PICTURE_TILES = 16 }; /* val_batch{0,1,2}_*.jpg, spec 8.11 */

typedef struct Run {
    Detector *d;
    const ValidateSpec *spec;
    Metrics *metrics;
    CocoWriter coco;
    bool json;       /* coco is open */
    Arena *a;        /* emptied after each batch */
    Detection **det; /* [batch][max_det] of the batch at hand, network pixels */
    size_t *n_det;
    int64_t images, batches;
    double ms[3], loss[3], compile_ms;
} Run;

static Placement placement_of(const Batch *b, const BatchImage *i)
{
    return (Placement) {
        .gain = i->gain_h, .pad_x = i->left, .pad_y = i->top, .net_w = b->w, .net_h = b->h, .w0 = i->w, .h0 = i->h
    };
}

/* Labels of one picture of the batch, which are together and in order. */
static Status targets_of(Run *r, const Batch *b, int64_t image, Target **target, size_t *n, Error *err)
{
    *n = 0;
    if (!(*target = ARENA_ARRAY(r->a, Target, b->n_targets + 1)))
        return fail_nomem(err, (size_t)b->n_targets * sizeof **target);
    for (int64_t i = 0; i < b->n_targets; i++) {
        const float *t = b->targets[i];
        if ((int64_t)t[0] == image) (*target)[(*n)++] = (Target) { t[2], t[3], t[4], t[5], (int32_t)t[1] };
    }
    return DYN_OK;
}

static Status save_labels(Run *r, const char *path, const Detection *det, size_t n, const BatchImage *im, Error *err)
{
    char *stem = path_stem(r->a, path),
         *file = stem ? arena_printf(r->a, "%s/labels/%s.txt", r->spec->dir, stem) : NULL;
    if (!file) return fail_nomem(err, 1);
    return label_rows_append(file, det, n, im->w, im->h, r->spec->save_conf, err);
}

/* What is written in pixels of the original picture. */
static Status export(Run *r, const Batch *b, int64_t image, const Placement *place, Error *err)
{
    const BatchImage *im = &b->info[image];
    size_t n = r->n_det[image];
    bool labels = r->spec->dir && r->spec->save_txt && n;
    if (!r->json && !labels) return DYN_OK;
    Detection *det = ARENA_ARRAY(r->a, Detection, n + 1);
    if (!det) return fail_nomem(err, n * sizeof *det);
    memcpy(det, r->det[image], n * sizeof *det);
    placement_undo_all(place, det, n);
    if (r->json) TRY(coco_add(&r->coco, im->path, det, n, err));
    return labels ? save_labels(r, im->path, det, n, im, err) : DYN_OK;
}

/* One mosaic of labels and one of predictions. */
static Status save_pictures(Run *r, const Batch *b, Error *err)
{
    int64_t n = MIN(b->n, (int64_t)PICTURE_TILES);
    Image *view = ARENA_ARRAY(r->a, Image, n);
    MosaicTile *tile = ARENA_ARRAY(r->a, MosaicTile, n);
    DrawOpt draw = draw_defaults(r->spec->names, r->spec->nc);
    char *path = arena_printf(r->a, "%s/val_batch%lld_pred.jpg", r->spec->dir, (long long)r->batches);
    char *labels = arena_printf(r->a, "%s/val_batch%lld_labels.jpg", r->spec->dir, (long long)r->batches);
    if (!view || !tile || !path || !labels) return fail_nomem(err, (size_t)n * sizeof *tile);
    for (int64_t i = 0; i < n; i++) {
        view[i] = (Image) { b->w, b->h, 3 * b->w, (uint8_t *)b->images + (size_t)i * (size_t)b->w * (size_t)b->h * 3 };
        tile[i] = (MosaicTile) { &view[i], r->det[i], r->n_det[i], path_name(b->info[i].path) };
    }
    TRY(report_mosaic(path, tile, (size_t)n, &draw, err));
    for (int64_t i = 0; i < n; i++) {
        Target *t;
        size_t count;
        TRY(targets_of(r, b, i, &t, &count, err));
        Detection *det = ARENA_ARRAY(r->a, Detection, count + 1);
        if (!det) return fail_nomem(err, count * sizeof *det);
        for (size_t k = 0; k < count; k++) {
            float w = t[k].w * (float)b->w, h = t[k].h * (float)b->h, x = t[k].x * (float)b->w,
                  y = t[k].y * (float)b->h;
            det[k] = (Detection) { x - w / 2, y - h / 2, x + w / 2, y + h / 2, -1, t[k].cls };
        }
        tile[i].det = det;
        tile[i].n = count;
    }
    return report_mosaic(labels, tile, (size_t)n, &draw, err);
}

static Status measure_batch(Run *r, const Batch *b, Error *err)
{
    DetectorOutput o;
    const ValidateSpec *s = r->spec;
    double start = clock_ms();
    if (s->augment)
        TRY(detector_run_augmented(r->d, b->images, b->n, b->h, b->w, s->stride, &o, err));
    else
        TRY(detector_run_labelled(r->d, b->images, b->n, b->h, b->w, (const float *)b->targets, b->n_targets, &o, err));
    r->ms[1] += clock_ms() - start - o.compile_ms;
    r->compile_ms += o.compile_ms;
    for (int64_t i = 0; i < b->n; i++) {
        Predictions p = detector_predictions(&o, i);
        Placement place = placement_of(b, &b->info[i]);
        Target *target;
        size_t n;
        start = clock_ms();
        TRY(nms(&p, &s->nms, r->a, r->det[i], &r->n_det[i], err));
        r->ms[2] += clock_ms() - start;
        for (size_t k = 0; s->single_cls && k < r->n_det[i]; k++)
            r->det[i][k].cls = 0;
        TRY(targets_of(r, b, i, &target, &n, err));
        TRY(metrics_add(r->metrics, &place, r->det[i], r->n_det[i], target, n, err));
        TRY(export(r, b, i, &place, err));
    }
    for (int k = 0; k < 3 && o.items; k++)
        r->loss[k] += o.items[k];
    if (s->dir && s->plots && r->batches < PICTURE_BATCHES) TRY(save_pictures(r, b, err));
    return DYN_OK;
}

static Status loop(Run *r, Error *err)
{
    const ValidateSpec *s = r->spec;
    Batch b;
    TRY(loader_start(s->loader, 0, 0, false, err));
    for (;;) {
        if (s->stop && *s->stop)
            return fail(err, DYN_STOPPED, "validation stopped after %lld batches", (long long)r->batches);
        TRY(loader_next(s->loader, &b, &r->ms[0], err));
        if (!b.n) return DYN_OK;
        ArenaMark mark = arena_mark(r->a);
        TRY(measure_batch(r, &b, err));
        arena_release(r->a, mark);
        r->images += b.n;
        r->batches++;
        if (s->progress) s->progress(s->user, r->batches, loader_batches(s->loader));
    }
}

static Status save_plots(Run *r, const EvalResult *e, Error *err)
{
    const ValidateSpec *s = r->spec;
    char *raw = path_join(r->a, s->dir, "confusion_matrix.png"),
         *normal = path_join(r->a, s->dir, "confusion_matrix_normalized.png");
    if (!raw || !normal) return fail_nomem(err, 1);
    TRY(report_curves(s->dir, e, s->names, err));
    if (!e->confusion) return DYN_OK;
    TRY(report_confusion(raw, e->confusion, s->nc, s->names, false, err));
    return report_confusion(normal, e->confusion, s->nc, s->names, true, err);
}

static Status prepare(Run *r, Error *err)
{
    const ValidateSpec *s = r->spec;
    int64_t batch = 0;
    for (int64_t k = 0; k < loader_batches(s->loader); k++) {
        int64_t n;
        int h, w;
        loader_shape(s->loader, k, &n, &h, &w);
        batch = MAX(batch, n);
    }
    MetricsOpt mo = {
        .nc = s->nc, .conf = s->nms.conf, .confusion = s->plots, .ap_rule = s->rules.ap, .space = s->rules.space
    };
    TRY(metrics_new(&r->metrics, &mo, err));
    r->det = ARENA_ARRAY(r->a, Detection *, batch);
    r->n_det = ARENA_ARRAY(r->a, size_t, batch);
    if (!r->det || !r->n_det) return fail_nomem(err, (size_t)batch * sizeof *r->det);
    for (int64_t i = 0; i < batch; i++)
        if (!(r->det[i] = ARENA_ARRAY(r->a, Detection, s->nms.max_det))) return fail_nomem(err, sizeof(Detection));
    if (s->dir && s->save_txt) {
        char *labels = path_join(r->a, s->dir, "labels");
        if (!labels) return fail_nomem(err, 1);
        TRY(dir_make(labels, err));
    }
    if (!s->dir || !s->save_json) return DYN_OK;
    char *path = path_join(r->a, s->dir, "predictions.json");
    if (!path) return fail_nomem(err, 1);
    TRY(coco_begin(&r->coco, path, s->categories, err));
    r->json = true;
    return DYN_OK;
}

Status validate(Detector *d, const ValidateSpec *spec, Arena *a, ValidateResult *out, Error *err)
{
    Run r = { .d = d, .spec = spec, .a = arena_new() };
    if (!r.a) return fail_nomem(err, 1);
    *out = (ValidateResult) { 0 };
    Status s = prepare(&r, err);
    if (s == DYN_OK) s = loop(&r, err);
    if (s == DYN_OK) s = metrics_result(r.metrics, a, &out->eval, err);
    if (r.json) {
        Error second; /* the first failure is the one to tell */
        Status closed = coco_end(&r.coco, s == DYN_OK, s == DYN_OK ? err : &second);
        if (s == DYN_OK) s = closed;
    }
    if (s == DYN_OK && spec->dir && spec->plots) s = save_plots(&r, &out->eval, err);
    if (s == DYN_OK) out->fitness = eval_fitness(&out->eval, spec->rules.fitness);
    out->compile_ms = r.compile_ms;
    for (int k = 0; k < 3; k++) {
        out->ms[k] = r.ms[k] / (double)MAX(r.images, 1);
        out->loss[k] = r.loss[k] / (double)MAX(r.batches, 1);
    }
    if (r.metrics) metrics_free(&r.metrics);
    arena_free(&r.a);
    return s;
}
