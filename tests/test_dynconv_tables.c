/* SPDX-License-Identifier: Apache-2.0
 *
 * Parameters, true and profiler GFLOPs of the first two recipes against the verified tables of their specification
 * (section G), the published figures among them. */
#include "module_case.h"

#include "model/model.h"

static Error err;

static int64_t layer_params(const char *module, int64_t c1, const char *args)
{
    Arena *a = arena_new();
    ModuleCase c = module_case(a, module, arena_printf(a, "x[1,%lld,8,8] args=%s", (long long)c1, args));
    Graph *g = module_graph(&c, F32, a);
    int64_t n = 0;
    for (int i = 0; i < graph_n_params(g); i++)
        if (param_counts(graph_param_spec(g, i))) n += shape_count(&graph_param_spec(g, i)->shape);
    graph_free(&g);
    arena_free(&a);
    return n;
}

/* Section G.1, per layer: k 3, stride 2, four experts. */
static void test_layer_parameters(void **state)
{
    static const struct {
        int64_t c1, c2, conv, cond, cond_bn_act, bare;
    } T[] = { { 32, 64, 18560, 73988, 74116, 74272 },
              { 64, 128, 73984, 295428, 295684, 296512 },
              { 128, 256, 295424, 1180676, 1181188, 1184896 },
              { 64, 64, 36992, 147844, 147972, 148800 },
              { 128, 128, 147712, 590596, 590852, 594560 } };
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        char plain[64], bare[64];
        snprintf(plain, sizeof plain, "[%lld, 3, 2]", (long long)T[i].c2);
        snprintf(bare, sizeof bare, "[%lld, 3, 0.25, 2, 1]", (long long)T[i].c2);
        assert_int_equal(layer_params("Conv", T[i].c1, plain), T[i].conv);
        assert_int_equal(layer_params("DynamicConv", T[i].c1, plain), T[i].cond);
        assert_int_equal(layer_params("DynamicBnAct", T[i].c1, plain), T[i].cond_bn_act);
        assert_int_equal(layer_params("Dynamic_conv2d", T[i].c1, bare), T[i].bare);
    }
    assert_int_equal(layer_params("Dynamic_conv2d", 3, "[16, 3, 0.25, 2, 1]"), 1820);
}

static Model *load(const char *name, int64_t nc)
{
    Model *m = NULL;
    assert_ok(model_from_file(name, &(ModelOptions) { .nc = nc }, &m, &err));
    return m;
}

/* Multiply-accumulates that mix kernels. */
static double mixing(const Model *m)
{
    double n = 0;
    for (int i = 0; i < graph_n_nodes(m->g); i++) {
        const Node *node = graph_node(m->g, i);
        if (node->kind != NODE_OP || node->op != &op_dynconv2d) continue;
        n += (double)shape_count(&value_type(m->g, node->in[1])->shape);
        if (node->n_in > 3 && node->in[3].id) n += (double)shape_count(&value_type(m->g, node->in[3])->shape);
    }
    return n;
}

static void assert_figure(const char *what, const char *name, double x, int decimals, double want)
{
    if (!(fabs(x - want) <= 0.5000001 * pow(10, -decimals))) fail_msg("%s: %s is %.6f, wanted %g", name, what, x, want);
}

static void check_model(Model *m, const char *name, int64_t params, double gflops, double mix, double profiler,
                        int decimals)
{
    Arena *a = arena_new();
    ModelInfo info;
    assert_ok(model_info(m, 640, a, &info, &err));
    if (info.params != params)
        fail_msg("%s: %lld parameters, wanted %lld", name, (long long)info.params, (long long)params);
    assert_figure("true GFLOPs", name, info.mac_gflops, 4, gflops);
    if (mix >= 0) assert_figure("mixing, MFLOPs", name, 2e-6 * mixing(m), 2, mix);
    assert_figure("profiler GFLOPs", name, info.profiler, decimals, profiler);
    arena_free(&a);
    model_free(&m);
}

