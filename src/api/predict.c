/* SPDX-License-Identifier: Apache-2.0
 *
 * dyn_predict: what `predict` writes and says for each picture (spec 9). */
#include "api/setup.h"
#include "detect/source.h"
#include "report/report.h"

#include <stdlib.h>
#include <string.h>

typedef struct PredictJob {
    DynContext *ctx;
    const DynOptions *o;
    DynModel *model;
    DynEventFn *event;
    void *user;
    char *dir; /* run folder, NULL when nothing is written */
    Arena *a;  /* emptied after each picture */
    int64_t n_images, n_labels;
    double ms[3];
    int64_t net[3]; /* the largest batch so far: pictures, height, width */
} PredictJob;

static Status save_labels(PredictJob *j, const PredictResult *r, const char *stem, Error *err)
{
    char *path = arena_printf(j->a, "%s/labels/%s.txt", j->dir, stem);
    if (!path) return fail_nomem(err, 1);
    j->n_labels++;
    return label_rows_append(path, r->det, r->n, r->image->w, r->image->h, j->o->save_conf, err);
}

/* Class names come with the weights: whatever they hold, their folder lies below crops/. */
static char *crop_folder(const PredictJob *j, int32_t cls)
{
    char *name = arena_strdup(j->a, j->model->m->names[cls]);
    for (char *c = name; c && *c; c++)
        if (*c == '/') *c = '_';
    bool odd = name && (!*name || str_eq(name, ".") || str_eq(name, ".."));
    return name ? arena_printf(j->a, "%s/crops/%s%s", j->dir, odd ? "_" : "", name) : NULL;
}

/* Box x 1.02 + 10 pixels about the centre, truncated, clipped (spec 9.5). */
static Status save_crops(PredictJob *j, const PredictResult *r, const char *stem, Error *err)
{
    for (size_t i = 0; i < r->n; i++) {
        const Detection *d = &r->det[i];
        double cx = (d->x1 + d->x2) / 2, cy = (d->y1 + d->y2) / 2, w = (d->x2 - d->x1) * 1.02 + 10,
               h = (d->y2 - d->y1) * 1.02 + 10;
        int x1 = (int)CLAMP(cx - w / 2, 0, r->image->w), x2 = (int)CLAMP(cx + w / 2, 0, r->image->w);
        int y1 = (int)CLAMP(cy - h / 2, 0, r->image->h), y2 = (int)CLAMP(cy + h / 2, 0, r->image->h);
        if (x2 <= x1 || y2 <= y1) continue;
        char *dir = crop_folder(j, d->cls), *path = NULL;
        if (!dir) return fail_nomem(err, 1);
        TRY(dir_make(dir, err));
        for (int k = 1; !path || file_exists(path); k++)
            if (!(path = k == 1 ? arena_printf(j->a, "%s/%s.jpg", dir, stem)
                                : arena_printf(j->a, "%s/%s%d.jpg", dir, stem, k)))
                return fail_nomem(err, 1);
        Image crop = image_view(r->image, x1, y1, x2 - x1, y2 - y1);
        TRY(image_write_jpeg(path, &crop, 95, true, err));
    }
    return DYN_OK;
}

static Status save_picture(PredictJob *j, PredictResult *r, const char *stem, Error *err)
{
    DrawOpt draw = draw_defaults((const char *const *)j->model->m->names, (int32_t)j->model->m->nc);
    Image copy;
    draw.line_width = (int)j->o->line_width;
    draw.labels = j->o->show_labels, draw.conf = j->o->show_conf;
    TRY(image_copy(&copy, r->image, err));
    Status s = j->o->show_boxes ? report_draw(&copy, r->det, r->n, &draw, err) : DYN_OK;
    char *path = arena_printf(j->a, "%s/%s.jpg", j->dir, stem);
    if (s == DYN_OK) s = path ? image_write_jpeg(path, &copy, 95, false, err) : fail_nomem(err, 1);
    image_free(&copy);
    return s;
}

static char *json_of(PredictJob *j, const PredictResult *r)
{
    char *buf = NULL, *copy = NULL;
    size_t n;
    FILE *f = open_memstream(&buf, &n);
    if (!f) return NULL;
    detections_json(f, r->path, r->image->w, r->image->h, r->det, r->n, (const char *const *)j->model->m->names,
                    (int32_t)j->model->m->nc, (double[]) { r->preprocess_ms, r->inference_ms, r->postprocess_ms });
    if (fclose(f) == 0 && n) copy = arena_strndup(j->a, buf, n - 1); /* without its newline */
    free(buf);
    return copy;
}

/* "image 3/20 a.jpg: 480x640 2 cats, 7.1ms" */
static char *line_of(const PredictJob *j, const PredictResult *r)
{
    const Model *m = j->model->m;
    char *counts = counts_text(j->a, r->det, r->n, (const char *const *)m->names, (int32_t)m->nc);
    return counts ? arena_printf(j->a, "image %lld/%lld %s: %lldx%lld %s%.1fms", (long long)r->index + 1,
                                 (long long)r->total, r->path, (long long)r->net_h, (long long)r->net_w, counts,
                                 r->inference_ms)
                  : NULL;
}

