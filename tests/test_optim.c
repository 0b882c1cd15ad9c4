/* SPDX-License-Identifier: Apache-2.0
 *
 * Optimisers against torch.optim (tools/golden_optim.py), clipping, the auto rule, the moving average, and the schedule
 * against the test vectors of the specification (section 13) and of its formulas. */
#include "test.h"

#include "formats/blob.h"
#include "train/schedule.h"

#include <math.h>

enum { N_WEIGHT = 40, N_NORM = 7, N_BIAS = 5, N_ALL = N_WEIGHT + N_NORM + N_BIAS, STEPS = 10, REPEAT = 500 };

static Error err;

/* The golden's weights REPEAT times over (so that a run is cut into several spans), norm and bias weights once, a state
 * and a frozen parameter that must not move. */
typedef struct Net {
    Graph *g;
    Slab p, grad;
    int64_t at_weight, at_norm, at_bias, at_state, at_frozen;
} Net;

static int64_t declare(Graph *g, const char *name, ParamKind kind, int64_t rows, int64_t n)
{
    graph_param(g, name, kind, SHAPE(rows, n), (Init) { 0 });
    return graph_param_spec(g, graph_n_params(g) - 1)->offset;
}

static Net net_new(void)
{
    Net n = { 0 };
    assert_ok(graph_new(&n.g, &err));
    n.at_weight = declare(n.g, "weight", PARAM_WEIGHT, REPEAT, N_WEIGHT);
    n.at_state = declare(n.g, "running_mean", PARAM_STATE, 1, 3);
    n.at_frozen = declare(n.g, "frozen", PARAM_WEIGHT, 1, 3);
    graph_param_spec(n.g, 2)->trainable = false;
    n.at_norm = declare(n.g, "norm", PARAM_NORM, 1, N_NORM);
    n.at_bias = declare(n.g, "bias", PARAM_BIAS, 1, N_BIAS);
    assert_ok(graph_status(n.g, &err));
    assert_ok(slab_new(n.g, &n.p, &err));
    assert_ok(slab_new(n.g, &n.grad, &err));
    return n;
}

static void net_free(Net *n)
{
    slab_free(&n->p);
    slab_free(&n->grad);
    graph_free(&n->g);
}

static void scatter(const Net *n, Slab *s, const double *v)
{
    for (int r = 0; r < REPEAT; r++)
        for (int i = 0; i < N_WEIGHT; i++)
            s->data[n->at_weight + r * N_WEIGHT + i] = (float)v[i];
    for (int i = 0; i < N_NORM; i++)
        s->data[n->at_norm + i] = (float)v[N_WEIGHT + i];
    for (int i = 0; i < N_BIAS; i++)
        s->data[n->at_bias + i] = (float)v[N_WEIGHT + N_NORM + i];
    for (int i = 0; i < 3; i++)
        s->data[n->at_state + i] = s->data[n->at_frozen + i] = 7;
}

static void expect(const char *what, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance * (1 + fabs(want)))) fail_msg("%s: %.9g, wanted %.9g", what, got, want);
}

static const double *golden(const BlobFile *f, const char *prefix, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "%s%s", prefix, name);
    const Blob *b = blob_find(f, key);
    if (!b || b->dtype != F64) fail_msg("the fixture lacks %s", key);
    return b->data;
}

static void test_optimisers(void **state)
{
    Arena *a = arena_new();
    BlobFile f;
    assert_ok(safetensors_read(a, "tests/data/optim.safetensors", &f, &err));
    const double *p0 = golden(&f, "p0", ""), *g = golden(&f, "g", "");
    for (int k = 0; k < optims_count(); k++) {
        const OptimDef *def = optims_at(k);
        const double *want = golden(&f, "after.", def->name);
        Net n = net_new();
        Optim *o;
        assert_ok(optim_new(def, n.g, 0.05, &o, &err));
        scatter(&n, &n.p, p0);
        for (int t = 0; t < STEPS; t++) {
            double lr = 0.01 * (1 + t) / STEPS, lr_bias = 0.05 - 0.004 * t;
            double momentum = def->warm_momentum ? 0.8 + 0.0137 * t : 0.9;
            scatter(&n, &n.grad, g + t * N_ALL);
            for (int64_t i = 0; i < n.grad.n; i++)
                n.grad.data[i] *= 4; /* undone by scale */
            optim_step(o, &n.p, &n.grad, (double[]) { lr_bias, lr, lr }, momentum, 0.25f);
        }
        for (int i = 0; i < REPEAT * N_WEIGHT; i++)
            expect(def->name, n.p.data[n.at_weight + i], want[i % N_WEIGHT], 2e-6);
        for (int i = 0; i < N_NORM; i++)
            expect(def->name, n.p.data[n.at_norm + i], want[N_WEIGHT + i], 2e-6);
        for (int i = 0; i < N_BIAS; i++)
            expect(def->name, n.p.data[n.at_bias + i], want[N_WEIGHT + N_NORM + i], 2e-6);
        for (int i = 0; i < 3; i++) {
            assert_true(n.p.data[n.at_state + i] == 7);
            assert_true(n.p.data[n.at_frozen + i] == 7);
        }
        optim_free(&o);
        net_free(&n);
    }
    assert_int_equal(optims_count(), 7);
    assert_ptr_equal(optims_find("adamw"), optims_find("AdamW"));
    assert_null(optims_find("auto"));
    arena_free(&a);
}

