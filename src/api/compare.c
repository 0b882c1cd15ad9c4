/* SPDX-License-Identifier: Apache-2.0
 *
 * dyn_compare: the same training for each model and seed, then what each model costs, in one table and one figure.
 *
 * A training is one of dyn_train in a folder of its own, NAME-seedK, so it goes on from its checkpoint like any other.
 * The file `finished` there says that nothing is left to do; model.yaml holds the description that was trained, so that
 * a model file that has changed since is noticed. Seeds are the outer loop: after the first there is a whole comparison
 * to look at, and the table is written anew after every training. */
#include "api/compare.h"
#include "api/options.h"
#include "api/setup.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

void compare_say(const CompareJob *j, DynEventKind kind, const char *text)
{
    if (j->event && text) j->event(j->user, &(DynEvent) { .kind = kind, .text = text });
}

Status compare_model(const CompareJob *j, size_t i, const char *pretrained, Arena *a, Model **m, int64_t size[2],
                     Error *err)
{
    DynContext quiet = { .job = a }; /* its training will warn */
    DynOptions o = compare_run_options(j, i, 0, NULL);
    if (pretrained != j->o.pretrained) o.min_transfer = 0; /* to be timed, not trained */
    o.pretrained = pretrained;
    TRY(train_first_model(&quiet, &o, j->nc, a, m, err));
    round_imgsz(&quiet, &o, MAX((*m)->max_stride, (int64_t)32), size);
    return DYN_OK;
}

/* ---- what is known before anything is trained ------------------------------------------------------------------ */

static Status data(CompareJob *j, Error *err)
{
    DataConfig config;
    Dataset *ds = NULL;
    TRY(setup_config(&j->o, j->a, &config, err));
    TRY(setup_dataset(j->ctx, &j->o, &config, "val", j->a, &ds, err));
    dataset_free(&ds);
    TRY(setup_dataset(j->ctx, &j->o, &config, "train", j->a, &ds, err));
    j->nc = ds->nc;
    j->n_train = ds->n;
    dataset_free(&ds);
    return DYN_OK;
}

/* The description beside a run that was begun must be the one that the model file has now. */
static Status check_description(CompareJob *j, const char *run, const char *file, const Yaml *yaml, Error *err)
{
    char *text, *old, *path = path_join(j->a, run, "model.yaml");
    size_t n, n_old;
    TRY(yaml_write(j->a, yaml, &text, &n, err));
    if (!path) return fail_nomem(err, 1);
    if (!file_exists(path)) {
        TRY(dir_make(run, err));
        return file_write(path, text, n, err);
    }
    TRY(file_read(j->a, path, YAML_MAX_BYTES, &old, &n_old, err));
    if (n == n_old && memcmp(text, old, n) == 0) return DYN_OK;
    return fail(err, DYN_USAGE,
                "'%s' is not what '%s' was trained from: remove that folder, or choose another name=", file, run);
}

static char *run_name(const CompareJob *j, size_t i, size_t k)
{
    return arena_printf(j->a, "%s-seed%lld", j->c.model[i].name, (long long)j->c.seed[k]);
}

static char *run_dir(const CompareJob *j, size_t i, size_t k)
{
    char *name = run_name(j, i, k);
    return name ? path_join(j->a, j->dir, name) : NULL;
}

static Status describe(CompareJob *j, size_t i, const Model *m, int64_t imgsz, Arena *a, Error *err)
{
    CompareModel *cm = &j->c.model[i];
    ModelInfo info;
    if (j->c.imgsz && j->c.imgsz != imgsz)
        log_warn(&j->ctx->log, "%s has a stride of %lld: it sees pictures of %lld pixels, others of %lld", cm->name,
                 (long long)m->max_stride, (long long)imgsz, (long long)j->c.imgsz);
    if (!j->c.imgsz) j->c.imgsz = imgsz;
    TRY(model_info(m, imgsz, a, &info, err));
    cm->params = (double)info.params, cm->gflops = info.mac_gflops, cm->profiler = info.profiler;
    for (size_t k = 0; k < j->c.n_seeds; k++) {
        char *dir = run_dir(j, i, k);
        if (!dir) return fail_nomem(err, 1);
        TRY(check_description(j, dir, cm->file, m->yaml, err));
    }
    return DYN_OK;
}

