/* SPDX-License-Identifier: Apache-2.0
 *
 * What tests of training share: pictures made in memory, a run of the trainer on a small network, and the check that a
 * run which was stopped and resumed has the bits of one that went through. */
#ifndef TRAIN_CASE_H
#define TRAIN_CASE_H

#include "test.h"

#include "train/train.h"

#include <math.h>
#include <unistd.h>

enum { SIDE = 32, IMAGES = 7, BATCH = 3, BATCHES = 3 }; /* the last batch has one image */

static Error err;

/* ---- a data set: coloured rectangles on noise, a function of (seed, epoch, place) ------------------------------- */

typedef struct Toy {
    uint64_t seed;
    int64_t epoch, at, batches;
    int64_t crowd; /* > 0: so many labels in each image */
    uint8_t pixel[BATCH * SIDE * SIDE * 3];
    float target[BATCH * 128 * 6];
    int starts, with_mosaic;
} Toy;

static inline Status toy_start(void *user, int64_t epoch, int64_t first, bool mosaic, Error *e)
{
    Toy *t = user;
    t->epoch = epoch, t->at = first;
    t->starts++, t->with_mosaic += mosaic;
    return DYN_OK;
}

static inline int64_t draw(Toy *t, Rng *r, int64_t image, float *row)
{
    uint8_t *pixel = t->pixel + image * SIDE * SIDE * 3;
    int64_t n = t->crowd ? t->crowd : 1 + rng_int(r, 2);
    for (int i = 0; i < SIDE * SIDE * 3; i++)
        pixel[i] = (uint8_t)rng_int(r, 60);
    for (int64_t k = 0; k < n; k++) {
        int64_t w = 8 + rng_int(r, 14), h = 8 + rng_int(r, 14), x = rng_int(r, SIDE - w), y = rng_int(r, SIDE - h);
        int64_t cls = rng_int(r, 2);
        for (int64_t v = y; v < y + h; v++)
            for (int64_t u = x; u < x + w; u++)
                pixel[(v * SIDE + u) * 3 + (cls ? 2 : 0)] = 230;
        const float label[6] = {
            (float)image,    (float)cls,     (float)(2 * x + w) / (2 * SIDE), (float)(2 * y + h) / (2 * SIDE),
            (float)w / SIDE, (float)h / SIDE
        };
        memcpy(row + 6 * k, label, sizeof label);
    }
    return n;
}

static inline Status toy_next(void *user, TrainBatch *b, Error *e)
{
    Toy *t = user;
    if (t->at >= t->batches) return DYN_OK;
    Rng r = rng_at(t->seed, (uint64_t)t->epoch, (uint64_t)t->at, 1);
    *b = (TrainBatch) {
        .n = MIN(BATCH, IMAGES - t->at * BATCH), .height = SIDE, .width = SIDE, .images = t->pixel, .targets = t->target
    };
    for (int64_t i = 0; i < b->n; i++)
        b->n_targets += draw(t, &r, i, t->target + 6 * b->n_targets);
    t->at++;
    return DYN_OK;
}

/* ---- a run --------------------------------------------------------------------------------------------------------
 */

typedef struct Run {
    Toy toy;
    Model *m;
    Backend *backend;
    TrainJob job;
    TrainResult result;
    char dir[128];
    int batches, stop_after; /* stop when so many batches were seen in this run; 0: never */
    int epochs_told;
    TrainEpoch told[64];
    double map[64]; /* what the validation says in each epoch */
    int validated;
} Run;

static inline void on_batch(void *user, const TrainProgress *p)
{
    Run *r = user;
    r->batches++;
    assert_true(p->step >= 1 && p->step <= p->steps && p->loss[0] > 0 && p->wait >= 0 && p->wait <= 1);
}

static inline void on_epoch(void *user, const TrainEpoch *e)
{
    Run *r = user;
    r->told[r->epochs_told++] = *e;
}

static inline bool on_stop(void *user)
{
    Run *r = user;
    return r->stop_after && r->batches >= r->stop_after;
}

static inline Status validate(void *user, const Slab *w, bool last, TrainMetrics *m, Error *e)
{
    Run *r = user;
    double v = r->map[r->validated++];
    assert_int_equal(w->n, r->m->w.n);
    *m = (TrainMetrics) { .precision = v, .recall = v, .map50 = v, .map = v, .fitness = v, .loss = { 3, 2, 1 } };
    return DYN_OK;
}

/* Warnings of a run, one after another. */
static char warnings[4096];

static inline void keep_warning(void *user, DynLogLevel level, const char *line)
{
    if (level == DYN_LOG_WARN) snprintf(warnings + strlen(warnings), sizeof warnings - strlen(warnings), "%s\n", line);
}

static const Log run_log = { keep_warning, NULL, DYN_LOG_INFO };

static inline void run_open(Run *r, const char *yaml, const char *name)
{
    memset(r, 0, sizeof *r);
    assert_ok(model_from_text("toy.yaml", yaml, strlen(yaml), &(ModelOptions) { .seed = 3 }, &r->m, &err));
    assert_ok(backend_open("cpu", 2, &run_log, &r->backend, &err));
    if (name) {
        snprintf(r->dir, sizeof r->dir, "/tmp/test_train.%ld.%s", (long)getpid(), name);
        assert_ok(dir_make(r->dir, &err));
    }
    r->toy = (Toy) { .seed = 5, .batches = BATCHES };
    r->job = (TrainJob) { .model = r->m,
                          .backend = r->backend,
                          .source = { &r->toy, IMAGES, BATCHES, toy_start, toy_next },
                          .events = { .user = r, .batch = on_batch, .epoch = on_epoch, .stop = on_stop },
                          .opt = train_defaults() };
    TrainOptions *o = &r->job.opt;
    o->epochs = 4, o->batch = BATCH, o->nominal_batch = 2 * BATCH, o->optimizer = "SGD", o->warmup_epochs = 1;
    o->args = "{\"seed\": 5}";
    o->dir = name ? r->dir : NULL;
}

