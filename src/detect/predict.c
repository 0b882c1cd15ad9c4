/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/predict.h"
#include "base/work.h"

#include <math.h>
#include <string.h>

/* ---- one batch ----------------------------------------------------------------------------------------------- */

/* Minimal rectangle when every picture has the same shape (spec 9.3), else the full size. */
static Status plan_batch(const PredictSpec *s, const Image *const *im, int64_t n, LetterboxPlan *plan, Error *err)
{
    bool same = s->rect;
    for (int64_t i = 1; i < n; i++)
        same &= im[i]->w == im[0]->w && im[i]->h == im[0]->h;
    Letterbox lb = LETTERBOX((int)s->imgsz[1], (int)s->imgsz[0]);
    lb.auto_pad = same;
    lb.stride = (int)s->stride;
    for (int64_t i = 0; i < n; i++)
        TRY(letterbox_plan(&lb, im[i]->w, im[i]->h, &plan[i], err));
    return DYN_OK;
}

static Status postprocess(const PredictSpec *s, const DetectorOutput *o, int64_t i, const Image *im, int64_t h,
                          int64_t w, Arena *scratch, Detection *det, size_t *n_det, Error *err)
{
    Predictions p = detector_predictions(o, i);
    TRY(nms(&p, &s->nms, scratch, det, n_det, err));
    Placement map = placement_guess((int32_t)w, (int32_t)h, im->w, im->h);
    placement_undo_all(&map, det, *n_det);
    return DYN_OK;
}

static Status run_batch(Detector *d, const PredictSpec *s, const Image *const *im, int64_t n, uint8_t *rgb,
                        const LetterboxPlan *plan, Detection *const *det, size_t *n_det, PredictResult *timing,
                        Arena *scratch, Error *err)
{
    int64_t h = plan[0].out_h, w = plan[0].out_w;
    DetectorOutput out;
    double t0 = clock_ms();
    for (int64_t i = 0; i < n; i++)
        TRY(letterbox_into(&plan[i], IMAGE_PAD, im[i], rgb + (size_t)(i * h * w * 3), err));
    double t1 = clock_ms();
    if (s->augment)
        TRY(detector_run_augmented(d, rgb, n, h, w, s->stride, &out, err));
    else
        TRY(detector_run(d, rgb, n, h, w, &out, err));
    double t2 = clock_ms();
    for (int64_t i = 0; i < n; i++)
        TRY(postprocess(s, &out, i, im[i], h, w, scratch, det[i], &n_det[i], err));
    *timing = (PredictResult) { .net_n = n,
                                .net_h = h,
                                .net_w = w,
                                .preprocess_ms = (t1 - t0) / (double)n,
                                .inference_ms = (t2 - t1 - out.compile_ms) / (double)n,
                                .postprocess_ms = (clock_ms() - t2) / (double)n };
    return DYN_OK;
}

Status predict_images(Detector *d, const PredictSpec *s, const Image *const *im, int64_t n, Detection *const *det,
                      size_t *n_det, PredictResult *timing, Error *err)
{
    Arena *a = arena_new();
    LetterboxPlan *plan = a ? ARENA_ARRAY(a, LetterboxPlan, n) : NULL;
    Status st = plan ? plan_batch(s, im, n, plan, err) : fail_nomem(err, (size_t)n * sizeof *plan);
    size_t bytes = st == DYN_OK ? (size_t)n * (size_t)plan[0].out_h * (size_t)plan[0].out_w * 3 : 0;
    uint8_t *rgb = st == DYN_OK ? mem_alloc(bytes) : NULL;
    if (st == DYN_OK) st = rgb ? run_batch(d, s, im, n, rgb, plan, det, n_det, timing, a, err) : fail_nomem(err, bytes);
    mem_free(rgb);
    if (a) arena_free(&a);
    return st;
}

/* ---- files ---------------------------------------------------------------------------------------------------- */

typedef struct Loaded {
    Image image;
    Error err; /* status DYN_OK when the picture is there */
} Loaded;

static void load(void *user, int64_t index, void *slot, int worker)
{
    char *const *paths = user;
    Loaded *l = slot;
    l->err.status = DYN_OK;
    image_read(paths[index], &l->image, &l->err);
}

typedef struct Run {
    Detector *d;
    const PredictSpec *spec;
    PredictFn *fn;
    void *user;
    Detection **det; /* [batch][max_det] */
    size_t *n_det;
    Image *image; /* [batch] taken out of their slots */
    const Image **view;
    const char **path;
    int64_t *index, n, total;
} Run;