/* Builds the model as its training will; a model that cannot be built has failed before its turn. */
static Status look_at(CompareJob *j, size_t i, Error *err)
{
    Model *m = NULL;
    int64_t size[2];
    Arena *a = arena_new(); /* pretrained weights do not have to stay */
    if (!a) return fail_nomem(err, 1);
    Status s = compare_model(j, i, j->o.pretrained, a, &m, size, err);
    if (s == DYN_OK) {
        s = describe(j, i, m, size[0], a, err);
    } else {
        log_warn(&j->ctx->log, "%s fails: %s", j->c.model[i].name, err->text);
        j->c.model[i].failed = arena_strdup(j->a, err->text);
        s = j->c.model[i].failed ? DYN_OK : fail_nomem(err, 1);
    }
    model_free(&m);
    arena_free(&a);
    return s;
}

static Status facts(CompareJob *j, Error *err)
{
    const DynOptions *o = &j->o;
    bool file = !option_true(o->pretrained) && !option_false(o->pretrained);
    const char *from = file ? arena_printf(j->a, "pretrained %s", o->pretrained) : NULL;
    Text t = { .a = j->a };
    text_add(&t, "%s, %lld epochs, imgsz %lld, batch %lld, %s%sseeds", o->data, (long long)o->epochs,
             (long long)j->c.imgsz, (long long)j->c.batch, from ? from : "", from ? ", " : "");
    for (size_t k = 0; k < j->c.n_seeds; k++)
        text_add(&t, "%s %lld", k ? "," : "", (long long)j->c.seed[k]);
    text_add(&t, "; all options: %s/args.yaml", j->dir);
    return (j->c.facts = text_done(&t)) ? DYN_OK : fail_nomem(err, 1);
}

/* ---- the report ------------------------------------------------------------------------------------------------ */

static Status write_text(const CompareJob *j, const char *name, const char *text, Error *err)
{
    char *path = path_join(j->a, j->dir, name);
    return path && text ? file_write(path, text, strlen(text), err) : fail_nomem(err, 1);
}

/* compare.md, compare.csv and compare.png of what is known; *text is the table. */
static Status write_report(CompareJob *j, char **text, Error *err)
{
    char *png = path_join(j->a, j->dir, "compare.png");
    *text = compare_text(j->a, &j->c);
    if (!*text || !png) return fail_nomem(err, 1);
    TRY(write_text(j, "compare.md",
                   arena_printf(j->a, "# Comparison\n\n%s\n![accuracy by epoch](compare.png)\n", *text), err));
    TRY(write_text(j, "compare.csv", compare_csv(j->a, &j->c), err));
    return report_comparison(png, &j->c, err);
}

/* ---- trainings ------------------------------------------------------------------------------------------------- */

/* Goes on from a checkpoint that is whole; what an earlier try left without one is begun anew. */
static Status begin_or_resume(CompareJob *j, DynOptions *o, const char *dir, bool *resumed, Error *err)
{
    char *last = path_join(j->a, dir, "weights/last.safetensors"),
         *state = path_join(j->a, dir, "weights/last.state.safetensors"), *csv = path_join(j->a, dir, "results.csv");
    if (!last || !state || !csv) return fail_nomem(err, 1);
    *resumed = file_exists(last) && file_exists(state);
    if (*resumed)
        o->model = last, o->resume = "True";
    else
        unlink(csv);
    return DYN_OK;
}

/* A training with an arena of its own for its texts. */
static Status train_apart(CompareJob *j, const DynOptions *o, Error *err)
{
    DynMetrics unused;
    Arena *ours = j->ctx->job, *its = arena_new();
    if (!its) return fail_nomem(err, 1);
    j->ctx->job = its;
    Status s = train_job(j->ctx, o, true, j->event, j->user, &unused, err);
    arena_free(&j->ctx->job);
    j->ctx->job = ours;
    return s;
}

