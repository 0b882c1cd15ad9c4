/* SPDX-License-Identifier: Apache-2.0
 *
 * dyn_benchmark: whole-model time (median over runs) and the time of each node with the kernel that ran. */
#include "api/benchmark.h"
#include "api/api.h"

#include <math.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double benchmark_median(double *v, int64_t n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

typedef struct Timing {
    double median_ms, min_ms;
    double *step_ms; /* minimum over the timed runs, by step */
} Timing;

static bool as_json(const DynOptions *o)
{
    return o->format && str_eq(o->format, "json");
}

Status benchmark_program(void *program, Error *err)
{
    return program_run(program, err);
}

Status benchmark_runs(BenchmarkRun *run, void *what, int64_t n, const volatile bool *stop, double *ms, Error *err)
{
    enum { WARM_UP = 3 };
    for (int64_t i = -WARM_UP; i < n; i++) {
        if (*stop) return fail(err, DYN_STOPPED, "stopped");
        double start = clock_ms();
        TRY(run(what, err));
        if (i >= 0) ms[i] = clock_ms() - start;
    }
    return DYN_OK;
}

/* Whole runs, and where a table is wanted some more of the program, step by step. */
static Status measure(BenchmarkRun *run, void *what, Program *p, const DynOptions *o, const volatile bool *stop,
                      Arena *a, Timing *t, Error *err)
{
    enum { STEP_RUNS = 5 };
    int n = program_n_steps(p), step_runs = as_json(o) ? 0 : STEP_RUNS;
    double *ms = ARENA_ARRAY(a, double, o->iters);
    t->step_ms = ARENA_ARRAY(a, double, n + 1);
    if (!ms || !t->step_ms) return fail_nomem(err, (size_t)o->iters * sizeof *ms);
    TRY(benchmark_runs(run, what, o->iters, stop, ms, err));
    t->median_ms = benchmark_median(ms, o->iters);
    t->min_ms = ms[0];
    for (int k = 0; k < n; k++)
        t->step_ms[k] = INFINITY;
    for (int r = 0; r < step_runs; r++) {
        TRY(program_run_timed(p, err));
        for (int k = 0; k < n; k++)
            t->step_ms[k] = MIN(t->step_ms[k], program_step(p, k).ms);
    }
    return DYN_OK;
}

static char *step_table(const Program *p, const Timing *t, Arena *a)
{
    Text text = { .a = a };
    double sum = 0;
    text_add(&text, "%-28s %-20s %-28s %9s %6s %9s %9s", "node", "operator", "kernel", "ms", "%", "GFLOP/s", "GB/s");
    for (int k = 0; k < program_n_steps(p); k++)
        sum += t->step_ms[k];
    for (int k = 0; k < program_n_steps(p); k++) {
        StepInfo s = program_step(p, k);
        double ms = t->step_ms[k];
        if (ms <= 0) continue; /* ran at load time */
        text_add(&text, "\n%-28s %-20s %-28s %9.3f %6.1f %9.1f %9.1f", s.node ? s.node->name : "",
                 s.node ? s.node->op->name : "copy", s.impl, ms, 100 * ms / sum, s.cost.flops / ms / 1e6,
                 (double)(s.bytes_in + s.bytes_out) / ms / 1e6);
    }
    return text_done(&text);
}

/* A number as JSON has it. */
static const char *json_number(Arena *a, double x)
{
    const char *s = str_point(arena_printf(a, "%.4f", x));
    return s ? s : "null";
}

static Status report(DynContext *ctx, const DynOptions *o, const DynModel *model, Program *p, const Timing *t,
                     DynEventFn *event, void *user, Error *err)
{
    ProgramStats stats = program_stats(p);
    const char *what = o->train_step ? "train" : "inference", *act = model->act == BF16 ? "bf16" : "f32";
    double per_image = t->median_ms / (double)o->batch;
    bool json = as_json(o);
    char *text;
    if (json)
        text = arena_printf(ctx->job,
                            "{\"what\":\"%s\",\"model\":\"%s\",\"precision\":\"%s\",\"threads\":%d,\"batch\":%lld,"
                            "\"imgsz\":%lld,\"ms_per_image\":%s,"
                            "\"min_ms_per_image\":%s,\"activation_mb\":%s}",
                            what, model->m->title, act, model->backend->threads, (long long)o->batch,
                            (long long)o->imgsz[0], json_number(ctx->job, per_image),
                            json_number(ctx->job, t->min_ms / (double)o->batch),
                            json_number(ctx->job, (double)stats.slab_bytes / 1e6));
    else if ((text = step_table(p, t, ctx->job)))
        text = arena_printf(ctx->job,
                            "%s\n\n%s %s %s, batch %lld at %lldx%lld, %d threads: median %.2f ms, best %.2f ms per "
                            "image; %.1f MB activations",
                            text, model->m->title, what, act, (long long)o->batch, (long long)o->imgsz[0],
                            (long long)o->imgsz[1], model->backend->threads, per_image, t->min_ms / (double)o->batch,
                            (double)stats.slab_bytes / 1e6);
    if (!text) return fail_nomem(err, 1);
    if (event) event(user, &(DynEvent) { .kind = json ? DYN_EVENT_JSON : DYN_EVENT_TABLE, .text = text });
    return DYN_OK;
}