static Status flush(Run *r, int64_t *done, Error *err)
{
    PredictResult timing;
    int64_t n = r->n;
    if (!n) return DYN_OK;
    for (int64_t i = 0; i < n; i++)
        r->view[i] = &r->image[i];
    TRY(predict_images(r->d, r->spec, r->view, n, r->det, r->n_det, &timing, err));
    for (int64_t i = 0; i < n; i++) {
        PredictResult one = timing;
        one.path = r->path[i], one.image = &r->image[i], one.det = r->det[i], one.n = r->n_det[i];
        one.index = r->index[i], one.total = r->total;
        TRY(r->fn(r->user, &one, err));
        image_free(&r->image[i]);
        r->n--; /* what is left is freed by the caller on failure */
        ++*done;
    }
    return DYN_OK;
}

/* A picture that is a thousand times as wide as it is high cannot be shown to the network; the others can. */
static bool can_be_shown(const PredictSpec *s, const char *path, Loaded *l)
{
    LetterboxPlan plan;
    Letterbox lb = LETTERBOX((int)s->imgsz[1], (int)s->imgsz[0]);
    if (l->err.status != DYN_OK) return false;
    if (letterbox_plan(&lb, l->image.w, l->image.h, &plan, &l->err) == DYN_OK) return true;
    fail_in(&l->err, "'%s'", path);
    image_free(&l->image);
    return false;
}

static Status predict_loop(Run *r, Work *w, char *const *paths, int64_t *done, Error *err)
{
    Loaded *l;
    for (int64_t i = 0; (l = work_next(w, NULL)); i++) {
        if (r->spec->stop && *r->spec->stop)
            return fail(err, DYN_STOPPED, "stopped after %lld of %lld pictures", (long long)*done, (long long)r->total);
        if (can_be_shown(r->spec, paths[i], l)) {
            r->image[r->n] = l->image;
            l->image = (Image) { 0 };
            r->path[r->n] = paths[i];
            r->index[r->n++] = i;
        } else {
            log_warn(r->spec->log, "skipped: %s", l->err.text);
        }
        work_done(w);
        if (r->n == r->spec->batch) TRY(flush(r, done, err));
    }
    return flush(r, done, err);
}

static bool allocate(Run *r, Arena *a)
{
    int64_t b = r->spec->batch;
    r->det = ARENA_ARRAY(a, Detection *, b);
    r->n_det = ARENA_ARRAY(a, size_t, b);
    r->image = ARENA_ARRAY(a, Image, b);
    r->view = ARENA_ARRAY(a, const Image *, b);
    r->path = ARENA_ARRAY(a, const char *, b);
    r->index = ARENA_ARRAY(a, int64_t, b);
    if (!r->det || !r->n_det || !r->image || !r->view || !r->path || !r->index) return false;
    for (int64_t i = 0; i < b; i++)
        if (!(r->det[i] = ARENA_ARRAY(a, Detection, r->spec->max_det))) return false;
    return true;
}

Status predict_files(Detector *d, const PredictSpec *spec, char *const *paths, size_t n, PredictFn *fn, void *user,
                     int64_t *done, Error *err)
{
    int n_slots = (int)spec->batch + MAX(spec->workers, 1) + 1;
    Arena *a = arena_new();
    Run r = { .d = d, .spec = spec, .fn = fn, .user = user, .total = (int64_t)n };
    Loaded *slots = a ? ARENA_ARRAY(a, Loaded, n_slots) : NULL;
    Work *w = NULL;
    Status s = DYN_OK;
    *done = 0;
    if (!slots || !allocate(&r, a))
        s = fail_nomem(err, (size_t)spec->batch * sizeof(Detection) * (size_t)spec->max_det);
    else
        s = work_start(&w, (int)MIN((int64_t)spec->workers, (int64_t)n), (int64_t)n, slots, n_slots, sizeof *slots,
                       load, (void *)paths, err);
    if (s == DYN_OK) s = predict_loop(&r, w, paths, done, err);
    work_stop(&w);
    for (int i = 0; slots && i < n_slots; i++)
        image_free(&slots[i].image);
    for (int64_t i = 0; r.image && i < spec->batch; i++)
        image_free(&r.image[i]);
    if (a) arena_free(&a);
    return s;
}
