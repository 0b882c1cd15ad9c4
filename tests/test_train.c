/* SPDX-License-Identifier: Apache-2.0
 *
 * The trainer on a small network and pictures made in memory: same seed, same bits; stopped anywhere and resumed, same
 * bits; files, events, early stop, mosaic. The loss curve itself is compared with the reference package in
 * test_train_trace.c. */
#include "test.h"

#include "train/train.h"

#include <math.h>
#include <unistd.h>

enum { SIDE = 32, IMAGES = 7, BATCH = 3, BATCHES = 3 }; /* the last batch has one image */

static Error err;

static const char tiny[] = "nc: 2\n"
                           "reg_max: 4\n"
                           "activation: nn.SiLU()\n"
                           "backbone:\n"
                           "  - [-1, 1, Conv, [8, 3, 2]]\n"
                           "  - [-1, 1, Conv, [16, 3, 2]]\n"
                           "  - [-1, 1, Conv, [16, 3, 2]]\n"
                           "  - [-1, 1, Conv, [16, 3, 2]]\n"
                           "head:\n"
                           "  - [[2, 3], 1, Detect, [nc]]\n";
static const char *network = tiny; /* what run_open builds */

/* ---- a data set: coloured rectangles on noise, a function of (seed, epoch, place) ------------------------------- */

typedef struct Toy {
    uint64_t seed;
    int64_t epoch, at, batches;
    int64_t crowd; /* > 0: so many labels in each image */
    uint8_t pixel[BATCH * SIDE * SIDE * 3];
    float target[BATCH * 128 * 6];
    int starts, with_mosaic;
} Toy;

static Status toy_start(void *user, int64_t epoch, int64_t first, bool mosaic, Error *e)
{
    Toy *t = user;
    t->epoch = epoch, t->at = first;
    t->starts++, t->with_mosaic += mosaic;
    return DYN_OK;
}

static int64_t draw(Toy *t, Rng *r, int64_t image, float *row)
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

static Status toy_next(void *user, TrainBatch *b, Error *e)
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

static void on_batch(void *user, const TrainProgress *p)
{
    Run *r = user;
    r->batches++;
    assert_true(p->step >= 1 && p->step <= p->steps && p->loss[0] > 0 && p->wait >= 0 && p->wait <= 1);
}

static void on_epoch(void *user, const TrainEpoch *e)
{
    Run *r = user;
    r->told[r->epochs_told++] = *e;
}

static bool on_stop(void *user)
{
    Run *r = user;
    return r->stop_after && r->batches >= r->stop_after;
}

static Status validate(void *user, const Slab *w, bool last, TrainMetrics *m, Error *e)
{
    Run *r = user;
    double v = r->map[r->validated++];
    assert_int_equal(w->n, r->m->w.n);
    *m = (TrainMetrics) { .precision = v, .recall = v, .map50 = v, .map = v, .loss = { 3, 2, 1 } };
    return DYN_OK;
}

/* Warnings of a run, one after another. */
static char warnings[4096];

static void keep_warning(void *user, DynLogLevel level, const char *line)
{
    if (level == DYN_LOG_WARN) snprintf(warnings + strlen(warnings), sizeof warnings - strlen(warnings), "%s\n", line);
}

static const Log run_log = { keep_warning, NULL, DYN_LOG_INFO };

