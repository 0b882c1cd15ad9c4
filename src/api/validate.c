/* SPDX-License-Identifier: Apache-2.0 */
#include "api/setup.h"
#include "report/report.h"

typedef struct ValJob {
    DynModel *model;
    Dataset *ds;
    Loader *loader;
} ValJob;

/* COCO's own validation or test list (spec 8.8): predictions.json is always written, with COCO's class numbers. */
static bool is_coco(const DataConfig *c, int64_t nc)
{
    const char *path = c->val.n ? c->val.path[0] : "";
    return nc == 80 && strstr(path, "coco") && (str_ends(path, "/val2017.txt") || str_ends(path, "/test-dev2017.txt"));
}

static Status check_classes(const DynContext *ctx, const DataConfig *c, const Model *m, Error *err)
{
    if (c->nc > m->nc)
        return fail(err, DYN_USAGE, "'%s' has %d classes, the model knows %lld: it was trained on another data set",
                    c->file, c->nc, (long long)m->nc);
    if (c->nc != m->nc)
        log_warn(&ctx->log, "'%s' has %d classes, the model knows %lld", c->file, c->nc, (long long)m->nc);
    return DYN_OK;
}

static Status run(DynContext *ctx, const DynOptions *o, ValJob *j, DynEventFn *event, void *user, DynMetrics *out,
                  Error *err)
{
    DataConfig config;
    Detector *d;
    ValidateResult result;
    int64_t size[2];
    char *dir, speed[160];
    Progress progress = { event, user };
    if (!o->model) return fail(err, DYN_USAGE, "which model? For example: model=yolov8n.pt");
    ValidateSpec spec;
    TRY(setup_config(o, ctx->job, &config, err));
    TRY(dyn_model_open(ctx, o->model, o, &j->model, err));
    const Model *m = j->model->m;
    TRY(check_classes(ctx, &config, m, err));
    TRY(setup_dataset(ctx, o, &config, o->split, ctx->job, &j->ds, err));
    round_imgsz(ctx, o, m->max_stride, size);
    TRY(setup_val_loader(ctx, o, j->ds, size[0], o->batch, o->rect, m->max_stride, &j->loader, err));
    TRY(model_detector(j->model, &d, err));
    TRY(setup_validation(ctx, o, m->max_stride, &spec, err));
    TRY(run_folder(o, DYN_VAL, ctx->job, &dir, err));
    spec.loader = j->loader;
    spec.names = o->single_cls ? j->ds->names : (const char *const *)m->names;
    spec.nc = (int32_t)(o->single_cls ? 1 : m->nc);
    spec.dir = dir;
    if (is_coco(&config, m->nc)) spec.categories = CATEGORY_COCO, spec.save_json = true;
    spec.progress = progress_validation;
    spec.user = &progress;
    TRY(validate(d, &spec, ctx->job, &result, err));
    log_info(&ctx->log, "compiling for the sizes that occurred took %.0f ms, which is not in the speed below",
             result.compile_ms);
    TRY(setup_metrics(ctx, &result, spec.names, o->verbose, dir, out, err));
    char *text = arena_printf(ctx->job, "%s\n%s\nResults saved to %s", out->table,
                              speed_text(speed, sizeof speed, result.ms[0], result.ms[1], -1, result.ms[2]), dir);
    if (text && event) event(user, &(DynEvent) { .kind = DYN_EVENT_TABLE, .text = text });
    return DYN_OK;
}

DynStatus dyn_validate(DynContext *ctx, const DynOptions *options, DynEventFn *event, void *user, DynMetrics *metrics,
                       DynError *err)
{
    ValJob j = { 0 };
    DynMetrics unused;
    TRY(job_begin(ctx, options, DYN_VAL, err));
    Status s = run(ctx, options, &j, event, user, metrics ? metrics : &unused, err);
    loader_free(&j.loader);
    dataset_free(&j.ds);
    dyn_model_free(&j.model);
    return s;
}
