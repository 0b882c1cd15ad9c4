/* SPDX-License-Identifier: Apache-2.0
 *
 * Training of mixed kernels (softmax attention, sigmoid gates, a dropped branch) on a small network: a last batch of
 * one picture, every parameter moves, the temperature falls; same seed, same bits, also stopped and resumed; another
 * seed drops other samples. */
#include "test.h"

#include "train/train.h"

#include <math.h>
#include <unistd.h>

enum { SIDE = 32, BATCH = 3, BATCHES = 3, IMAGES = 7 };

static Error err;

static const char mixed[] = "nc: 2\nreg_max: 4\nbackbone:\n"
                            "  - [-1, 1, DynConv2dBnAct, [8, 3, 2, {K: 2}]]\n"
                            "  - [-1, 1, DynamicConv, [16, 3, 2, {num_experts: 2}]]\n"
                            "  - [-1, 1, DynamicBnAct, [16, 3, 1, {num_experts: 2, skip: true, drop_path_rate: 0.5}]]\n"
                            "  - [-1, 1, Dynamic_conv2d, [16, 3, {padding: 1, stride: 2, K: 2}]]\n"
                            "head:\n  - [[2, 3], 1, Detect, [nc]]\n";

/* Noise with one box a picture, a function of the place in the run. */
typedef struct Source {
    int64_t epoch, at, stop_after, seen;
    uint8_t pixel[BATCH * SIDE * SIDE * 3];
    float target[BATCH * 6];
} Source;

static Status start(void *user, int64_t epoch, int64_t first, bool mosaic, Error *e)
{
    Source *s = user;
    s->epoch = epoch, s->at = first;
    return DYN_OK;
}

static Status next(void *user, TrainBatch *b, Error *e)
{
    Source *s = user;
    Rng r = rng_at(5, (uint64_t)s->epoch, (uint64_t)s->at, 1);
    *b = (TrainBatch) { .n = MIN(BATCH, IMAGES - s->at * BATCH), SIDE, SIDE, s->pixel, s->target };
    for (size_t i = 0; i < sizeof s->pixel; i++)
        s->pixel[i] = (uint8_t)rng_int(&r, 256);
    for (b->n_targets = 0; b->n_targets < b->n; b->n_targets++) {
        const float box[6] = { (float)b->n_targets, (float)rng_int(&r, 2), 0.5f, 0.5f, 0.4f, 0.3f };
        memcpy(s->target + 6 * b->n_targets, box, sizeof box);
    }
    s->at++, s->seen++;
    return DYN_OK;
}

static bool stop(void *user)
{
    const Source *s = user;
    return s->stop_after && s->seen >= s->stop_after;
}

typedef struct Run {
    Model *m;
    Slab before;
    Status status;
} Run;

/* Two epochs in dir (NULL: no files) from seed; resume: a file to go on from. */
static Run train(const char *dir, DType act, uint64_t seed, int64_t stop_after, const char *resume)
{
    Run r;
    Backend *b;
    TrainResult result;
    Source *s = test_calloc(1, sizeof *s);
    s->stop_after = stop_after;
    assert_ok(model_from_text("mixed.yaml", mixed, strlen(mixed), &(ModelOptions) { .seed = 3 }, &r.m, &err));
    assert_ok(backend_open("cpu", 2, NULL, &b, &err));
    assert_ok(slab_new(r.m->g, &r.before, &err));
    memcpy(r.before.data, r.m->w.data, (size_t)r.before.n * sizeof(float));
    TrainJob job = { .model = r.m,
                     .backend = b,
                     .source = { s, IMAGES, BATCHES, start, next },
                     .events = { .user = s, .stop = stop },
                     .opt = train_defaults() };
    job.opt.epochs = 2, job.opt.batch = BATCH, job.opt.nominal_batch = BATCH, job.opt.optimizer = "SGD";
    job.opt.act = act, job.opt.seed = seed, job.opt.dir = dir, job.opt.resume = resume, job.opt.warmup_epochs = 0;
    r.status = train_run(&job, &result, &err);
    backend_close(&b);
    test_free(s);
    return r;
}

static void done(Run *r)
{
    model_free(&r->m);
    slab_free(&r->before);
}

static bool same(const Run *a, const Run *b)
{
    return a->m->w.n == b->m->w.n && !memcmp(a->m->w.data, b->m->w.data, (size_t)a->m->w.n * sizeof(float));
}

static void check_moved(const Run *r)
{
    for (int i = 0; i < graph_n_params(r->m->g); i++) {
        const ParamSpec *p = graph_param_spec(r->m->g, i);
        if (p->offset < 0 || p->kind == PARAM_FIXED) continue;
        const float *w = r->m->w.data + p->offset;
        bool moved = false;
        for (int64_t e = 0; e < shape_count(&p->shape); e++) {
            if (!isfinite(w[e])) fail_msg("%s is not finite", p->name);
            moved |= w[e] != r->before.data[p->offset + e];
        }
        if (!moved) fail_msg("%s did not move", p->name);
    }
    int t = graph_find_param(r->m->g, "model.0.conv.attention.temperature");
    assert_true(t >= 0 && r->m->w.data[graph_param_spec(r->m->g, t)->offset] == 31); /* one epoch below 34 */
}

static void test_mixed(void **state)
{
    for (int bf16 = 0; bf16 < 2; bf16++) {
        DType act = bf16 ? BF16 : F32;
        char dir[64], last[128];
        snprintf(dir, sizeof dir, "/tmp/test_train_mixed.%ld", (long)getpid());
        snprintf(last, sizeof last, "%s/weights/last.safetensors", dir);
        Run whole = train(NULL, act, 1, 0, NULL), again = train(NULL, act, 1, 0, NULL),
            other = train(NULL, act, 2, 0, NULL);
        assert_int_equal(whole.status, DYN_OK);
        check_moved(&whole);
        assert_true(same(&whole, &again));
        assert_false(same(&whole, &other)); /* pictures and first weights are alike: only what drops differs */
        assert_ok(dir_make(dir, &err));
        Run part = train(dir, act, 1, 4, NULL), rest = train(dir, act, 1, 0, last);
        assert_int_equal(part.status, DYN_STOPPED);
        assert_int_equal(rest.status, DYN_OK);
        assert_true(same(&whole, &rest));
        done(&whole), done(&again), done(&other), done(&part), done(&rest);
        char command[128];
        snprintf(command, sizeof command, "rm -r %s", dir);
        assert_int_equal(system(command), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_mixed) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