static Status inference(DynContext *ctx, const DynOptions *o, DynModel *model, DynEventFn *event, void *user,
                        Error *err)
{
    Detector *d;
    Program *p;
    Timing t = { 0 };
    int64_t size[2];
    round_imgsz(ctx, o, model->m->max_stride, size);
    TRY(model_detector(model, &d, err));
    TRY(detector_program(d, o->batch, size[0], size[1], &p, err));
    TRY(measure(benchmark_program, p, p, o, &ctx->stop, ctx->job, &t, err));
    return report(ctx, o, model, p, &t, event, user, err);
}

Status benchmark_batch(Arena *a, int64_t nc, int64_t n, const int64_t size[2], TrainBatch *b, Error *err)
{
    enum { LABELS = 8 };
    uint8_t *images = arena_alloc(a, (size_t)(n * size[0] * size[1] * 3));
    float *targets = ARENA_ARRAY(a, float, n *LABELS * 6);
    if (!images || !targets) return fail_nomem(err, (size_t)(n * size[0] * size[1] * 3));
    for (int64_t i = 0; i < n * LABELS; i++) {
        Rng r = rng_at(0, 0, (uint64_t)i, rng_key("benchmark"));
        float row[6] = { (float)(i / LABELS),
                         (float)rng_int(&r, nc),
                         (float)rng_uniform(&r, 0.2, 0.8),
                         (float)rng_uniform(&r, 0.2, 0.8),
                         (float)rng_uniform(&r, 0.05, 0.4),
                         (float)rng_uniform(&r, 0.05, 0.4) };
        memcpy(targets + i * 6, row, sizeof row);
    }
    *b = (TrainBatch) { n, size[0], size[1], images, targets, n * LABELS };
    return DYN_OK;
}

Status train_step_open(TrainStep *t, const Model *m, DType act, Backend *backend, const TrainBatch *b, Error *err)
{
    double items[3];
    *t = (TrainStep) { .weights = &m->w };
    Status s = slab_new(m->g, &t->grads, err);
    if (s == DYN_OK) s = slab_new(m->g, &t->ema, err);
    if (s == DYN_OK) s = optim_new(optims_find("SGD"), m->g, 0, &t->optim, err);
    if (s == DYN_OK) s = programs_open(&t->programs, m, train_defaults().gain, act, backend, &m->w, &t->grads, err);
    if (s == DYN_OK) s = programs_run(&t->programs, b, items, err);
    if (s == DYN_OK) s = programs_for(&t->programs, b, &t->p, err);
    if (s != DYN_OK) train_step_close(t);
    return s;
}

Status train_step_run(void *step, Error *err)
{
    enum { MAX_NORM = 10 };
    static const double no_lr[N_GROUP] = { 0 };
    TrainStep *t = step;
    TRY(program_run(t->p, err));
    float clip = optim_clip(optim_norm(t->optim, &t->grads), MAX_NORM);
    optim_step(t->optim, t->weights, &t->grads, no_lr, 0.9, clip);
    ema_update(&t->ema, t->weights, ++t->updates);
    return DYN_OK;
}

void train_step_close(TrainStep *t)
{
    programs_close(&t->programs);
    slab_free(&t->grads);
    slab_free(&t->ema);
    optim_free(&t->optim);
}

static Status train_step(DynContext *ctx, const DynOptions *o, DynModel *model, DynEventFn *event, void *user,
                         Error *err)
{
    TrainStep step;
    TrainBatch batch;
    Timing t = { 0 };
    int64_t size[2];
    round_imgsz(ctx, o, model->m->max_stride, size);
    TRY(benchmark_batch(ctx->job, model->m->nc, o->batch, size, &batch, err));
    TRY(train_step_open(&step, model->m, model->act, model->backend, &batch, err));
    Status s = measure(train_step_run, &step, step.p, o, &ctx->stop, ctx->job, &t, err);
    if (s == DYN_OK) s = report(ctx, o, model, step.p, &t, event, user, err);
    train_step_close(&step);
    return s;
}

DynStatus dyn_benchmark(DynContext *ctx, const DynOptions *o, DynEventFn *event, void *user, DynError *err)
{
    DynModel *model;
    TRY(job_begin(ctx, o, DYN_BENCHMARK, err));
    if (!o->model) return fail(err, DYN_USAGE, "which model? For example: model=yolov8n.yaml");
    TRY(dyn_model_open(ctx, o->model, o, &model, err));
    Status s = (o->train_step ? train_step : inference)(ctx, o, model, event, user, err);
    dyn_model_free(&model);
    return s;
}