static void test_clip(void **state)
{
    Arena *a = arena_new();
    BlobFile f;
    assert_ok(safetensors_read(a, "tests/data/optim.safetensors", &f, &err));
    const double *g = golden(&f, "g", ""), *clipped = golden(&f, "clipped", "");
    Graph *graph;
    Optim *o;
    Slab s;
    assert_ok(graph_new(&graph, &err));
    int64_t at = declare(graph, "weight", PARAM_WEIGHT, 1, N_ALL);
    declare(graph, "running_var", PARAM_STATE, 1, 5);
    assert_ok(slab_new(graph, &s, &err));
    assert_ok(optim_new(optims_find("SGD"), graph, 0, &o, &err));
    for (int64_t i = 0; i < s.n; i++)
        s.data[i] = i < at + N_ALL ? (float)g[i - at] : 100;
    double norm = optim_norm(o, &s);
    expect("norm", norm, golden(&f, "norm", "")[0], 1e-12);
    for (int i = 0; i < N_ALL; i++)
        expect("clipped", g[i] * optim_clip(norm, 2), clipped[i], 1e-7);
    assert_true(optim_clip(1.9, 2) == 1);
    optim_free(&o);
    slab_free(&s);
    graph_free(&graph);
    arena_free(&a);
}

static void test_all_frozen(void **state)
{
    Graph *g;
    Optim *o;
    assert_ok(graph_new(&g, &err));
    declare(g, "weight", PARAM_WEIGHT, 1, 4);
    graph_param_spec(g, 0)->trainable = false;
    assert_fails(optim_new(optims_find("SGD"), g, 0, &o, &err), DYN_USAGE, "frozen");
    graph_free(&g);
}

static void test_auto(void **state)
{
    static const double fitted[][2] = {
        { 1, 0.002 }, { 2, 0.001667 }, { 10, 0.000714 }, { 20, 0.000417 }, { 80, 0.000119 }
    };
    for (size_t i = 0; i < COUNT_OF(fitted); i++) {
        OptimChoice c = optim_auto((int64_t)fitted[i][0], 10000);
        assert_string_equal(c.name, "AdamW");
        expect("lr", c.lr, fitted[i][1], 1e-12);
    }
    assert_string_equal(optim_auto(80, 10001).name, "SGD");
    expect("lr", optim_auto(80, 10001).lr, 0.01, 0);
}

static void test_ema(void **state)
{
    static const double decay[][2] = {
        { 1, 0.00049983 }, { 100, 0.0487657 }, { 2000, 0.6320574 }, { 10000, 0.9931627 }
    };
    for (size_t i = 0; i < COUNT_OF(decay); i++)
        expect("decay", ema_decay((int64_t)decay[i][0]), decay[i][1], 5e-8);
    float e[5] = { 1, 2, 15, -4, 0 }, m[5] = { 3, 2, 15, 4, 1e-3f };
    ema_update(&(Slab) { e, 5 }, &(Slab) { m, 5 }, 2000);
    expect("ema", e[0], 0.6320574 * 1 + 0.3679426 * 3, 1e-6);
    expect("ema", e[3], 0.6320574 * -4 + 0.3679426 * 4, 1e-6);
    assert_true(e[1] == 2 && e[2] == 15); /* what is equal does not drift */
}

