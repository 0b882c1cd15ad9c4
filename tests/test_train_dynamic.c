/* SPDX-License-Identifier: Apache-2.0
 *
 * Training of the dynamic modules on small networks, in f32 and bf16: the last batch of an epoch has one picture, every
 * parameter moves, temperatures fall; same seed, same bits, also stopped and resumed; another seed drops other samples.
 * And scheduled parameters by themselves. */
#include "train_case.h"

/* Two levels; what stands between them is the test's. */
#define NETWORK(rows, levels) "nc: 2\nreg_max: 4\nbackbone:\n" rows "head:\n  - [" levels ", 1, Detect, [nc]]\n"
#define CONV8 "  - [-1, 1, Conv, [8, 3, 2]]\n"
#define CONV16 "  - [-1, 1, Conv, [16, 3, 2]]\n"

static const char plain[] = NETWORK(CONV8 CONV16 CONV16 CONV16, "[2, 3]");

static float scheduled(const Run *r, const char *name)
{
    return r->m->w.data[graph_param_spec(r->m->g, graph_find_param(r->m->g, name))->offset];
}

/* ---- modules ----------------------------------------------------------------------------------------------------- */

typedef struct Network {
    const char *yaml;
    const char *warns;       /* once, or NULL: nothing is said */
    const char *temperature; /* the name of one, where two epochs leave it */
    double left_at;
    const char *still; /* a parameter that takes no part, NULL */
    bool drops;        /* another seed drops other samples */
} Network;

static const Network networks[] = {
    { .yaml = NETWORK("  - [-1, 1, ODConv2d, [8, 3, 2, {kernel_num: 2}]]\n"
                      "  - [-1, 1, ODConv2d, [16, 3, 2]]\n" CONV16 "  - [-1, 1, C2f_ODConv, [16, true]]\n" CONV16,
                      "[3, 4]"),
      .warns = "a batch of one: 'model.0.attention.fc.bn' and 3 more",
      .temperature = "model.0.attention.temperature",
      .left_at = 1 + 29 * (1 - 5. / 30) },
    { .yaml = NETWORK("  - [-1, 1, DynConv2dBnAct, [8, 3, 2, {K: 2}]]\n"
                      "  - [-1, 1, DynamicConv, [16, 3, 2, {num_experts: 2}]]\n"
                      "  - [-1, 1, DynamicBnAct, [16, 3, 1, {num_experts: 2, skip: true, drop_path_rate: 0.5}]]\n"
                      "  - [-1, 1, Dynamic_conv2d, [16, 3, {padding: 1, stride: 2, K: 2}]]\n",
                      "[2, 3]"),
      .temperature = "model.0.conv.attention.temperature",
      .left_at = 31,
      .drops = true },
    { .yaml =
          NETWORK(CONV8 CONV16 "  - [-1, 1, DoubleAttentionLayer, [null, null, true, true]]\n" CONV16 CONV16, "[3, 4]"),
      .still = "model.2.convB.bias" },
    { .yaml = NETWORK(CONV8 CONV16 CONV16 "  - [-1, 1, DySample, [2, lp, 4]]\n" CONV16, "[2, 4]") },
    { .yaml = NETWORK(CONV8 CONV16 CONV16 "  - [-1, 1, DySample, [2, pl, 2, true]]\n" CONV16, "[2, 4]") },
};

/* Every parameter that is learnt, counted or scheduled is another than before, and a number. */
static void check_moved(const Run *r, const Slab *before, const char *still)
{
    for (int i = 0; i < graph_n_params(r->m->g); i++) {
        const ParamSpec *p = graph_param_spec(r->m->g, i);
        if (p->offset < 0 || p->kind == PARAM_FIXED || p->kind == PARAM_BUFFER) continue;
        const float *w = r->m->w.data + p->offset;
        for (int64_t e = 0; e < shape_count(&p->shape); e++)
            if (!isfinite(w[e])) fail_msg("%s is not finite", p->name);
        bool moved = memcmp(before->data + p->offset, w, (size_t)shape_count(&p->shape) * sizeof *w) != 0;
        if (moved == (still && str_eq(p->name, still))) fail_msg("%s %s", p->name, moved ? "moved" : "did not move");
    }
}

static void check_warnings(const char *words)
{
    const char *said = words ? strstr(warnings, words) : NULL;
    if (words ? !said || strstr(said + 1, words) : *warnings) fail_msg("warnings: %s", warnings);
}

static void train_network(const Network *n, DType act)
{
    const RunHow how = { .act = act, .epochs = 2 };
    Run run[3]; /* the third has another seed for what a step draws */
    Slab before;
    for (int i = 0; i < 3; i++) {
        run_begin(&run[i], n->yaml, NULL, how);
        run[i].job.opt.warmup_epochs = 0;
        run[i].job.opt.seed = i == 2;
        if (!i) {
            assert_ok(slab_new(run[0].m->g, &before, &err));
            memcpy(before.data, run[0].m->w.data, (size_t)before.n * sizeof(float));
        }
        *warnings = 0;
        assert_ok(train_run(&run[i].job, &run[i].result, &err));
        check_warnings(n->warns);
    }
    check_moved(&run[0], &before, n->still);
    same_slab(&run[0].m->w, &run[1].m->w);
    bool same = !memcmp(run[0].m->w.data, run[2].m->w.data, (size_t)before.n * sizeof(float));
    assert_true(same == !n->drops);
    if (n->temperature) assert_float_equal(scheduled(&run[0], n->temperature), n->left_at, 1e-4);
    for (int i = 0; i < 3; i++)
        run_close(&run[i]);
    slab_free(&before);
    run_resumes(n->yaml, how, (int[]) { 4 }, 1);
}

static void modules_in_f32(void **state)
{
    for (size_t i = 0; i < COUNT_OF(networks); i++)
        train_network(&networks[i], F32);
}

static void modules_in_bf16(void **state)
{
    for (size_t i = 0; i < COUNT_OF(networks); i++)
        train_network(&networks[i], BF16);
}

/* ---- schedules --------------------------------------------------------------------------------------------------- */

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

static void test_schedules(void **state)
{
    Run whole;
    char path[256];
    ResultsTable t;
    const RunHow how = { .prepare = add_schedules };
    Arena *a = arena_new();
    run_begin(&whole, plain, "whole", how);
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

    run_close(&whole);
    arena_free(&a);
    run_resumes(plain, how, (int[]) { 5 }, 1); /* with the temperatures on their way */
}

/* As the recipes publish them: never stepped. And a model that comes with a low temperature keeps it. */
static void test_schedules_published(void **state)
{
    Run r;
    run_open(&r, plain, NULL);
    add_schedules(&r);
    r.job.opt.published = true;
    assert_ok(train_run(&r.job, &r.result, &err));
    assert_true(scheduled(&r, "a.temperature") == 7 && scheduled(&r, "b.temperature") == 1);
    run_close(&r);
    run_open(&r, plain, NULL);
    add_schedules(&r);
    r.m->w.data[graph_param_spec(r.m->g, graph_find_param(r.m->g, "b.temperature"))->offset] = 2;
    r.job.opt.epochs = 1;
    assert_ok(train_run(&r.job, &r.result, &err));
    assert_true(scheduled(&r, "b.temperature") == 2);
    run_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(modules_in_f32), cmocka_unit_test(modules_in_bf16),
                                        cmocka_unit_test(test_schedules), cmocka_unit_test(test_schedules_published) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
