/* SPDX-License-Identifier: Apache-2.0
 *
 * dyn_train: data set, model and loaders for the training loop (src/train), what it shows and what it leaves behind
 * (spec 7). */
#include "api/options.h"
#include "api/resume.h"
#include "api/setup.h"
#include "api/train_source.h"
#include "train/train.h"

#include <math.h>

typedef struct TrainRun {
    DynContext *ctx;
    DynOptions o;
    DynEventFn *event;
    void *user;
    Arena *a;
    DataConfig config;
    Backend *backend;
    DType act;
    Model *model;
    Dataset *train, *val;
    Loader *train_loader, *val_loader;
    TrainPictures pictures;
    Graph *val_graph;   /* the model with the loss on it */
    Detector *detector; /* of val_graph, for the moving average */
    char *dir;
    int64_t imgsz;
    LossGain gain;
    DynMetrics *best;
    bool complete; /* see train_job */
    int claim;     /* on dir */
} TrainRun;

static void say(TrainRun *r, DynEventKind kind, const char *text)
{
    if (r->event && text) r->event(r->user, &(DynEvent) { .kind = kind, .text = text });
}

/* ---- the model ------------------------------------------------------------------------------------------------ */

static Status transfer(TrainRun *r, const BlobFile *src, const Yaml *description, const char *from, Error *err)
{
    Transfer t;
    AdaptOptions o = { .seed = (uint64_t)r->o.seed, .noise = BANK_NOISE, .description = description };
    TRY(model_adapt(r->model, src, &o, r->a, &t, err));
    int64_t got = t.copied + (int64_t)(t.n_changed + t.n_resized);
    if ((double)got < r->o.min_transfer * (double)t.total)
        return fail(err, DYN_USAGE,
                    "min_transfer=%g: '%s' has weights for %lld of the model's %lld items; not for %s%s%s",
                    r->o.min_transfer, from, (long long)got, (long long)t.total, t.missing[0],
                    t.n_missing > 1 ? ", " : "", t.n_missing > 1 ? t.missing[1] : "");
    say(r, DYN_EVENT_TABLE, transfer_text(r->model, &t, from, r->o.verbose, r->a));
    return DYN_OK;
}

/* pretrained=FILE is read once: its tensors, and what the reference did differently in the version that they are from.
 * Which layers there are is the description's. */
static Status read_pretrained(TrainRun *r, BlobFile *blobs, WeightsFacts *f, Error *err)
{
    TRY(model_read_blobs(r->o.pretrained, r->a, blobs, f, err));
    f->compat.depthwise_cls = f->compat.width_nc_quirk = false;
    return DYN_OK;
}

/* A weights file rebuilt for the data set's classes; what fits of it is copied unless other weights are given. */
static Status rebuild_model(TrainRun *r, ModelOptions *mo, bool copy, Error *err)
{
    Model *src;
    BlobFile blobs;
    ModelOptions as_is = { .log = &r->ctx->log };
    TRY(model_load(r->o.model, &as_is, &src, err));
    mo->compat = src->compat;
    mo->compat.width_nc_quirk &= mo->nc == src->nc; /* another class count would hit other rows, or none */
    Status s = model_structure(r->o.structure, &mo->compat, err);
    if (s == DYN_OK) s = model_from_yaml(src->file, src->yaml, mo, &r->model, err);
    if (s == DYN_OK && copy) {
        s = model_blobs(src, &src->w, r->a, &blobs, err);
        if (s == DYN_OK) s = transfer(r, &blobs, src->yaml, r->o.model, err);
    }
    model_free(&src);
    return s;
}

/* A description starts fresh, or from pretrained=FILE. */
static Status build_model(TrainRun *r, int64_t nc, Error *err)
{
    const char *path = r->o.model;
    ModelOptions mo = { .nc = nc, .scale = r->o.scale_letter, .seed = (uint64_t)r->o.seed, .log = &r->ctx->log };
    bool weights = str_ends_nocase(path, ".pt") || str_ends_nocase(path, ".safetensors"),
         own = option_true(r->o.pretrained), other = !own && !option_false(r->o.pretrained);
    BlobFile blobs;
    WeightsFacts facts = { 0 };
    if (other) TRY(read_pretrained(r, &blobs, &facts, err));
    mo.compat = facts.compat;
    if (weights) {
        TRY(rebuild_model(r, &mo, own, err));
    } else {
        TRY(model_structure(r->o.structure, &mo.compat, err));
        TRY(model_from_file(path, &mo, &r->model, err));
    }
    if (other) return transfer(r, &blobs, facts.description, r->o.pretrained, err);
    if ((weights && own) || !(r->o.min_transfer > 0)) return DYN_OK;
    return fail(err, DYN_USAGE, "min_transfer=%g, but there are no weights to begin from: give pretrained=FILE",
                r->o.min_transfer);
}