static void test_schedule(void **state)
{
    Schedule s = { .epochs = 100,
                   .lr0 = 0.01,
                   .lrf = 0.01,
                   .momentum = 0.937,
                   .warm_momentum = true,
                   .warmup_epochs = 3,
                   .warmup_momentum = 0.8,
                   .warmup_bias_lr = 0.1,
                   .batches = 50,
                   .batch = 16,
                   .nominal_batch = 64 };
    static const double at[4] = { 0, 1, 50, 99 }, linear[4] = { 1, 0.9901, 0.505, 0.0199 },
                        cosine[4] = { 1, 0.999756, 0.505, 0.010244 };
    for (int i = 0; i < 4; i++) {
        s.cosine = false;
        expect("linear", schedule_factor(&s, (int64_t)at[i]), linear[i], 1e-12);
        s.cosine = true;
        expect("cosine", schedule_factor(&s, (int64_t)at[i]), cosine[i], 5e-7);
    }
    s.cosine = false;
    expect("past the end", schedule_factor(&s, 150), 0.01, 1e-12); /* a run limited by time */

    assert_int_equal(schedule_warmup(&s), 150);
    StepPlan p = schedule_at(&s, 0, 0);
    expect("bias", p.lr[GROUP_BIAS], 0.1, 0);
    expect("weight", p.lr[GROUP_WEIGHT], 0, 0);
    expect("momentum", p.momentum, 0.8, 0);
    assert_int_equal(p.accumulate, 1);
    p = schedule_at(&s, 1, 75); /* half way; the epoch's own factor is what it climbs to */
    expect("bias", p.lr[GROUP_BIAS], (0.1 + 0.01 * 0.9901) / 2, 1e-12);
    expect("norm", p.lr[GROUP_NORM], 0.01 * 0.9901 / 2, 1e-12);
    expect("momentum", p.momentum, 0.8685, 1e-12);
    assert_int_equal(p.accumulate, 2); /* 2.5 to even */
    p = schedule_at(&s, 3, 151);
    expect("after", p.lr[GROUP_BIAS], 0.01 * schedule_factor(&s, 3), 1e-12);
    expect("momentum", p.momentum, 0.937, 0);
    assert_int_equal(p.accumulate, 4);

    s.batches = 10; /* at least 100 iterations */
    assert_int_equal(schedule_warmup(&s), 100);
    s.warmup_epochs = 0;
    assert_int_equal(schedule_warmup(&s), -1);
    expect("no warm-up", schedule_at(&s, 0, 0).lr[GROUP_BIAS], 0.01, 0);
    s.warmup_epochs = 3, s.warm_momentum = false;
    expect("beta1", schedule_at(&s, 0, 0).momentum, 0.937, 0);

    static const int64_t batch[][2] = { { 6, 11 }, { 16, 4 }, { 24, 3 }, { 32, 2 }, { 48, 1 }, { 96, 1 } };
    for (size_t i = 0; i < COUNT_OF(batch); i++)
        assert_int_equal(schedule_accumulate((double)batch[i][0], 64), batch[i][1]);
    expect("decay", schedule_decay(0.0005, 24, 64), 0.0005625, 1e-15);
    expect("decay", schedule_decay(0.0005, 48, 64), 0.000375, 1e-15);
    expect("decay", schedule_decay(0.0005, 128, 64), 0.001, 1e-15);
}

static void test_stop(void **state)
{
    Stopper s = { .patience = 3 };
    assert_false(stopper_update(&s, 1, 0));
    assert_false(stopper_update(&s, 2, 0)); /* at zero every epoch counts as the best */
    assert_false(stopper_update(&s, 3, 0.5));
    assert_false(stopper_update(&s, 4, 0.5)); /* a tie is no improvement */
    assert_false(stopper_update(&s, 5, 0.4));
    assert_int_equal(s.best_epoch, 3);
    assert_true(stopper_update(&s, 6, 0.1));
    Stopper never = { 0 };
    assert_false(stopper_update(&never, 1, 1));
    assert_false(stopper_update(&never, 1000, 0));
}

/* Dynamic modules, A.5 and D.5. */
static void test_scheduled(void **state)
{
    const Schedule run = { .epochs = 100, .batches = 40 };
    const ScheduleSpec stepped = { .start = 34, .end = 1, .step = 3 }, linear = { .start = 30, .end = 1, .epochs = 10 };
    static const double by_epoch[] = { 34, 31, 28, 25, 22, 19, 16, 13, 10, 7, 4, 1, 1, 1 };
    for (int64_t e = 0; e < (int64_t)COUNT_OF(by_epoch); e++) {
        expect("first batch", schedule_scheduled(&run, &stepped, e, 40 * e), by_epoch[e], 0);
        expect("last batch", schedule_scheduled(&run, &stepped, e, 40 * e + 39), by_epoch[e], 0);
    }
    expect("first", schedule_scheduled(&run, &linear, 0, 0), 30, 0);
    expect("second", schedule_scheduled(&run, &linear, 0, 1), 1 + 29 * 399. / 400, 1e-12);
    expect("half way", schedule_scheduled(&run, &linear, 5, 200), 15.5, 1e-12);
    expect("last of the fall", schedule_scheduled(&run, &linear, 9, 399), 1 + 29. / 400, 1e-12);
    expect("after", schedule_scheduled(&run, &linear, 10, 400), 1, 0);
    expect("long after", schedule_scheduled(&run, &linear, 99, 3999), 1, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_optimisers), cmocka_unit_test(test_clip),
                                        cmocka_unit_test(test_all_frozen), cmocka_unit_test(test_auto),
                                        cmocka_unit_test(test_ema),        cmocka_unit_test(test_schedule),
                                        cmocka_unit_test(test_scheduled),  cmocka_unit_test(test_stop) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
