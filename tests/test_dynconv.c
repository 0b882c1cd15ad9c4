/* SPDX-License-Identifier: Apache-2.0
 *
 * The dynamic convolutions as modules: the golden vectors and properties of their specification (section F), names in
 * files, initial values, warnings and refusals. Against PyTorch: test_modules.c; tables: test_dynconv_tables.c. */
#include "module_case.h"

#include "model/model.h"

static Error err;

/* ---- golden vectors -----------------------------------------------------------------------------------------------
 */

static void check_vector(const char *module, const char *line, const double first[4], const ModuleSums *want)
{
    Arena *a = arena_new();
    ModuleCase c = module_case(a, module, line);
    ModuleRun r = module_walk(&c, a);
    module_check_vector(&r, first, want);
    arena_free(&a);
}

static void test_golden_vectors(void **state)
{
    check_vector("Dynamic_conv2d", "x[2,4,5,6] args=[6, 3, 0.5, 2, 1, {temperature: 4}]",
                 (const double[]) { 0.103289065, 0.104765413, 0.0737686452, 0.0160374413 },
                 (const ModuleSums[]) { { "y", -3.93217555, 7.26830848 },
                                        { "grad:x", 2.98210937, 14.7182372 },
                                        { "grad:weight", -2.31675924, 414.154319 },
                                        { "grad:bias", -5.64218197, 65.4549447 },
                                        { "grad:attention.fc1.weight", 0.00127051527, 0.0109183153 },
                                        { "grad:attention.fc2.weight", 0, 0.0124311697 },
                                        { NULL, 0, 0 } });
    check_vector("DynamicConv_Single", "x[2,4,5,6] args=[6, 3, 2, 1, 1, 2]",
                 (const double[]) { -0.64326204, -0.341270742, 0.431964254, 0.366815458 },
                 (const ModuleSums[]) { { "y", 7.54609206, 64.3303698 },
                                        { "grad:x", -2.19676507, 39.8138069 },
                                        { "grad:routing.weight", -0.0579678693, 1.38758294 },
                                        { "grad:routing.bias", -1.70484809, 4.47350766 },
                                        { "grad:cond_conv.weight", 59.5918081, 430.72594 },
                                        { NULL, 0, 0 } });
}

/* ---- properties ----------------------------------------------------------------------------------------------------
 */

static float *param(const Graph *g, const Slab *w, const char *name, int64_t *n)
{
    int i = graph_find_param(g, name);
    if (i < 0) fail_msg("no parameter %s", name);
    const ParamSpec *p = graph_param_spec((Graph *)(uintptr_t)g, i);
    *n = shape_count(&p->shape);
    return w->data + p->offset;
}

static ModuleRun run_edited(Arena *a, const char *module, const char *line, ModuleEdit *edit, int64_t x_from)
{
    ModuleCase c = module_case(a, module, line);
    c.edit = edit;
    c.x_from = x_from;
    return module_infer(&c, F32, a);
}

static void assert_same_y(const ModuleRun *a, const ModuleRun *b, int64_t from, double tol)
{
    Tensor y = module_result(a, "y"), z = module_result(b, "y");
    double top = 0;
    assert_true(from + tensor_count(&z) <= tensor_count(&y));
    for (int64_t e = 0; e < tensor_count(&z); e++)
        top = MAX(top, fabs(tensor_get(&z, e)));
    for (int64_t e = 0; e < tensor_count(&z); e++)
        if (!(fabs(tensor_get(&y, from + e) - tensor_get(&z, e)) <= tol * top))
            fail_msg("element %d is %.9g, not %.9g", (int)e, tensor_get(&y, from + e), tensor_get(&z, e));
}

static void mean_of_four(const Graph *g, Slab *w)
{
    static const char *const names[] = { "weight", "bias" };
    for (int k = 0; k < 2; k++) {
        int64_t n;
        float *p = param(g, w, names[k], &n);
        for (int64_t e = 0; e < n; e++) {
            double sum = 0; /* the fill of the bank of four, which counts on through its kernels */
            for (int64_t i = 0; i < 4; i++)
                sum += module_fill(0.5, 1 + k, e + i * n);
            p[e] = (float)(sum / 4);
        }
    }
}