/* freeze=10: rows 0..9; freeze=[0, 2]: those. */
static Status freeze(TrainRun *r, Error *err)
{
    int32_t *ids;
    size_t n;
    const char *text = r->o.freeze;
    TRY(parse_ids(text, "freeze", r->a, &ids, &n, err));
    if (!n) return DYN_OK;
    bool first_rows = n == 1 && text[0] != '[';
    size_t count = first_rows ? (size_t)ids[0] : n;
    if (first_rows && ids[0] > r->model->n_row)
        return fail(err, DYN_USAGE, "freeze=%s: the model has %d rows", text, r->model->n_row);
    int64_t *row = ARENA_ARRAY(r->a, int64_t, count + 1);
    if (!row) return fail_nomem(err, count * sizeof *row);
    for (size_t i = 0; i < count; i++) {
        row[i] = first_rows ? (int64_t)i : ids[i];
        if (row[i] >= r->model->n_row)
            return fail(err, DYN_USAGE, "freeze=%s: the model has %d rows", text, r->model->n_row);
    }
    int frozen = train_freeze(r->model, row, count);
    say(r, DYN_EVENT_TABLE, arena_printf(r->a, "Freezing %d tensors of %zu rows", frozen, count));
    return DYN_OK;
}

static Status setup_model(TrainRun *r, Error *err)
{
    ModelInfo info;
    TRY(build_model(r, r->train->nc, err));
    TRY(model_set_names(r->model, r->train->names, err));
    TRY(freeze(r, err));
    TRY(model_info(r->model, 640, r->a, &info, err));
    say(r, DYN_EVENT_TABLE, model_table(r->model, &info, 640, false, r->a));
    return DYN_OK;
}

/* ---- data ------------------------------------------------------------------------------------------------------ */

static Status setup_augment(const DynOptions *o, AugmentOptions *a, Error *err)
{
    size_t n;
    const DynOptionRow *row = dyn_option_rows(&n);
    for (size_t i = 0; i < n; i++) {
        double v;
        if (!(row[i].modes >> DYN_TRAIN & 1) || augment_param_find(row[i].key) < 0) continue;
        memcpy(&v, (const char *)o + row[i].offset, sizeof v);
        TRY(augment_set(a, row[i].key, v, err));
    }
    return DYN_OK;
}

static Status setup_loaders(TrainRun *r, Error *err)
{
    const DynOptions *o = &r->o;
    LoaderOptions lo = LOADER_OPTIONS;
    lo.imgsz = (int)r->imgsz;
    lo.batch = (int)MIN(o->batch, r->train->n);
    lo.stride = (int)r->model->max_stride;
    lo.rect = o->rect;
    lo.strict = o->strict;
    lo.train = true;
    lo.seed = (uint64_t)o->seed;
    lo.workers = (int)o->workers;
    setup_cache(o, &lo);
    TRY(setup_augment(o, &lo.augment, err));
    TRY(loader_new(&r->train_loader, r->train, &lo, &r->ctx->log, err));
    return setup_val_loader(r->ctx, o, r->val, r->imgsz, MIN(o->batch * 2, r->val->n), true, r->model->max_stride,
                            &r->val_loader, err);
}

static Status label_plot(TrainRun *r, Error *err)
{
    int64_t n = 0;
    Target *t = ARENA_ARRAY(r->a, Target, r->train->n_labels + 1);
    char *path = path_join(r->a, r->dir, "labels.jpg");
    if (!t || !path) return fail_nomem(err, (size_t)r->train->n_labels * sizeof *t);
    for (int64_t i = 0; i < r->train->n; i++)
        for (int k = 0; k < r->train->item[i].n_labels; k++) {
            const Label *l = &r->train->item[i].label[k];
            t[n++] = (Target) { l->cx, l->cy, l->w, l->h, (int32_t)l->cls };
        }
    return report_labels(path, t, (size_t)n, r->train->names, r->train->nc, err);
}