static Status tell(PredictJob *j, const PredictResult *r, Error *err)
{
    const Model *m = j->model->m;
    DynDetection *det = ARENA_ARRAY(j->a, DynDetection, r->n + 1);
    char *text = j->o->verbose ? line_of(j, r) : NULL, *json = j->o->format ? json_of(j, r) : NULL;
    if (!det || (j->o->verbose && !text) || (j->o->format && !json)) return fail_nomem(err, r->n * sizeof *det);
    setup_detections(r->det, r->n, det);
    if (j->event)
        j->event(j->user, &(DynEvent) { .kind = DYN_EVENT_RESULT,
                                        .text = text,
                                        .json = json,
                                        .done = r->index + 1,
                                        .total = r->total,
                                        .path = r->path,
                                        .width = r->image->w,
                                        .height = r->image->h,
                                        .detections = det,
                                        .n_detections = r->n,
                                        .names = (const char *const *)m->names,
                                        .preprocess_ms = r->preprocess_ms,
                                        .inference_ms = r->inference_ms,
                                        .postprocess_ms = r->postprocess_ms });
    return DYN_OK;
}

static Status on_picture(void *user, PredictResult *r, Error *err)
{
    PredictJob *j = user;
    ArenaMark mark = arena_mark(j->a);
    char *stem = path_stem(j->a, r->path);
    if (!stem) return fail_nomem(err, 1);
    TRY(tell(j, r, err));
    if (j->dir && j->o->save_txt && r->n) TRY(save_labels(j, r, stem, err));
    if (j->dir && j->o->save_crop) TRY(save_crops(j, r, stem, err));
    if (j->dir && j->o->save) TRY(save_picture(j, r, stem, err));
    j->n_images++;
    j->ms[0] += r->preprocess_ms, j->ms[1] += r->inference_ms, j->ms[2] += r->postprocess_ms;
    if (r->net_n >= j->net[0]) j->net[0] = r->net_n, j->net[1] = r->net_h, j->net[2] = r->net_w;
    arena_release(j->a, mark);
    return DYN_OK;
}

static void summary(PredictJob *j)
{
    double n = (double)j->n_images;
    if (!j->n_images) return;
    char speed[160], *text = arena_printf(j->a, "%s at shape (%lld, 3, %lld, %lld)%s%s",
                                          speed_text(speed, sizeof speed, j->ms[0] / n, j->ms[1] / n, -1, j->ms[2] / n),
                                          (long long)j->net[0], (long long)j->net[1], (long long)j->net[2],
                                          j->dir ? "\nResults saved to " : "", j->dir ? j->dir : "");
    if (text && j->n_labels)
        text = arena_printf(j->a, "%s\n%lld labels saved to %s/labels", text, (long long)j->n_labels, j->dir);
    if (text && j->event) j->event(j->user, &(DynEvent) { .kind = DYN_EVENT_TABLE, .text = text });
}

static Status make_folder(PredictJob *j, Error *err)
{
    const DynOptions *o = j->o;
    if (!o->save && !o->save_txt && !o->save_crop) return DYN_OK;
    TRY(run_folder(o, DYN_PREDICT, j->a, &j->dir, err));
    if (!o->save_txt) return DYN_OK;
    char *labels = path_join(j->a, j->dir, "labels");
    return labels ? dir_make(labels, err) : fail_nomem(err, 1);
}

static Status predict_job(PredictJob *j, Error *err)
{
    const DynOptions *o = j->o;
    char **paths;
    size_t n;
    int64_t done;
    Detector *d;
    PredictSpec spec;
    if (!o->model) return fail(err, DYN_USAGE, "which model? For example: model=yolov8n.pt");
    if (!o->source) return fail(err, DYN_USAGE, "which pictures? For example: source=photo.jpg");
    if (o->format && !str_eq(o->format, "json"))
        return fail(err, DYN_USAGE, "format=%s: predict knows json", o->format);
    TRY(source_list(j->a, o->source, &paths, &n, err));
    TRY(dyn_model_open(j->ctx, o->model, o, &j->model, err));
    TRY(model_detector(j->model, &d, err));
    TRY(setup_prediction(j->ctx, o, j->model->m->max_stride, j->a, &spec, err));
    TRY(make_folder(j, err));
    TRY(predict_files(d, &spec, paths, n, on_picture, j, &done, err));
    summary(j);
    return done ? DYN_OK : fail(err, DYN_FORMAT, "none of the %zu pictures of '%s' could be read", n, o->source);
}

DynStatus dyn_predict(DynContext *ctx, const DynOptions *options, DynEventFn *event, void *user, DynError *err)
{
    PredictJob j = { .ctx = ctx, .o = options, .event = event, .user = user, .a = arena_new() };
    if (!j.a) return fail_nomem(err, 1);
    Status s = job_begin(ctx, options, DYN_PREDICT, err);
    if (s == DYN_OK) s = predict_job(&j, err);
    dyn_model_free(&j.model);
    arena_free(&j.a);
    return s;
}
