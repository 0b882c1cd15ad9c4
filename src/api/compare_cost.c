/* SPDX-License-Identifier: Apache-2.0
 *
 * What each model costs, measured when all trainings are over: memory of a training step, one model after the other,
 * then times, all models in turns, so that a machine that grows slow is slow for all of them. */
#include "api/benchmark.h"
#include "api/compare.h"
#include "detect/detector.h"

#include <math.h>

static const char fresh[] = "False"; /* neither speed nor memory depends on the weights */
enum { TURNS = 4 };
typedef enum Kind { F32_INFERENCE, BF16_INFERENCE, TRAINING, N_KINDS } Kind;

typedef struct Costs {
    CompareJob *j;
    Backend *backend;
    DType act;    /* of trainings */
    int64_t runs; /* timed in a turn */
    double *ms;   /* [models][N_KINDS][TURNS * runs] */
    bool *failed; /* [models] */
} Costs;

static double *times(const Costs *c, size_t i, Kind kind)
{
    return c->ms + ((int64_t)i * N_KINDS + kind) * TURNS * c->runs;
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

static Status same_start(void *user, int64_t epoch, int64_t first, bool mosaic, Error *err)
{
    return DYN_OK;
}

static Status same_batch(void *user, TrainBatch *b, Error *err)
{
    *b = *(const TrainBatch *)user;
    return DYN_OK;
}

static bool after_one(void *user)
{
    return true;
}

/* The first step of a training, by the loop itself: gradients, optimiser state and moving average are there. */
static Status first_step(const Costs *c, Model *m, TrainBatch *batch, Error *err)
{
    const DynOptions *o = &c->j->o;
    TrainResult unused;
    int64_t n = c->j->n_train;
    TrainJob job = { .model = m,
                     .backend = c->backend,
                     .source = { batch, n, (n + batch->n - 1) / batch->n, same_start, same_batch },
                     .events = { .stop = after_one },
                     .opt = train_defaults() };
    job.opt.epochs = o->epochs;
    job.opt.batch = (double)batch->n;
    job.opt.nominal_batch = (double)o->nbs;
    job.opt.optimizer = o->optimizer;
    job.opt.act = c->act;
    Status s = train_run(&job, &unused, err);
    return s == DYN_STOPPED ? DYN_OK : s;
}

/* What the step adds to the process: the peak of its resident memory, less what it had before there was a model. */
static Status memory(const Costs *c, size_t i, double *mb, Error *err)
{
    Model *m = NULL;
    TrainBatch batch;
    int64_t size[2] = { c->j->c.imgsz, c->j->c.imgsz };
    Arena *a = arena_new();
    if (!a) return fail_nomem(err, 1);
    Status s = benchmark_batch(a, c->j->nc, c->j->c.batch, size, &batch, err);
    double before = mem_resident_start();
    if (s == DYN_OK) s = compare_model(c->j, i, fresh, a, &m, size, err);
    if (s == DYN_OK && size[0] != batch.height) s = benchmark_batch(a, c->j->nc, c->j->c.batch, size, &batch, err);
    if (s == DYN_OK) s = first_step(c, m, &batch, err);
    *mb = (mem_resident_peak() - before) / 1e6;
    model_free(&m);
    arena_free(&a);
    return s;
}

/* ---- time ------------------------------------------------------------------------------------------------------ */

static Status time_inference(const Costs *c, const Model *m, DType act, const int64_t size[2], double *ms, Error *err)
{
    Detector *d;
    Program *p;
    DetectorSpec spec = { .graph = m->g, .params = &m->w, .backend = c->backend, .act = act, .fold = true };
    TRY(detector_new(&spec, &d, err));
    Status s = detector_program(d, 1, size[0], size[1], &p, err);
    if (s == DYN_OK) s = benchmark_runs(benchmark_program, p, c->runs, &c->j->ctx->stop, ms, err);
    detector_free(&d);
    return s;
}

static Status time_training(const Costs *c, const Model *m, const int64_t size[2], Arena *a, double *ms, double *mb,
                            Error *err)
{
    enum { SLABS = 6 }; /* weights, gradients, their sum, two moments, moving average */
    TrainStep step;
    TrainBatch batch;
    TRY(benchmark_batch(a, m->nc, c->j->c.batch, size, &batch, err));
    TRY(train_step_open(&step, m, c->act, c->backend, &batch, err));
    ProgramStats stats = program_stats(step.p);
    *mb = ((double)stats.slab_bytes + (double)stats.const_bytes + SLABS * 4.0 * (double)m->w.n) / 1e6;
    Status s = benchmark_runs(train_step_run, &step, c->runs, &c->j->ctx->stop, ms, err);
    train_step_close(&step);
    return s;
}

static Status take_times(const Costs *c, size_t i, int64_t turn, Error *err)
{
    Model *m = NULL;
    int64_t size[2], first = turn * c->runs;
    Arena *a = arena_new();
    if (!a) return fail_nomem(err, 1);
    Status s = compare_model(c->j, i, fresh, a, &m, size, err);
    if (s == DYN_OK) s = time_inference(c, m, F32, size, times(c, i, F32_INFERENCE) + first, err);
    if (s == DYN_OK && c->backend->fast_bf16)
        s = time_inference(c, m, BF16, size, times(c, i, BF16_INFERENCE) + first, err);
    if (s == DYN_OK) s = time_training(c, m, size, a, times(c, i, TRAINING) + first, &c->j->c.model[i].planned_mb, err);
    model_free(&m);
    arena_free(&a);
    return s;
}

/* ---- all of it ------------------------------------------------------------------------------------------------- */

/* A model that cannot be measured keeps its accuracy and loses its costs; only a stop ends the comparison. */
static Status tolerate(const Costs *c, size_t i, Status s, const Error *err)
{
    if (s == DYN_OK || s == DYN_STOPPED) return s;
    log_warn(&c->j->ctx->log, "the cost of %s could not be measured: %s", c->j->c.model[i].name, err->text);
    c->failed[i] = true;
    return DYN_OK;
}

static void progress(const Costs *c, size_t i, int64_t turn)
{
    char text[160];
    int64_t done = (turn + 1) * (int64_t)c->j->c.n + (int64_t)i, total = (TURNS + 1) * (int64_t)c->j->c.n;
    snprintf(text, sizeof text, "measuring costs %lld/%lld: %s", (long long)done + 1, (long long)total,
             c->j->c.model[i].name);
    if (!c->j->event) return;
    c->j->event(c->j->user, &(DynEvent) { .kind = DYN_EVENT_BATCH, .text = text, .done = done, .total = total });
}

static Status measure(const Costs *c, Error *err)
{
    size_t n = c->j->c.n, first = 0;
    double unused;
    while (first < n && c->failed[first])
        first++;
    if (first == n) return DYN_OK;
    /* What the process needs once, whichever model comes first, is no model's. */
    TRY(tolerate(c, first, memory(c, first, &unused, err), err));
    for (int64_t turn = -1; turn < TURNS; turn++)
        for (size_t i = 0; i < n; i++) {
            if (c->j->ctx->stop) return fail(err, DYN_STOPPED, "stopped");
            if (c->failed[i]) continue;
            progress(c, i, turn);
            Status s = turn < 0 ? memory(c, i, &c->j->c.model[i].peak_mb, err) : take_times(c, i, turn, err);
            TRY(tolerate(c, i, s, err));
        }
    for (size_t i = 0; i < n; i++) {
        CompareModel *m = &c->j->c.model[i];
        double *median[N_KINDS] = { &m->f32_ms, &m->bf16_ms, &m->train_ms };
        for (Kind k = 0; k < N_KINDS && !c->failed[i]; k++)
            *median[k] = benchmark_median(times(c, i, k), TURNS * c->runs);
        m->train_ms /= (double)c->j->c.batch;
        if (!c->backend->fast_bf16) m->bf16_ms = NAN;
    }
    return DYN_OK;
}

Status compare_costs(CompareJob *j, Error *err)
{
    const DynOptions *o = &j->o;
    Costs c = { .j = j, .runs = (o->iters + TURNS - 1) / TURNS };
    c.ms = ARENA_ARRAY(j->a, double, (int64_t)j->c.n *N_KINDS *TURNS *c.runs);
    c.failed = ARENA_ARRAY(j->a, bool, j->c.n);
    if (!c.ms || !c.failed) return fail_nomem(err, j->c.n);
    for (size_t i = 0; i < j->c.n; i++)
        c.failed[i] = j->c.model[i].failed != NULL;
    TRY(backend_open(o->device ? o->device : "cpu", (int)o->threads, &j->ctx->log, &c.backend, err));
    Status s = precision_dtype(c.backend, o->amp ? o->precision : "f32", false, &c.act, err);
    if (s == DYN_OK) s = measure(&c, err);
    backend_close(&c.backend);
    return s;
}