/* Gains of the loss; with cls_pw also a factor for each class, by how often the training labels have it. */
static Status setup_gain(TrainRun *r, Error *err)
{
    const Dataset *ds = r->train;
    r->gain = (LossGain) { r->o.box, r->o.cls, r->o.dfl, NULL };
    if (!(r->o.cls_pw > 0)) return DYN_OK;
    int64_t *count = ARENA_ARRAY(r->a, int64_t, ds->nc);
    float *w = ARENA_ARRAY(r->a, float, ds->nc);
    int most = 0, least = 0;
    if (!count || !w) return fail_nomem(err, (size_t)ds->nc * sizeof *count);
    dataset_count(ds, count);
    train_class_weights(count, ds->nc, r->o.cls_pw, w);
    for (int k = 1; k < ds->nc; k++) {
        if (count[k] > count[most]) most = k;
        if (count[k] < count[least]) least = k;
    }
    say(r, DYN_EVENT_TABLE,
        arena_printf(r->a, "Class weights: %.3g (%s, %lld objects) to %.3g (%s, %lld)", (double)w[most],
                     ds->names[most], (long long)count[most], (double)w[least], ds->names[least],
                     (long long)count[least]));
    r->gain.class_weight = w;
    return DYN_OK;
}

/* ---- validation -------------------------------------------------------------------------------------------------- */

static Status validation(TrainRun *r, Progress *progress, ValidateSpec *s, Error *err)
{
    TRY(setup_validation(r->ctx, &r->o, r->model->max_stride, s, err));
    s->loader = r->val_loader;
    s->names = r->val->names;
    s->nc = r->val->nc;
    s->augment = s->save_json = s->save_txt = false;
    s->stop = NULL; /* a stop waits for the end of the epoch's validation, so that a resumed run has the same rows */
    s->progress = progress_validation;
    *progress = (Progress) { r->event, r->user };
    s->user = progress;
    return DYN_OK;
}

static Status on_validate(void *user, const Slab *w, bool last, TrainMetrics *m, Error *err)
{
    TrainRun *r = user;
    ValidateResult v;
    Progress progress;
    ValidateSpec s;
    TRY(validation(r, &progress, &s, err));
    s.dir = NULL;
    s.plots = false;
    Arena *a = arena_new();
    if (!a) return fail_nomem(err, 1);
    detector_set_params(r->detector, w);
    Status st = validate(r->detector, &s, a, &v, err);
    if (st == DYN_OK) {
        *m = (TrainMetrics) { v.eval.p,   v.eval.r,  v.eval.map50,
                              v.eval.map, v.fitness, { v.loss[0], v.loss[1], v.loss[2] } };
        char *table = eval_table(&v.eval, s.names, false, r->a);
        say(r, DYN_EVENT_TABLE, table);
    }
    arena_free(&a);
    return st;
}

/* The best checkpoint with its curves and per-class rows (spec 7.11). */
static Status final_validation(TrainRun *r, Error *err)
{
    Model *best;
    Detector *d;
    ValidateResult v;
    Progress progress;
    ModelOptions mo = { .log = &r->ctx->log };
    char *path = arena_printf(r->a, "%s/weights/best.safetensors", r->dir), speed[160];
    if (!path) return fail_nomem(err, 1);
    say(r, DYN_EVENT_TABLE, arena_printf(r->a, "\nValidating %s...", path));
    TRY(model_load(path, &mo, &best, err));
    DetectorSpec spec = { .graph = best->g, .params = &best->w, .backend = r->backend, .act = r->act, .fold = true };
    Status s = detector_new(&spec, &d, err);
    if (s == DYN_OK) {
        ValidateSpec vs;
        s = validation(r, &progress, &vs, err);
        vs.dir = r->dir;
        if (s == DYN_OK) s = validate(d, &vs, r->ctx->job, &v, err);
        detector_free(&d);
    }
    model_free(&best);
    TRY(s);
    TRY(setup_metrics(r->ctx, &v, r->val->names, r->o.verbose, r->dir, r->best, err));
    say(r, DYN_EVENT_TABLE, r->best->table);
    say(r, DYN_EVENT_TABLE, speed_text(speed, sizeof speed, v.ms[0], v.ms[1], -1, v.ms[2]));
    return DYN_OK;
}

/* ---- events of the loop ----------------------------------------------------------------------------------------- */