static void run_open_model(Run *r, const char *yaml, const char *name, const char *backend)
{
    memset(r, 0, sizeof *r);
    assert_ok(model_from_text("tiny.yaml", yaml, strlen(yaml), &(ModelOptions) { .seed = 3 }, &r->m, &err));
    assert_ok(backend_open(backend, 2, &run_log, &r->backend, &err));
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

static void run_open(Run *r, const char *name, const char *backend)
{
    run_open_model(r, network, name, backend);
}

static void run_close(Run *r)
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

static void in_dir(const Run *r, const char *name, char path[256])
{
    snprintf(path, 256, "%s/%s", r->dir, name);
}

static void same_slab(const Slab *a, const Slab *b)
{
    assert_int_equal(a->n, b->n);
    for (int64_t i = 0; i < a->n; i++)
        if (memcmp(&a->data[i], &b->data[i], 4) != 0)
            fail_msg("element %lld: %.9g and %.9g", (long long)i, a->data[i], b->data[i]);
}

/* All tensors of two state files, bit by bit, and the numbers that may not differ. */
static void same_state(const char *p, const char *q)
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

/* ---- tests --------------------------------------------------------------------------------------------------------
 */

static void test_learns(void **state)
{
    Run r;
    run_open(&r, NULL, "cpu");
    r.job.opt.epochs = 20, r.job.opt.nominal_batch = BATCH, r.job.opt.optimizer = "AdamW", r.job.opt.lr0 = 0.01;
    r.job.opt.warmup_epochs = 0;
    assert_ok(train_run(&r.job, &r.result, &err));
    assert_int_equal(r.epochs_told, 20);
    double first = 0, last = 0;
    for (int k = 0; k < 3; k++)
        first += r.told[0].row.train_loss[k], last += r.told[19].row.train_loss[k];
    if (!(last < 0.75 * first)) fail_msg("the loss went from %g to %g", first, last);
    assert_true(r.result.best_fitness < 0); /* without validation: minus the loss */
    run_close(&r);
}

static void test_same_seed(void **state)
{
    Run a, b, c;
    run_open(&a, NULL, "cpu");
    run_open(&b, NULL, "cpu");
    run_open(&c, NULL, "cpu");
    c.toy.seed = 6;
    a.job.opt.epochs = b.job.opt.epochs = c.job.opt.epochs = 2;
    assert_ok(train_run(&a.job, &a.result, &err));
    assert_ok(train_run(&b.job, &b.result, &err));
    assert_ok(train_run(&c.job, &c.result, &err));
    same_slab(&a.m->w, &b.m->w);
    assert_true(memcmp(a.m->w.data, c.m->w.data, (size_t)a.m->w.n * 4) != 0);
    run_close(&a);
    run_close(&b);
    run_close(&c);
}

/* The whole run, and the same one stopped after n batches (once or more often) and resumed in a new process's stead. */
static void resumes(const char *optimizer, const int *stop, int n_stops)
{
    Run whole;
    char path[256], other[256];
    run_open(&whole, "whole", "cpu");
    whole.job.opt.optimizer = optimizer;
    assert_ok(train_run(&whole.job, &whole.result, &err));

    Run part = { 0 };
    for (int i = 0; i <= n_stops; i++) {
        if (part.m) {
            model_free(&part.m);
            backend_close(&part.backend);
        }
        run_open(&part, "part", "cpu");
        in_dir(&part, "weights/last.safetensors", path);
        part.job.opt.optimizer = optimizer;
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
    assert_int_equal(t.n_rows, 4);
    for (size_t i = 0; i < t.n_rows; i++)
        assert_true(t.value[i * t.n_columns] == (double)i + 1);
    arena_free(&a);
    run_close(&whole);
    run_close(&part);
}

static void test_resume(void **state)
{
    resumes("SGD", (int[]) { 3 }, 1);       /* after the last batch of an epoch */
    resumes("SGD", (int[]) { 5, 1, 2 }, 3); /* in the middle, gradients pending */
    resumes("AdamW", (int[]) { 4 }, 1);
    resumes("NAdam", (int[]) { 7 }, 1);
}

/* time= counts in place of epochs: a run whose hours are over ends with the epoch that it is in, whole files and all;
 * one that has hours left goes on past `epochs`. */
static void test_hours(void **state)
{
    Run r, long_run;
    char last[256];
    run_open(&r, "hours", "cpu");
    r.job.opt.epochs = 100, r.job.opt.hours = 1e-12;
    assert_ok(train_run(&r.job, &r.result, &err));
    assert_int_equal(r.epochs_told, 1);
    in_dir(&r, "weights/last.safetensors", last);
    assert_true(file_exists(last));
    run_close(&r);
    run_open(&long_run, "hours_left", "cpu");
    long_run.job.opt.epochs = 1, long_run.job.opt.hours = 1000, long_run.job.opt.patience = 0;
    long_run.stop_after = 2 * BATCHES + 1;
    assert_int_equal(train_run(&long_run.job, &long_run.result, &err), DYN_STOPPED);
    assert_int_equal(long_run.epochs_told, 2);
    run_close(&long_run);
}

/* Networks with a dynamic module between two convolutions: the same bits, with a last batch of one. */
static void test_dynamic_modules(void **state)
{
    static const char *const row[] = {
        "[-1, 1, DySample, [2, lp, 4]]",
        "[-1, 1, DySample, [2, pl, 2, true]]",
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        char text[512];
        snprintf(text, sizeof text,
                 "nc: 2\nreg_max: 4\nbackbone:\n  - [-1, 1, Conv, [8, 3, 2]]\n  - [-1, 1, Conv, [16, 3, 2]]\n"
                 "  - [-1, 1, Conv, [16, 3, 2]]\n  - %s\n  - [-1, 1, Conv, [16, 3, 2]]\nhead:\n"
                 "  - [[2, 4], 1, Detect, [nc]]\n",
                 row[i]);
        network = text;
        test_same_seed(state);
        resumes("AdamW", (int[]) { 5 }, 1);
        network = tiny;
    }
}

static void test_resume_refused(void **state)
{
    Run r;
    char last[256], best[256], path[256];
    run_open(&r, "refused", "cpu");
    r.job.opt.epochs = 1;
    assert_ok(train_run(&r.job, &r.result, &err));
    in_dir(&r, "weights/last.safetensors", last);
    in_dir(&r, "weights/best.safetensors", best);
    in_dir(&r, "weights/last.state.safetensors", path);

    r.job.opt.resume = last;
    assert_fails(train_run(&r.job, &r.result, &err), DYN_USAGE, "nothing to resume");
    r.job.opt.epochs = 2, r.job.opt.optimizer = "AdamW";
    assert_fails(train_run(&r.job, &r.result, &err), DYN_USAGE, "trained with SGD");
    r.job.opt.optimizer = "SGD", r.job.opt.resume = "/nowhere/last.safetensors";
    assert_fails(train_run(&r.job, &r.result, &err), DYN_IO, "is missing");
    r.job.opt.resume = "yolov8n.pt";
    assert_fails(train_run(&r.job, &r.result, &err), DYN_USAGE, "last.safetensors");

    const char *args;
    Arena *a = arena_new();
    assert_ok(train_resume_args(last, a, &args, &err));
    assert_string_equal(args, "{\"seed\": 5}");

    BlobFile f;
    assert_ok(safetensors_read(a, path, &f, &err));
    for (size_t i = 0; i < f.n_note; i++)
        if (str_eq(f.note[i].key, "run")) f.note[i].value = "0123456789abcdef";
    assert_ok(safetensors_write(path, &f, &err));
    r.job.opt.resume = last;
    assert_fails(train_run(&r.job, &r.result, &err), DYN_FORMAT, "two different runs");
    f.n--;
    assert_ok(safetensors_write(path, &f, &err));
    assert_fails(train_run(&r.job, &r.result, &err), DYN_FORMAT, "another model");
    arena_free(&a);
    run_close(&r);
}

static void test_files_and_events(void **state)
{
    Run r;
    char path[256];
    run_open(&r, "files", "cpu");
    static const double map[] = { 0.2, 0.5, 0.4, 0.4, 0.3, 0.9 };
    memcpy(r.map, map, sizeof map);
    r.job.validate = validate, r.job.validate_user = &r;
    r.job.opt.epochs = 6, r.job.opt.patience = 3, r.job.opt.close_mosaic = 3, r.job.opt.save_period = 2;
    assert_ok(train_run(&r.job, &r.result, &err));
    assert_int_equal(r.epochs_told, 5); /* best in epoch 2, three without improvement */
    assert_true(r.result.stopped_early);
    assert_int_equal(r.result.best_epoch, 2);
    assert_true(fabs(r.result.best_fitness - 0.5) < 1e-12);
    for (int i = 0; i < 5; i++) {
        assert_true(r.told[i].best == (i <= 1));
        assert_true(r.told[i].last == (i == 4));
        assert_true(r.told[i].row.map == map[i] && r.told[i].row.val_loss[0] == 3);
    }
    assert_int_equal(r.toy.with_mosaic, 3);
    assert_int_equal(r.batches, 5 * BATCHES);
    static const char *const kept[] = { "weights/epoch0.safetensors", "weights/epoch2.safetensors",
                                        "weights/best.state.safetensors" };
    for (size_t i = 0; i < COUNT_OF(kept); i++) {
        in_dir(&r, kept[i], path);
        assert_true(file_exists(path));
    }

    Model *best, *last;
    in_dir(&r, "weights/best.safetensors", path);
    assert_ok(model_load(path, &(ModelOptions) { 0 }, &best, &err));
    in_dir(&r, "weights/last.safetensors", path);
    assert_ok(model_load(path, &(ModelOptions) { 0 }, &last, &err));
    same_slab(&last->w, &r.m->w);
    assert_true(memcmp(best->w.data, last->w.data, (size_t)last->w.n * 4) != 0);
    model_free(&best);
    model_free(&last);
    in_dir(&r, "weights/epoch4.safetensors", path);
    assert_int_equal(remove(path), 0);
    run_close(&r);
}

/* Two temperatures that nothing reads: what moves them and where they are kept does not depend on that. */
enum { STEPPED, LINEAR, N_SCHEDULED };

static void add_schedules(Run *r)
{
    graph_schedule(r->m->g, "a.temperature", (ScheduleSpec) { .start = 7, .end = 1, .step = 3, .published = 7 });
    graph_schedule(r->m->g, "b.temperature", (ScheduleSpec) { .start = 30, .end = 1, .epochs = 2, .published = 1 });
    graph_schedule(r->m->g, "c.temperature", (ScheduleSpec) { .start = 30, .end = 1, .epochs = 2, .published = 1 });
    assert_ok(graph_status(r->m->g, &err));
    slab_free(&r->m->w);
    assert_ok(slab_new(r->m->g, &r->m->w, &err));
    r->m->count = ARENA_ARRAY(r->m->a, int64_t, graph_n_params(r->m->g));
    model_init(r->m, 3);
}

static float scheduled(const Run *r, const char *name)
{
    return r->m->w.data[graph_param_spec(r->m->g, graph_find_param(r->m->g, name))->offset];
}

static void test_schedules(void **state)
{
    Run whole, part;
    char path[256], other[256];
    ResultsTable t;
    Arena *a = arena_new();
    run_open(&whole, "whole", "cpu");
    add_schedules(&whole);
    assert_true(scheduled(&whole, "a.temperature") == 7 && scheduled(&whole, "b.temperature") == 30);
    assert_ok(train_run(&whole.job, &whole.result, &err));
    in_dir(&whole, "results.csv", path);
    assert_ok(results_read(a, path, &t, &err));
    int at[N_SCHEDULED] = { results_column(&t, "temperature/7-1"), results_column(&t, "temperature/30-1") };
    assert_true(at[STEPPED] > 0 && at[LINEAR] > at[STEPPED]);
    assert_int_equal(t.n_columns, at[LINEAR] + 1); /* equal schedules share a column */
    static const double want[][N_SCHEDULED] = { { 7, 1 + 29 * 4. / 6 }, { 4, 1 + 29 / 6. }, { 1, 1 }, { 1, 1 } };
    for (size_t e = 0; e < 4; e++)
        for (int k = 0; k < N_SCHEDULED; k++)
            assert_float_equal(t.value[e * t.n_columns + (size_t)at[k]], want[e][k], 1e-4);

    /* Stopped with the temperatures on their way, and resumed: the same bits. */
    for (int i = 0; i < 2; i++) {
        run_open(&part, "part", "cpu");
        add_schedules(&part);
        in_dir(&part, "weights/last.safetensors", path);
        if (i) part.job.opt.resume = path;
        part.stop_after = i ? 0 : 5;
        assert_int_equal(train_run(&part.job, &part.result, &err), i ? DYN_OK : DYN_STOPPED);
        if (i) break;
        assert_float_equal(scheduled(&part, "c.temperature"), 1 + 29 * 2. / 6, 1e-5);
        model_free(&part.m);
        backend_close(&part.backend);
    }
    same_slab(&whole.m->w, &part.m->w);
    in_dir(&whole, "weights/last.state.safetensors", other);
    in_dir(&part, "weights/last.state.safetensors", path);
    same_state(other, path);
    run_close(&whole);
    run_close(&part);
    arena_free(&a);
}

/* Dynamic convolutions with an attention of their own: the last batch of an epoch has one picture, for which their
 * BatchNorm falls back on its running statistics and says so once; same seed, same bits, also stopped and resumed. */
static const char dynamic[] = "nc: 2\n"
                              "reg_max: 4\n"
                              "backbone:\n"
                              "  - [-1, 1, ODConv2d, [8, 3, 2, {kernel_num: 2}]]\n"
                              "  - [-1, 1, ODConv2d, [16, 3, 2]]\n"
                              "  - [-1, 1, Conv, [16, 3, 2]]\n"
                              "  - [-1, 1, C2f_ODConv, [16, true]]\n"
                              "  - [-1, 1, Conv, [16, 3, 2]]\n"
                              "head:\n"
                              "  - [[3, 4], 1, Detect, [nc]]\n";

static void test_dynamic(void **state)
{
    for (int bf16 = 0; bf16 < 2; bf16++) {
        Run whole, part;
        char path[256], other[256];
        run_open_model(&whole, dynamic, "whole", "cpu");
        Slab before;
        assert_ok(slab_new(whole.m->g, &before, &err));
        memcpy(before.data, whole.m->w.data, (size_t)before.n * 4);
        whole.job.opt.act = bf16 ? BF16 : F32, whole.job.opt.epochs = 2;
        *warnings = 0;
        assert_ok(train_run(&whole.job, &whole.result, &err));
        const char *said = strstr(warnings, "a batch of one: 'model.0.attention.fc.bn' and 3 more");
        if (!said || strstr(said + 1, "a batch of one")) fail_msg("warnings: %s", warnings);
        /* experts, attention and its statistics all moved */
        for (int i = 0; i < graph_n_params(whole.m->g); i++) {
            const ParamSpec *p = graph_param_spec(whole.m->g, i);
            if (p->offset < 0 || p->kind == PARAM_FIXED || str_starts(p->name, "model.5.")) continue;
            for (int64_t e = 0; e < shape_count(&p->shape); e++)
                if (!isfinite(whole.m->w.data[p->offset + e])) fail_msg("%s is not finite", p->name);
            if (!memcmp(before.data + p->offset, whole.m->w.data + p->offset, (size_t)shape_count(&p->shape) * 4))
                fail_msg("%s did not move", p->name);
        }
        assert_float_equal(scheduled(&whole, "model.0.attention.temperature"), 1 + 29 * (1 - 5. / 30), 1e-4);
        for (int i = 0; i < 2; i++) {
            run_open_model(&part, dynamic, "part", "cpu");
            in_dir(&part, "weights/last.safetensors", path);
            part.job.opt.act = bf16 ? BF16 : F32, part.job.opt.epochs = 2;
            if (i) part.job.opt.resume = path;
            part.stop_after = i ? 0 : 4;
            assert_int_equal(train_run(&part.job, &part.result, &err), i ? DYN_OK : DYN_STOPPED);
            if (i) break;
            model_free(&part.m);
            backend_close(&part.backend);
        }
        same_slab(&whole.m->w, &part.m->w);
        in_dir(&whole, "weights/last.state.safetensors", other);
        in_dir(&part, "weights/last.state.safetensors", path);
        same_state(other, path);
        slab_free(&before);
        run_close(&whole);
        run_close(&part);
    }
}

/* As the recipes publish them: never stepped. And a model that comes with a low temperature keeps it. */
static void test_schedules_published(void **state)
{
    Run r;
    run_open(&r, NULL, "cpu");
    add_schedules(&r);
    r.job.opt.published = true;
    assert_ok(train_run(&r.job, &r.result, &err));
    assert_true(scheduled(&r, "a.temperature") == 7 && scheduled(&r, "b.temperature") == 1);
    run_close(&r);
    run_open(&r, NULL, "cpu");
    add_schedules(&r);
    r.m->w.data[graph_param_spec(r.m->g, graph_find_param(r.m->g, "b.temperature"))->offset] = 2;
    r.job.opt.epochs = 1;
    assert_ok(train_run(&r.job, &r.result, &err));
    assert_true(scheduled(&r, "b.temperature") == 2);
    run_close(&r);
}

static void test_freeze(void **state)
{
    Run r;
    run_open(&r, NULL, "cpu");
    assert_int_equal(train_freeze(r.m, (int64_t[]) { 0, 1 }, 2), 6);
    Slab before;
    assert_ok(slab_new(r.m->g, &before, &err));
    memcpy(before.data, r.m->w.data, (size_t)before.n * 4);
    r.job.opt.epochs = 1;
    assert_ok(train_run(&r.job, &r.result, &err));
    for (int i = 0; i < graph_n_params(r.m->g); i++) {
        const ParamSpec *p = graph_param_spec(r.m->g, i);
        if (p->offset < 0 || p->kind == PARAM_STATE) continue;
        bool moved = memcmp(before.data + p->offset, r.m->w.data + p->offset, (size_t)shape_count(&p->shape) * 4) != 0;
        /* the coarse level may have had no box to learn in three batches */
        if (moved != p->trainable && !str_starts(p->name, "model.4.cv2.1."))
            fail_msg("%s %s", p->name, moved ? "moved" : "did not move");
    }
    slab_free(&before);
    run_close(&r);
}

/* More labels than there was room for when the program was made. */
static void test_crowd(void **state)
{
    Run r;
    run_open(&r, NULL, "cpu");
    r.job.opt.epochs = 1;
    r.toy.crowd = 100;
    assert_ok(train_run(&r.job, &r.result, &err));
    run_close(&r);
}

static void test_diverges(void **state)
{
    Run r;
    run_open(&r, NULL, "cpu");
    r.m->w.data[graph_param_spec(r.m->g, 0)->offset] = NAN;
    assert_fails(train_run(&r.job, &r.result, &err), DYN_USAGE, "diverged");
    run_close(&r);
    run_open(&r, NULL, "cpu");
    r.toy.batches = 2;
    assert_fails(train_run(&r.job, &r.result, &err), DYN_FORMAT, "gave 2 of 3 batches");
    run_close(&r);
    run_open(&r, NULL, "cpu");
    r.job.opt.optimizer = "SGDX";
    assert_fails(train_run(&r.job, &r.result, &err), DYN_USAGE, "SGDX");
    run_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_learns),
                                        cmocka_unit_test(test_same_seed),
                                        cmocka_unit_test(test_resume),
                                        cmocka_unit_test(test_hours),
                                        cmocka_unit_test(test_dynamic_modules),
                                        cmocka_unit_test(test_resume_refused),
                                        cmocka_unit_test(test_files_and_events),
                                        cmocka_unit_test(test_freeze),
                                        cmocka_unit_test(test_schedules),
                                        cmocka_unit_test(test_dynamic),
                                        cmocka_unit_test(test_schedules_published),
                                        cmocka_unit_test(test_crowd),
                                        cmocka_unit_test(test_diverges) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