/* A hot softmax weighs all kernels alike: the layer is the convolution with their mean. */
static void test_hot_attention_is_the_mean(void **state)
{
    Arena *a = arena_new();
    ModuleRun hot =
        run_edited(a, "Dynamic_conv2d", "x[2,4,5,6] args=[6, 3, 0.5, 2, 1, {temperature: 1000000000}]", NULL, 0);
    ModuleRun mean = run_edited(a, "Dynamic_conv2d", "x[2,4,5,6] args=[6, 3, 0.5, 2, 1, {K: 1}]", mean_of_four, 0);
    ModuleRun cold = run_edited(a, "Dynamic_conv2d", "x[2,4,5,6] args=[6, 3, 0.5, 2, 1, {temperature: 1}]", NULL, 0);
    assert_same_y(&hot, &mean, 0, 1e-5);
    Tensor y = module_result(&cold, "y"), z = module_result(&mean, "y");
    double apart = 0;
    for (int64_t e = 0; e < tensor_count(&y); e++)
        apart = MAX(apart, fabs(tensor_get(&y, e) - tensor_get(&z, e)));
    assert_true(apart > 1e-3); /* and a cold one does not */
    arena_free(&a);
}

/* Rows of a parameter in the order 2, 0, 3, 1. */
static void permute(const Graph *g, Slab *w, const char *name)
{
    static const int order[4] = { 2, 0, 3, 1 };
    int64_t n;
    float *p = param(g, w, name, &n), old[4096];
    assert_true(n <= (int64_t)COUNT_OF(old) && n % 4 == 0);
    memcpy(old, p, (size_t)n * sizeof *p);
    for (int k = 0; k < 4; k++)
        memcpy(p + k * (n / 4), old + order[k] * (n / 4), (size_t)(n / 4) * sizeof *p);
}

static void permute_attention(const Graph *g, Slab *w)
{
    permute(g, w, "weight");
    permute(g, w, "bias");
    permute(g, w, "attention.fc2.weight");
}

static void permute_gates(const Graph *g, Slab *w)
{
    permute(g, w, "cond_conv.weight");
    permute(g, w, "routing.weight");
    permute(g, w, "routing.bias");
}

static void test_order_of_experts(void **state)
{
    static const struct {
        const char *module, *line;
        ModuleEdit *edit;
    } T[] = { { "Dynamic_conv2d", "x[2,4,5,6] args=[6, 3, 0.5, 2, 1, {temperature: 1}]", permute_attention },
              { "DynamicConv_Single", "x[2,4,5,6] args=[6, 3, 2, 1, 1, 2]", permute_gates } };
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        Arena *a = arena_new();
        ModuleRun plain = run_edited(a, T[i].module, T[i].line, NULL, 0);
        ModuleRun other = run_edited(a, T[i].module, T[i].line, T[i].edit, 0);
        assert_same_y(&plain, &other, 0, 1e-5);
        arena_free(&a);
    }
}

/* Samples do not see one another: a batch of three equals three batches of one. */
static void test_samples_are_independent(void **state)
{
    static const char *const T[][2] = { { "Dynamic_conv2d", "args=[6, 3, 0.5, 2, 1, {temperature: 1}]" },
                                        { "DynConv2dBnAct", "args=[6, 3, 2]" },
                                        { "DynamicConv_Single", "args=[6, 3, 2, same]" },
                                        { "DynamicConv", "args=[6, 3, 2]" },
                                        { "DynamicBnAct", "args=[4, 3, {skip: true}]" } };
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        Arena *a = arena_new();
        ModuleRun three = run_edited(a, T[i][0], arena_printf(a, "x[3,4,5,6] %s", T[i][1]), NULL, 0);
        for (int64_t n = 0; n < 3; n++) {
            ModuleRun one = run_edited(a, T[i][0], arena_printf(a, "x[1,4,5,6] %s", T[i][1]), NULL, n * 4 * 5 * 6);
            Tensor y = module_result(&one, "y");
            assert_same_y(&three, &one, n * tensor_count(&y), 1e-6);
        }
        arena_free(&a);
    }
}