static void on_started(void *user, const char *optimizer_line)
{
    TrainRun *r = user;
    char header[256];
    say(r, DYN_EVENT_TABLE, optimizer_line);
    say(r, DYN_EVENT_TABLE,
        arena_printf(r->a,
                     "Image sizes %lld train, %lld val\nUsing %lld dataloader workers, %d compute threads, %s\nLogging "
                     "results to %s\n"
                     "Starting training for %lld epochs...\n%s",
                     (long long)r->imgsz, (long long)r->imgsz, (long long)r->o.workers, r->backend->threads,
                     r->act == BF16 ? "bf16" : "f32", r->dir, (long long)r->o.epochs,
                     train_header(header, sizeof header)));
}

static void on_batch(void *user, const TrainProgress *p)
{
    TrainRun *r = user;
    char line[256];
    if (!r->event) return;
    train_line(line, sizeof line, p);
    bool last = p->step == p->steps;
    r->event(r->user,
             &(DynEvent) {
                 .kind = last ? DYN_EVENT_EPOCH : DYN_EVENT_BATCH, .text = line, .done = p->step, .total = p->steps });
}

static bool on_stop(void *user)
{
    return ((TrainRun *)user)->ctx->stop;
}

/* ---- the run ------------------------------------------------------------------------------------------------------
 */

static bool is_published(const DynOptions *o)
{
    return o->parity && str_eq(o->parity, "published");
}

static Status options_of_run(TrainRun *r, const DynOptions *o, Error *err)
{
    const char *args;
    r->o = *o;
    if (!o->model && !option_false(o->resume) && !option_true(o->resume)) r->o.model = o->resume;
    if (!r->o.model)
        return fail(err, DYN_USAGE, "which model? For example: model=yolov8n.yaml, or model=yolov8n.pt to fine-tune");
    if (o->parity && !is_published(o)) return fail(err, DYN_USAGE, "parity=%s: wants published, or nothing", o->parity);
    MetricRules checked;
    TRY(metric_rules(o->metrics, &checked, err));
    if (option_false(o->resume)) return DYN_OK; /* its folder is made when there is something to write */
    if (!option_true(o->resume)) r->o.model = o->resume;
    DynOptions given = r->o;
    TRY(train_resume_args(r->o.model, r->a, &args, err));
    TRY(resume_options(&given, args, r->a, &r->ctx->log, &r->o, err));
    char *weights = path_dir(r->a, r->o.model);
    r->dir = weights ? path_dir(r->a, weights) : NULL;
    return r->dir ? DYN_OK : fail_nomem(err, 1);
}

static TrainOptions loop_options(const TrainRun *r)
{
    const DynOptions *o = &r->o;
    TrainOptions t = train_defaults();
    t.epochs = o->epochs, t.hours = o->time, t.patience = o->patience;
    t.batch = (double)MIN(o->batch, r->train->n);
    t.nominal_batch = (double)o->nbs;
    t.optimizer = o->optimizer;
    t.lr0 = o->lr0, t.lrf = o->lrf, t.momentum = o->momentum, t.weight_decay = o->weight_decay, t.cosine = o->cos_lr;
    t.warmup_epochs = o->warmup_epochs, t.warmup_momentum = o->warmup_momentum, t.warmup_bias_lr = o->warmup_bias_lr;
    t.gain = r->gain;
    t.close_mosaic = o->close_mosaic, t.validate = o->val, t.save = o->save, t.save_period = o->save_period;
    t.published = is_published(o);
    t.seed = (uint64_t)o->seed;
    t.act = r->act;
    t.dir = r->dir;
    t.resume = option_false(o->resume) ? NULL : o->model;
    t.finished_ok = r->complete;
    return t;
}

/* The folder is this run's alone, as are the leavings of a run before it that was killed. */
static Status claim_folder(TrainRun *r, Error *err)
{
    char *weights = path_join(r->a, r->dir, "weights");
    if (!weights) return fail_nomem(err, 1);
    TRY(dir_claim(r->dir, &r->claim, err));
    dir_sweep(r->dir);
    dir_sweep(weights);
    return DYN_OK;
}