static inline void run_close(Run *r)
{
    static const char *const file[] = { "weights/last.safetensors",
                                        "weights/last.state.safetensors",
                                        "weights/best.safetensors",
                                        "weights/best.state.safetensors",
                                        "weights/epoch0.safetensors",
                                        "weights/epoch2.safetensors",
                                        "results.csv",
                                        "weights",
                                        "." };
    char path[256];
    for (size_t i = 0; r->dir[0] && i < COUNT_OF(file); i++) {
        snprintf(path, sizeof path, i + 1 < COUNT_OF(file) ? "%s/%s" : "%s", r->dir, file[i]);
        if (remove(path) != 0 && i + 1 == COUNT_OF(file)) fail_msg("%s holds more than it should", r->dir);
    }
    model_free(&r->m);
    backend_close(&r->backend);
}

static inline void in_dir(const Run *r, const char *name, char path[256])
{
    snprintf(path, 256, "%s/%s", r->dir, name);
}

static inline void same_slab(const Slab *a, const Slab *b)
{
    assert_int_equal(a->n, b->n);
    for (int64_t i = 0; i < a->n; i++)
        if (memcmp(&a->data[i], &b->data[i], 4) != 0)
            fail_msg("element %lld: %.9g and %.9g", (long long)i, a->data[i], b->data[i]);
}

/* All tensors of two state files, bit by bit, and the numbers that may not differ. */
static inline void same_state(const char *p, const char *q)
{
    static const char *const note[] = { "epoch", "batch",      "last_step", "pending",         "updates",
                                        "run",   "best_epoch", "optimizer", "optimizer_steps", "loss_box" };
    Arena *a = arena_new();
    BlobFile f, g;
    assert_ok(safetensors_read(a, p, &f, &err));
    assert_ok(safetensors_read(a, q, &g, &err));
    assert_int_equal(f.n, g.n);
    for (size_t i = 0; i < f.n; i++) {
        assert_string_equal(f.blob[i].name, g.blob[i].name);
        if (memcmp(f.blob[i].data, g.blob[i].data, f.blob[i].bytes) != 0) fail_msg("%s differs", f.blob[i].name);
    }
    for (size_t i = 0; i < COUNT_OF(note); i++)
        assert_string_equal(blob_note(&f, note[i]), blob_note(&g, note[i]));
    arena_free(&a);
}

/* How a run differs from run_open's; zeros: not. */
typedef struct RunHow {
    const char *optimizer;
    DType act;
    int64_t epochs;
    void (*prepare)(Run *r); /* changes the model before it is trained */
} RunHow;

static inline void run_begin(Run *r, const char *yaml, const char *name, RunHow how)
{
    run_open(r, yaml, name);
    if (how.optimizer) r->job.opt.optimizer = how.optimizer;
    if (how.epochs) r->job.opt.epochs = how.epochs;
    r->job.opt.act = how.act;
    if (how.prepare) how.prepare(r);
}

/* The whole run, and the same one stopped after n batches (once or more often) and resumed in a new process's stead. */
static inline void run_resumes(const char *yaml, RunHow how, const int *stop, int n_stops)
{
    Run whole;
    char path[256], other[256];
    run_begin(&whole, yaml, "whole", how);
    assert_ok(train_run(&whole.job, &whole.result, &err));

    Run part = { 0 };
    for (int i = 0; i <= n_stops; i++) {
        if (part.m) {
            model_free(&part.m);
            backend_close(&part.backend);
        }
        run_begin(&part, yaml, "part", how);
        in_dir(&part, "weights/last.safetensors", path);
        part.job.opt.resume = i ? path : NULL;
        part.stop_after = i < n_stops ? stop[i] : 0;
        for (int k = 0; i && k < graph_n_params(part.m->g); k++) { /* all comes from the file */
            const ParamSpec *p = graph_param_spec(part.m->g, k);
            for (int64_t j = 0; p->offset >= 0 && j < shape_count(&p->shape); j++)
                part.m->w.data[p->offset + j] = 99;
        }
        Status s = train_run(&part.job, &part.result, &err);
        assert_int_equal(s, i < n_stops ? DYN_STOPPED : DYN_OK);
    }
    same_slab(&whole.m->w, &part.m->w);
    in_dir(&whole, "weights/last.state.safetensors", other);
    in_dir(&part, "weights/last.state.safetensors", path);
    same_state(other, path);
    assert_int_equal(whole.result.best_epoch, part.result.best_epoch);

    Arena *a = arena_new();
    ResultsTable t;
    in_dir(&part, "results.csv", path);
    assert_ok(results_read(a, path, &t, &err));
    assert_int_equal(t.n_rows, whole.job.opt.epochs);
    for (size_t i = 0; i < t.n_rows; i++)
        assert_true(t.value[i * t.n_columns] == (double)i + 1);
    arena_free(&a);
    run_close(&whole);
    run_close(&part);
}

#endif