/* Section G.1: what was published, at the class counts that reproduce it. */
static void test_published_table(void **state)
{
    static const struct {
        const char *name;
        int64_t nc, params;
        double gflops, profiler;
        const char *published;
    } T[] = { { "yolov8s.yaml", 80, 11166560, 28.603, 28.817, "28.8" },
              { "yolov8s-DynamicConv.yaml", 3, 17996813, 28.4553, 24.879, "24.9" },
              { "yolov8s-DynamicBnAct.yaml", 3, 17999373, 28.4553, 24.893, "24.9" },
              { "yolov8s.yaml", 3, 0, 28.4370, 0, NULL },
              { "yolov8n.yaml", 5, 3011823, 8.0870, 8.198, "8.2" },
              { "yolov8n-DynamicConv.yaml", 3, 4727293, 8.0895, 7.254, "7.3" },
              { "yolov8n-DynamicBnAct.yaml", 3, 4728573, 8.0895, 7.261, "7.3" },
              { "yolov8n.yaml", 3, 0, 8.0849, 0, NULL } };
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        Model *m = load(T[i].name, T[i].nc);
        Arena *a = arena_new();
        ModelInfo info;
        char text[32];
        assert_ok(model_info(m, 640, a, &info, &err));
        assert_figure("true GFLOPs", T[i].name, info.mac_gflops, i ? 4 : 3, T[i].gflops);
        if (T[i].published) {
            assert_int_equal(info.params, T[i].params);
            assert_figure("profiler GFLOPs", T[i].name, info.profiler, 3, T[i].profiler);
            snprintf(text, sizeof text, "%.1f", info.profiler);
            assert_string_equal(text, T[i].published);
        }
        arena_free(&a);
        model_free(&m);
    }
}

/* The stock YOLOv8 with other modules in some of its rows. args: a format for the row's width, or NULL to keep the
 * row's own. */
static Model *variant(char scale, const char *rows, const char *module, const char *args)
{
    char text[8192] = "", name[] = "yolov8?.yaml";
    const char *line = NULL;
    int row = 0;
    for (int i = 0; model_stock(i, &line) && !str_eq(model_stock(i, NULL), "yolov8.yaml"); i++)
        ;
    for (; *line; line += strcspn(line, "\n") + 1) {
        int len = (int)strcspn(line, "\n");
        char key[16];
        bool is_row = str_starts(line, "  - [");
        snprintf(key, sizeof key, ",%d,", row);
        row += is_row;
        size_t at = strlen(text);
        if (is_row && strstr(rows, key)) {
            long long width = strtoll(strstr(line, "Conv, [") + strlen("Conv, ["), NULL, 10);
            char own[64];
            snprintf(own, sizeof own, "[%lld%s]", width, args);
            snprintf(text + at, sizeof text - at, "  - [-1, 1, %s, %s]\n", module, own);
        } else
            snprintf(text + at, sizeof text - at, "%.*s\n", len, line);
    }
    Model *m = NULL;
    name[6] = scale;
    assert_ok(model_from_text(name, text, strlen(text), NULL, &m, &err));
    return m;
}