static Status setup(TrainRun *r, const DynOptions *o, Error *err)
{
    TRY(options_of_run(r, o, err));
    if (r->dir) TRY(claim_folder(r, err)); /* before anything is read that another run may be writing */
    TRY(setup_config(&r->o, r->a, &r->config, err));
    TRY(setup_dataset(r->ctx, &r->o, &r->config, "train", r->a, &r->train, err));
    TRY(setup_dataset(r->ctx, &r->o, &r->config, "val", r->a, &r->val, err));
    TRY(backend_open(r->o.device ? r->o.device : "cpu", (int)r->o.threads, &r->ctx->log, &r->backend, err));
    TRY(precision_dtype(r->backend, r->o.amp ? r->o.precision : "f32", false, &r->act, err));
    TRY(setup_model(r, err));
    int64_t size[2];
    round_imgsz(r->ctx, &r->o, MAX(r->model->max_stride, (int64_t)32), size);
    r->imgsz = size[0];
    TRY(setup_loaders(r, err));
    TRY(setup_gain(r, err));
    TRY(train_loss_graph(r->model, r->gain, true, &r->val_graph, err));
    DetectorSpec spec = {
        .graph = r->val_graph, .params = &r->model->w, .backend = r->backend, .act = r->act, .fold = true
    };
    TRY(detector_new(&spec, &r->detector, err));
    if (!r->dir) {
        TRY(run_folder(o, DYN_TRAIN, r->a, &r->dir, err));
        TRY(claim_folder(r, err));
    }
    TRY(write_args(r->dir, &r->o, DYN_TRAIN, err));
    if (r->o.plots) TRY(label_plot(r, err));
    train_pictures_begin(&r->pictures, r->train_loader, r->o.multi_scale, r->imgsz,
                         MAX(r->model->max_stride, (int64_t)32), (uint64_t)r->o.seed, r->o.plots ? r->dir : NULL,
                         r->train->names, r->train->nc);
    return DYN_OK;
}

static Status results_picture(TrainRun *r, Error *err)
{
    ResultsTable t;
    char *csv = path_join(r->a, r->dir, "results.csv"), *png = path_join(r->a, r->dir, "results.png");
    if (!csv || !png) return fail_nomem(err, 1);
    if (!r->o.plots || !file_exists(csv)) return DYN_OK;
    TRY(results_read(r->a, csv, &t, err));
    return report_results(png, &t, err);
}

static Status run(TrainRun *r, Error *err)
{
    TrainResult result;
    char *args, took[32];
    TrainJob job = { .model = r->model,
                     .backend = r->backend,
                     .source = train_pictures_source(&r->pictures),
                     .validate = on_validate,
                     .validate_user = r,
                     .events = { r, on_started, on_batch, NULL, on_stop },
                     .log = &r->ctx->log,
                     .opt = loop_options(r) };
    job.source.images = r->train->n;
    TRY(resume_args(&r->o, r->a, &args, err));
    job.opt.args = args;
    Status s = train_run(&job, &result, err);
    if (s == DYN_STOPPED)
        return fail(err, DYN_STOPPED,
                    "stopped; go on with: dynyolo train model=%s/weights/last.safetensors resume=True", r->dir);
    TRY(s);
    say(r, DYN_EVENT_TABLE,
        arena_printf(r->a, "%lld epochs completed in %s%s", (long long)result.epochs,
                     duration_text(took, sizeof took, result.seconds),
                     result.stopped_early ? " (stopped early: no better result within patience)" : ""));
    TRY(results_picture(r, err));
    TRY(final_validation(r, err));
    say(r, DYN_EVENT_TABLE, arena_printf(r->a, "Results saved to %s", r->dir));
    return DYN_OK;
}

Status train_job(DynContext *ctx, const DynOptions *options, bool complete, DynEventFn *event, void *user,
                 DynMetrics *best, Error *err)
{
    TrainRun r = {
        .ctx = ctx, .event = event, .user = user, .a = ctx->job, .best = best, .complete = complete, .claim = -1
    };
    Status s = setup(&r, options, err);
    if (s == DYN_OK) s = run(&r, err);
    train_pictures_end(&r.pictures);
    detector_free(&r.detector);
    graph_free(&r.val_graph);
    loader_free(&r.train_loader);
    loader_free(&r.val_loader);
    model_free(&r.model);
    backend_close(&r.backend);
    dataset_free(&r.train);
    dataset_free(&r.val);
    dir_release(&r.claim);
    return s;
}

DynStatus dyn_train(DynContext *ctx, const DynOptions *options, DynEventFn *event, void *user, DynMetrics *best,
                    DynError *err)
{
    DynMetrics unused;
    TRY(job_begin(ctx, options, DYN_TRAIN, err));
    return train_job(ctx, options, false, event, user, best ? best : &unused, err);
}

Status train_first_model(DynContext *ctx, const DynOptions *o, int64_t nc, Arena *a, Model **out, Error *err)
{
    TrainRun r = { .ctx = ctx, .o = *o, .a = a };
    Status s = build_model(&r, nc, err);
    if (s != DYN_OK) model_free(&r.model);
    *out = r.model;
    return s;
}