/* ---- in models -------------------------------------------------------------------------------------------------- */

static Model *load(const char *name, int64_t nc)
{
    Model *m = NULL;
    assert_ok(model_from_file(name, &(ModelOptions) { .nc = nc }, &m, &err));
    return m;
}

/* Names, order and shapes of the tensors of files (A.2, B.1, B.3, B.4). */
static void test_names_in_files(void **state)
{
    static const char *const dynamic[] = { "model.0.conv.weight[4,16,3,3,3]",
                                           "model.0.conv.attention.fc1.weight[4,3,1,1]",
                                           "model.0.conv.attention.fc2.weight[4,4,1,1]",
                                           "model.0.conv.attention.temperature[1,1,1,1]",
                                           "model.0.bn.weight[16]",
                                           "model.0.bn.bias[16]",
                                           "model.0.bn.running_mean[16]",
                                           "model.0.bn.running_var[16]",
                                           "model.0.bn.num_batches_tracked[]",
                                           NULL },
                             *const cond[] = { "model.3.conv.conv.0.routing.weight[4,32]",
                                               "model.3.conv.conv.0.routing.bias[4]",
                                               "model.3.conv.conv.0.cond_conv.weight[4,18432]",
                                               "model.3.conv.conv.1.weight[64]",
                                               "model.3.conv.conv.1.bias[64]",
                                               "model.3.conv.conv.1.running_mean[64]",
                                               "model.3.conv.conv.1.running_var[64]",
                                               "model.3.conv.conv.1.num_batches_tracked[]",
                                               "model.3.bn1.weight[64]",
                                               NULL };
    for (int k = 0; k < 2; k++) {
        Model *m = load(k ? "yolov8n-DynamicBnAct.yaml" : "yolov8n-dynamic.yaml", 0);
        const char *const *want = k ? cond : dynamic;
        Arena *a = arena_new();
        BlobFile f;
        size_t at = 0;
        assert_ok(model_blobs(m, &m->w, a, &f, &err));
        while (at < f.n && !str_starts(*want, f.blob[at].name))
            at++;
        for (; *want; want++, at++) {
            char shape[96], text[256];
            Shape s = shape_make(f.blob[at].dim, f.blob[at].rank);
            snprintf(text, sizeof text, "%s%s", f.blob[at].name, shape_text(&s, shape, sizeof shape));
            assert_string_equal(text, *want);
        }
        arena_free(&a);
        model_free(&m);
    }
}

/* Every initial value within its bound and near it; each expert as a kernel of its own (A.2, B.1). */
static void test_initial_values(void **state)
{
    static const struct {
        const char *model, *param;
        double bound, deviation; /* of uniform values; of normal ones */
    } T[] = { { "yolov8n-dynamic.yaml", "model.1.conv.weight", 0.2041241452, 0 },                 /* sqrt(6 / 144) */
              { "yolov8n-dynamic.yaml", "model.3.conv.attention.fc1.weight", 0, 0.5 },            /* sqrt(2 / 8) */
              { "yolov8s-dynamic.yaml", "model.3.conv.attention.fc2.weight", 0, 0.7071067812 },   /* sqrt(2 / 4) */
              { "yolov8n-DynamicConv.yaml", "model.3.conv.0.cond_conv.weight", 0.0589255651, 0 }, /* 1 / sqrt(288) */
              { "yolov8n-DynamicConv.yaml", "model.7.conv.0.routing.weight", 0.0883883476, 0 } }; /* 1 / sqrt(128) */
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        Model *m = load(T[i].model, 0);
        int64_t n;
        const float *w = param(m->g, &m->w, T[i].param, &n);
        double most = 0, squares = 0;
        for (int64_t e = 0; e < n; e++) {
            most = MAX(most, fabs((double)w[e]));
            squares += (double)w[e] * w[e];
        }
        if (T[i].bound > 0 && !(most <= T[i].bound && most > 0.97 * T[i].bound))
            fail_msg("%s: up to %g, wanted %g", T[i].param, most, T[i].bound);
        if (T[i].deviation > 0 && !(fabs(sqrt(squares / (double)n) / T[i].deviation - 1) < 0.25))
            fail_msg("%s: deviates by %g, wanted %g", T[i].param, sqrt(squares / (double)n), T[i].deviation);
        model_free(&m);
    }
    Model *m = load("yolov8n-dynamic.yaml", 0);
    int64_t n;
    assert_true(*param(m->g, &m->w, "model.1.conv.attention.temperature", &n) == 34);
    model_free(&m);
}