/* Section G.2: rows of the first two recipes at n and s. The first three are stock files. */
static void test_variants(void **state)
{
    static const struct {
        const char *rows, *module, *args, *stock;
        int64_t params[2];
        double gflops[2], mix[2], profiler[2];
    } T[] = {
#define ALL ",3,5,7,16,19,"
#define BARE ", 3, 0.25, 2, 1"
        { ",", "Conv", "", "yolov8%c.yaml", { 3157200, 11166560 }, { 8.7440, 28.6026 }, { 0, 0 }, { 8.86, 28.82 } },
        { ALL,
          "DynamicConv",
          ", 3, 2",
          "yolov8%c-DynamicConv.yaml",
          { 4873060, 18026612 },
          { 8.7486, 28.6209 },
          { 4.57, 18.28 },
          { 7.92, 25.04 } },
        { ALL,
          "DynamicBnAct",
          ", 3, 2",
          "yolov8%c-DynamicBnAct.yaml",
          { 4874340, 18029172 },
          { 8.7486, 28.6209 },
          { 4.57, 18.28 },
          { 7.92, 25.06 } },
        { ",0,1,3,",
          "DynConv2dBnAct",
          ", 3, 2",
          "yolov8%c-dynamic.yaml",
          { 3228012, 11447036 },
          { 8.7442, 28.6034 },
          { 0.19, 0.74 },
          { 8.30, 26.77 } },
        { ",0,1,3,",
          "Dynamic_conv2d",
          BARE,
          NULL,
          { 3228236, 11447484 },
          { 8.7442, 28.6034 },
          { 0.19, 0.75 },
          { 8.28, 26.72 } },
        { ",0,1,3,",
          "DynConv2dBnAct",
          ", 3, 2, {hidden_plus_one: true, fc2_bias: true}",
          NULL,
          { 3228080, 11447152 },
          { 8.7442, 28.6034 },
          { 0.19, 0.74 },
          { 8.30, 26.77 } },
        { ",3,",
          "DynConv2dBnAct",
          ", 3, 2",
          NULL,
          { 3212784, 11388832 },
          { 8.7441, 28.6032 },
          { 0.15, 0.59 },
          { 8.62, 27.88 } },
        { ",1,3,",
          "DynConv2dBnAct",
          ", 3, 2",
          NULL,
          { 3226688, 11444416 },
          { 8.7442, 28.6034 },
          { 0.18, 0.74 },
          { 8.39, 26.94 } },
        { ",1,3,5,7,",
          "DynConv2dBnAct",
          ", 3, 2",
          NULL,
          { 4337920, 15888960 },
          { 8.7471, 28.6152 },
          { 3.13, 12.53 },
          { 7.92, 25.07 } },
        { ALL,
          "DynConv2dBnAct",
          ", 3, 2",
          NULL,
          { 4882288, 18066080 },
          { 8.7486, 28.6210 },
          { 4.57, 18.28 },
          { 7.93, 25.09 } },
        { ALL,
          "Dynamic_conv2d",
          BARE,
          NULL,
          { 4883568, 18068640 },
          { 8.7486, 28.6210 },
          { 4.58, 18.29 },
          { 7.92, 25.07 } },
    };
    for (size_t i = 0; i < COUNT_OF(T); i++)
        for (int s = 0; s < 2; s++) {
            char name[128];
            snprintf(name, sizeof name, "%s %s%s at %c", T[i].module, T[i].rows, T[i].args, "ns"[s]);
            check_model(variant("ns"[s], T[i].rows, T[i].module, T[i].args), name, T[i].params[s], T[i].gflops[s],
                        T[i].mix[s], T[i].profiler[s], 2);
            if (!T[i].stock) continue;
            snprintf(name, sizeof name, T[i].stock, "ns"[s]);
            check_model(load(name, 0), name, T[i].params[s], T[i].gflops[s], T[i].mix[s], T[i].profiler[s], 2);
        }
}

/* m, l, x: the plain model's parameters and those that each replaced row adds, counted by hand. */
static void test_larger_scales(void **state)
{
    for (const char *scale = "nsmlx"; *scale; scale++) {
        char name[64];
        snprintf(name, sizeof name, "yolov8%c.yaml", *scale);
        Model *plain = load(name, 0);
        int64_t want[3] = { 0 }, base = 0;
        for (int r = 0; r < plain->n_row; r++) {
            int64_t c2 = plain->row[r].shape.dim[1], c1 = r ? plain->row[r - 1].shape.dim[1] : 3, w = c1 * c2 * 9;
            bool dynamic = r == 0 || r == 1 || r == 3, cond = r == 3 || r == 5 || r == 7 || r == 16 || r == 19;
            int64_t hidden = r ? c1 / 4 : 4;
            base += plain->row[r].params;
            if (dynamic) want[0] += 3 * w + c1 * hidden + hidden * 4;
            if (cond) want[1] += 3 * w + 4 * c1 + 4;
            if (cond) want[2] += 3 * w + 4 * c1 + 4 + 2 * c2;
        }
        for (int k = 0; k < 3; k++) {
            snprintf(name, sizeof name, "yolov8%c-%s.yaml", *scale,
                     k == 0   ? "dynamic"
                     : k == 1 ? "DynamicConv"
                              : "DynamicBnAct");
            Model *m = load(name, 0);
            Arena *a = arena_new();
            ModelInfo info;
            assert_ok(model_info(m, 640, a, &info, &err));
            assert_string_equal(m->scale, ((char[]) { *scale, 0 }));
            if (info.params != base + want[k])
                fail_msg("%s: %lld parameters, wanted %lld", name, (long long)info.params, (long long)(base + want[k]));
            arena_free(&a);
            model_free(&m);
        }
        model_free(&plain);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layer_parameters),
        cmocka_unit_test(test_published_table),
        cmocka_unit_test(test_variants),
        cmocka_unit_test(test_larger_scales),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