/* Training number `turn` of the comparison. Fails only for what ends the comparison; the model's failure is noted. */
static Status train_one(CompareJob *j, size_t i, size_t k, size_t turn, Error *err)
{
    CompareModel *m = &j->c.model[i];
    CompareRun *run = &m->run[k];
    char *name = run_name(j, i, k), *dir = run_dir(j, i, k), *text;
    char *csv = dir ? path_join(j->a, dir, "results.csv") : NULL;
    char *finished = dir ? path_join(j->a, dir, "finished") : NULL;
    if (!csv || !finished) return fail_nomem(err, 1);
    DynOptions o = compare_run_options(j, i, k, name);
    bool resumed = false;
    run->done = file_exists(finished);
    if (!run->done) TRY(begin_or_resume(j, &o, dir, &resumed, err));
    compare_say(j, DYN_EVENT_TABLE,
                arena_printf(j->a, "\n[%zu/%zu] %s, seed %lld%s", turn, j->c.n * j->c.n_seeds, m->name,
                             (long long)j->c.seed[k],
                             run->done ? ": done before"
                             : resumed ? ": goes on"
                                       : ""));
    if (!run->done) {
        Status s = train_apart(j, &o, err);
        if (s == DYN_STOPPED) return s;
        if (s == DYN_OK) TRY(file_write(finished, "", 0, err));
        run->done = s == DYN_OK;
        if (!run->done) {
            log_warn(&j->ctx->log, "%s fails with seed %lld: %s", m->name, (long long)j->c.seed[k], err->text);
            if (!(run->failed = arena_strdup(j->a, err->text))) return fail_nomem(err, 1);
        }
    }
    TRY(compare_run_read(j->a, csv, j->c.fitness, run, err));
    return write_report(j, &text, err);
}

static Status train_all(CompareJob *j, Error *err)
{
    size_t turn = 0;
    for (size_t k = 0; k < j->c.n_seeds; k++)
        for (size_t i = 0; i < j->c.n; i++) {
            turn++;
            if (j->ctx->stop) return fail(err, DYN_STOPPED, "stopped");
            if (!j->c.model[i].failed) TRY(train_one(j, i, k, turn, err));
        }
    return DYN_OK;
}

/* Why nothing was trained, if that is so. */
static const char *nothing_done(const Comparison *c)
{
    const char *why = NULL;
    for (size_t i = 0; i < c->n; i++) {
        if (!why) why = c->model[i].failed;
        for (size_t k = 0; k < c->n_seeds; k++) {
            if (c->model[i].run[k].done) return NULL;
            if (!why) why = c->model[i].run[k].failed;
        }
    }
    return why;
}

static Status run(CompareJob *j, Error *err)
{
    char *text;
    TRY(compare_options(j, err));
    TRY(data(j, err));
    j->c.batch = MIN(j->o.batch, j->n_train);
    for (size_t i = 0; i < j->c.n; i++) {
        if (j->ctx->stop) return fail(err, DYN_STOPPED, "stopped");
        TRY(look_at(j, i, err));
    }
    TRY(facts(j, err));
    TRY(train_all(j, err));
    TRY(compare_costs(j, err));
    TRY(write_report(j, &text, err));
    compare_say(j, DYN_EVENT_TABLE, arena_printf(j->a, "\n%s\nResults saved to %s", text, j->dir));
    const char *why = nothing_done(&j->c);
    return why ? fail(err, DYN_FORMAT, "no model could be trained: %s", why) : DYN_OK;
}

DynStatus dyn_compare(DynContext *ctx, const DynOptions *options, DynEventFn *event, void *user, DynError *err)
{
    TRY(job_begin(ctx, options, DYN_COMPARE, err));
    CompareJob j = { .ctx = ctx, .o = *options, .event = event, .user = user, .a = ctx->job, .claim = -1 };
    Status s = run(&j, err);
    dir_release(&j.claim);
    if (s == DYN_STOPPED && j.dir) return fail(err, s, "stopped; go on with: dynyolo compare resume=%s", j.dir);
    return s;
}
