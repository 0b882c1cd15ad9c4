/* SPDX-License-Identifier: Apache-2.0 */
#include "api/setup.h"

#include <math.h>
#include <unistd.h>

Status setup_config(const DynOptions *o, Arena *a, DataConfig *config, Error *err)
{
    if (!o->data) return fail(err, DYN_USAGE, "which data set? For example: data=bccd.yaml (dynyolo synth draws one)");
    return data_config_read(a, o->data, config, err);
}

Status setup_dataset(const DynContext *ctx, const DynOptions *o, const DataConfig *config, const char *split, Arena *a,
                     Dataset **ds, Error *err)
{
    const DataSources *from = str_eq(split, "train")  ? &config->train
                              : str_eq(split, "val")  ? &config->val
                              : str_eq(split, "test") ? &config->test
                                                      : NULL;
    int32_t *classes;
    DatasetOptions d = DATASET_OPTIONS;
    if (!from) return fail(err, DYN_USAGE, "split=%s: wants train, val or test", split);
    if (!from->n) return fail(err, DYN_USAGE, "'%s' names no %s pictures", config->file, split);
    TRY(parse_ids(o->classes, "classes", a, &classes, &d.n_classes, err));
    d.classes = classes;
    d.title = split;
    d.single_cls = o->single_cls;
    d.strict = o->strict;
    d.threads = (int)o->workers;
    d.stop = &ctx->stop;
    if (str_eq(split, "train") && o->fraction > 0) d.fraction = o->fraction;
    return dataset_open(ds, config, from, &d, &ctx->log, err);
}

Status setup_val_loader(const DynContext *ctx, const DynOptions *o, const Dataset *ds, int64_t imgsz, int64_t batch,
                        bool rect, int64_t stride, Loader **l, Error *err)
{
    LoaderOptions lo = LOADER_OPTIONS;
    lo.imgsz = (int)imgsz;
    lo.batch = (int)batch;
    lo.stride = (int)stride;
    lo.rect = rect;
    lo.strict = o->strict;
    lo.pad = 0.5;
    lo.workers = (int)o->workers;
    setup_cache(o, &lo);
    return loader_new(l, ds, &lo, &ctx->log, err);
}

void setup_cache(const DynOptions *o, LoaderOptions *lo)
{
    long pages = sysconf(_SC_AVPHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    lo->cache = o->cache && (str_eq(o->cache, "True") || str_eq(o->cache, "true") || str_eq(o->cache, "ram"));
    lo->cache_bytes = pages > 0 && size > 0 ? (size_t)pages / 3 * 2 * (size_t)size : 0;
}

/* A mode's defaults, changed where the options say so. */
static NmsOpt nms_options(NmsOpt nms, const DynOptions *o)
{
    if (!isnan(o->conf)) nms.conf = o->conf;
    nms.iou = o->iou;
    nms.max_det = o->max_det;
    nms.agnostic = o->agnostic_nms;
    return nms;
}

Status setup_prediction(DynContext *ctx, const DynOptions *o, int64_t stride, Arena *a, PredictSpec *spec, Error *err)
{
    int32_t *ids;
    *spec = (PredictSpec) { .stride = stride,
                            .batch = o->batch,
                            .max_det = o->max_det,
                            .rect = o->rect,
                            .augment = o->augment,
                            .workers = (int)o->workers,
                            .nms = nms_options(nms_defaults_predict(), o),
                            .log = &ctx->log,
                            .stop = &ctx->stop };
    TRY(parse_ids(o->classes, "classes", a, &ids, &spec->nms.n_classes, err));
    spec->nms.classes = ids;
    round_imgsz(ctx, o, stride, spec->imgsz);
    return DYN_OK;
}

void setup_detections(const Detection *det, size_t n, DynDetection *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (DynDetection) { det[i].x1, det[i].y1, det[i].x2, det[i].y2, det[i].conf, det[i].cls };
}

Status setup_validation(DynContext *ctx, const DynOptions *o, int64_t stride, ValidateSpec *spec, Error *err)
{
    *spec = (ValidateSpec) { .nms = nms_options(nms_defaults_val(), o),
                             .single_cls = o->single_cls,
                             .augment = o->augment,
                             .stride = stride,
                             .plots = o->plots,
                             .save_json = o->save_json,
                             .save_txt = o->save_txt,
                             .save_conf = o->save_conf,
                             .categories = o->category_base ? CATEGORY_NEXT : CATEGORY_INDEX,
                             .stop = &ctx->stop };
    spec->nms.agnostic |= o->single_cls;
    return metric_rules(o->metrics, &spec->rules, err);
}

Status setup_metrics(DynContext *ctx, const ValidateResult *r, const char *const *names, bool per_class,
                     const char *dir, DynMetrics *out, Error *err)
{
    const EvalResult *e = &r->eval;
    *out = (DynMetrics) { .precision = e->p,
                          .recall = e->r,
                          .map50 = e->map50,
                          .map50_95 = e->map,
                          .fitness = r->fitness,
                          .preprocess_ms = r->ms[0],
                          .inference_ms = r->ms[1],
                          .postprocess_ms = r->ms[2],
                          .images = e->images,
                          .instances = e->instances,
                          .save_dir = dir };
    out->table = eval_table(e, names, per_class, ctx->job);
    return out->table ? DYN_OK : fail_nomem(err, 1);
}

void progress_validation(void *progress, int64_t done, int64_t total)
{
    const Progress *p = progress;
    char text[64];
    if (!p->event) return;
    snprintf(text, sizeof text, "validating %lld/%lld", (long long)done, (long long)total);
    p->event(p->user, &(DynEvent) { .kind = DYN_EVENT_BATCH, .text = text, .done = done, .total = total });
}