/* ---- warnings and refusals ------------------------------------------------------------------------------------------
 */

#define MODEL(row) "nc: 2\nbackbone:\n  - [-1, 1, Conv, [8, 3, 4]]\n  - " row "\nhead:\n  - [[0], 1, Detect, [nc]]\n"

static void test_warnings(void **state)
{
    static const struct {
        const char *text, *words; /* words NULL: none */
    } T[] = {
        { MODEL("[-1, 1, Dynamic_conv2d, [8, 3, 2]]"),
          "m.yaml:4: row 1 (Dynamic_conv2d): ratio=2 gives the attention 2x the input's width, with stride 1 and "
          "padding 0: "
          "the third argument is no stride as in Conv. Write [out_planes, 3, {stride: 2, padding: 1}], or take "
          "DynConv2dBnAct" },
        { MODEL("[-1, 1, Dynamic_conv2d, [8, 3, 0.25, 2, 1]]"), NULL },
        { MODEL("[-1, 1, Dynamic_conv2d, [8, 3, {stride: 2}]]"), NULL },
        { MODEL("[-1, 1, DynamicBnAct, [8, 3, 2, 1]]"), NULL },
        { MODEL("[-1, 1, DynamicBnAct, [8, 5, 2, 2]]"), "dilation=2: the fourth argument is no padding" },
    };
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        Model *m = NULL;
        assert_ok(model_from_text("m.yaml", T[i].text, strlen(T[i].text), NULL, &m, &err));
        /* No head can read the row's map, so that nothing reads it is always said, last. */
        assert_int_equal(m->n_warning, T[i].words ? 2 : 1);
        if (T[i].words && !strstr(m->warning[0], T[i].words))
            fail_msg("'%s' does not say '%s'", m->warning[0], T[i].words);
        model_free(&m);
    }
    Model *m = load("yolov8n-dynamic-published.yaml", 0);
    assert_non_null(strstr(m->note, "the 2 for its ratio"));
    assert_int_equal(m->n_warning, 1);
    assert_int_equal(m->stride[0], 4); /* A.8: every stride halves */
    assert_int_equal(m->stride[2], 16);
    model_free(&m);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *row, *words;
        Status status;
    } T[] = {
        { "[-1, 1, Dynamic_conv2d, [8]]",
          "m.yaml:4: row 1 (Dynamic_conv2d): argument 'kernel_size' is missing; Dynamic_conv2d[out_planes, "
          "kernel_size, "
          "ratio=0.25, stride=1, padding=0, dilation=1, groups=1, bias=true, K=4, temperature=34",
          DYN_FORMAT },
        { "[-1, 1, Dynamic_conv2d, [8, 3, fast]]",
          "argument 'ratio' must be a number from 0 to 64, not fast; Dynamic_conv2d[", DYN_FORMAT },
        { "[-1, 1, Dynamic_conv2d, [8, 3, 0.1]]",
          "m.yaml:4: row 1 (Dynamic_conv2d): its attention has no hidden unit: ratio "
          "0.1 of 8 input channels; at least 0.125 is needed",
          DYN_SHAPE },
        { "[-1, 1, Dynamic_conv2d, [8, 3, {K: 0}]]", "argument 'K' must be a whole number from 1 to 64, not 0",
          DYN_FORMAT },
        { "[-1, 1, Dynamic_conv2d, [8, 3, {k: 0}]]", "no argument 'k', did you mean 'K'", DYN_FORMAT },
        { "[-1, 1, Dynamic_conv2d, [8, 3, {groups: 3}]]",
          "m.yaml:4: row 1 (Dynamic_conv2d): 3 groups do not divide 8 input "
          "and 8 output channels",
          DYN_SHAPE },
        { "[-1, 1, Dynamic_conv2d, [8, 3, {temperature: 33}]]",
          "m.yaml:4: row 1 (Dynamic_conv2d): temperature 33 is not on its schedule, which falls to 1 in steps of 3: "
          "take 31 "
          "or 34",
          DYN_FORMAT },
        { "[-1, 1, Dynamic_conv2d, [8, 3, {init_weight: false}]]", "without initial values", DYN_UNSUPPORTED },
        { "[-1, 1, Dynamic_conv2d, [8, 3, 0.25, 1, 1, 1, 1, true, 4, 34, true, false, false, 9]]",
          "too many arguments; Dynamic_conv2d[", DYN_FORMAT },
        { "[-1, 1, DynConv2dBnAct, [8, 3, 1, null, 3]]", "3 groups do not divide", DYN_SHAPE },
        { "[-1, 1, DynConv2dBnAct, [8, 3, {ratio: 0}]]", "no hidden unit", DYN_SHAPE },
        { "[-1, 1, DynConv2dBnAct, [8, 3, {kernel_num: 4}]]", "no argument 'kernel_num'; DynConv2dBnAct[c_out, k=1",
          DYN_FORMAT },
        { "[-1, 1, DynamicConv, [8, 3, {num_experts: 0}]]",
          "argument 'num_experts' must be a whole number from 1 to 64, not 0", DYN_FORMAT },
        { "[-1, 1, DynamicConv, [8, 3, 1, null, 3]]", "3 groups do not divide", DYN_SHAPE },
        { "[-1, 1, DynamicConv_Single, [8, 3, 1, smae]]",
          "padding must be '', same, valid or a number from 0 to 99, not smae", DYN_FORMAT },
        { "[-1, 1, DynamicConv_Single, [8, 3, 1, -1]]", "padding must be", DYN_FORMAT },
        { "[-1, 1, DynamicBnAct, [8]]",
          "argument 'kernel_size' is missing; DynamicBnAct[out_chs, kernel_size, stride=1, "
          "dilation=1",
          DYN_FORMAT },
        { "[-1, 1, DynamicBnAct, [8, 3, {drop_path_rate: 1}]]",
          "argument 'drop_path_rate' must be a number from 0 to 0.999", DYN_FORMAT },
        { "[-1, 1, DynamicBnAct, [8, 3, {norm_layer: nn.LayerNorm}]]",
          "argument 'norm_layer' must be one of nn.BatchNorm2d", DYN_FORMAT },
    };
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        char text[512];
        Model *m = NULL;
        snprintf(text, sizeof text, MODEL("%s"), T[i].row);
        Status s = model_from_text("m.yaml", text, strlen(text), NULL, &m, &err);
        if (s != T[i].status || !strstr(err.text, T[i].words))
            fail_msg("%s: %s: '%s' does not say '%s'", T[i].row, dyn_status_name(s), err.text, T[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_vectors),   cmocka_unit_test(test_hot_attention_is_the_mean),
        cmocka_unit_test(test_order_of_experts), cmocka_unit_test(test_samples_are_independent),
        cmocka_unit_test(test_names_in_files),   cmocka_unit_test(test_initial_values),
        cmocka_unit_test(test_warnings),         cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
