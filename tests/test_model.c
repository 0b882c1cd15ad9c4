/* SPDX-License-Identifier: Apache-2.0
 *
 * Model descriptions to graphs: parameter counts, names, strides and profiler figures against the published tables of
 * the reference (spec 2.6, 2.7, 2.9, 2.10), and every way in which a description can be wrong. */
#include "test.h"

#include "model/model.h"

static Error err;

static Model *stock(const char *name, int64_t nc)
{
    Model *m = NULL;
    assert_ok(model_from_file(name, &(ModelOptions) { .nc = nc }, &m, &err));
    return m;
}

static int64_t params(const Model *m)
{
    int64_t n = 0;
    for (int i = 0; i < m->n_row; i++)
        n += m->row[i].params;
    return n;
}

static uint32_t crc32_add(uint32_t crc, const char *s)
{
    for (crc = ~crc; *s; s++) {
        crc ^= (unsigned char)*s;
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

/* Names and shapes of all parameters in order, as tools/golden_model.py writes them. */
static uint32_t names_crc(const Model *m)
{
    uint32_t crc = 0;
    for (int i = 0; i < graph_n_params(m->g); i++) {
        const ParamSpec *p = graph_param_spec(m->g, i);
        char line[512], shape[128] = "[]";
        if (p->kind != PARAM_COUNT) shape_text(&p->shape, shape, sizeof shape);
        snprintf(line, sizeof line, "%s%s\n", p->name, shape);
        crc = crc32_add(crc, line);
    }
    return crc;
}

static void assert_info(const Model *m, int64_t count, int layers)
{
    Arena *a = arena_new();
    ModelInfo info;
    assert_ok(model_info(m, 64, a, &info, &err));
    if (info.layers != layers) fail_msg("%s: %d layers, not %d", m->title, info.layers, layers);
    assert_int_equal(info.params, count);
    assert_int_equal(info.gradients, count - 16);
    arena_free(&a);
}

/* Every stock model against what the reference package says of its own (tools/golden_model.py). */
static void test_stock_models(void **state)
{
    FILE *f = fopen("tests/data/model_table.txt", "r");
    char name[64], strides[64];
    long long nc, count, layers, entries, crc;
    int n = 0;
    assert_non_null(f);
    while (fscanf(f, "%63s %lld %lld %lld %lld %lld %63s", name, &nc, &count, &layers, &entries, &crc, strides) == 7) {
        Model *m = stock(name, nc);
        char text[64] = "";
        for (int i = 0; i < m->n_level; i++)
            snprintf(text + strlen(text), 16, "%s%d", i ? "," : "", (int)m->stride[i]);
        if (params(m) != count) fail_msg("%s nc=%lld: %lld parameters", name, nc, (long long)params(m));
        if (graph_n_params(m->g) != entries) fail_msg("%s: %d entries", name, graph_n_params(m->g));
        if (names_crc(m) != crc) fail_msg("%s: names, shapes or order differ", name);
        assert_string_equal(text, strides);
        assert_int_equal(m->nc, nc);
        assert_info(m, count, (int)layers);
        model_free(&m);
        n++;
    }
    fclose(f);
    assert_int_equal(n, 17);
}

/* The totals of spec 2.7 for other class counts. */
static void test_class_counts(void **state)
{
    static const int64_t want[2][5] = { { 3011043, 11135987, 25856899, 43630611, 68153571 },
                                        { 3014748, 11143340, 25867900, 43645260, 68171868 } };
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < 5; i++) {
            char name[] = "yolov8?.yaml";
            name[6] = "nsmlx"[i];
            Model *m = stock(name, k ? 20 : 1);
            assert_int_equal(params(m), want[k][i]);
            model_free(&m);
        }
}

/* Spec 2.9 and 2.10: totals at 640, exact. */
static void test_published_summary(void **state)
{
    static const struct {
        const char *name;
        int layers, fused;
        int64_t params_fused, conv, norm, nearest;
        const char *gflops, *gflops_fused;
    } T[] = {
        { "yolov8n", 129, 72, 3151904, 4371993600, 13888000, 1228800, "8.9", "8.7" },
        { "yolov8s", 129, 72, 11156544, 14301312000, 26163200, 2457600, "28.8", "28.6" },
        { "yolov8m", 169, 92, 25886080, 39468364800, 47116800, 3379200, "79.3", "78.9" },
        { "yolov8l", 209, 112, 43668288, 82574259200, 73267200, 4096000, "165.7", "165.2" },
        { "yolov8x", 209, 112, 68200608, 128902169600, 91584000, 5120000, "258.5", "257.8" },
    };
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        Model *m = stock(T[i].name, 0);
        Arena *a = arena_new();
        ModelInfo info;
        char text[32];
        assert_ok(model_info(m, 640, a, &info, &err));
        assert_int_equal(info.layers, T[i].layers);
        assert_int_equal(info.layers_fused, T[i].fused);
        assert_int_equal(info.params_fused, T[i].params_fused);
        assert_near(info.profiler * 1e9, 2.0 * (double)(T[i].conv + 4 * T[i].norm + T[i].nearest), 1);
        assert_near(info.profiler_fused * 1e9, 2.0 * (double)(T[i].conv + T[i].nearest), 1);
        snprintf(text, sizeof text, "%.1f", info.profiler);
        assert_string_equal(text, T[i].gflops);
        snprintf(text, sizeof text, "%.1f", info.profiler_fused);
        assert_string_equal(text, T[i].gflops_fused);
        /* the true figure counts what the profiler does, and activations, adds and decoding besides */
        assert_true(info.gflops_fused > info.profiler_fused - 1e-3 * (double)T[i].nearest * 2e-6);
        assert_true(info.gflops_fused < 1.02 * info.profiler_fused);
        double rows = 0;
        for (int r = 0; r < m->n_row; r++)
            rows += info.row_gflops[r];
        assert_true(rows > 0.999 * info.gflops && rows <= info.gflops);
        arena_free(&a);
        model_free(&m);
    }
}

/* Spec 2.7: parameters of each row of yolov8n and yolov8x. */
static void test_row_parameters(void **state)
{
    static const struct {
        const char *name;
        int64_t params[23], c_out[23];
    } T
        [] = {
            { "yolov8n.yaml",
              { 464,    4672, 7360, 18560, 49664, 73984, 197632, 295424, 460288, 164608, 0,     0,
                148224, 0,    0,    37248, 36992, 0,     123648, 147712, 0,      493056, 897664 },
              { 16,  32,  32,  64, 64, 128, 128, 256, 256, 256, 256, 384,
                128, 128, 192, 64, 64, 192, 128, 128, 384, 256, 8400 } },
            { "yolov8m.yaml",
              { 1392,    41664, 111360, 166272, 813312, 664320, 3248640, 1991808, 3985920, 831168,  0,      0,
                1993728, 0,     0,      517632, 332160, 0,      1846272, 1327872, 0,       4207104, 3822016 },
              { 48,  96,  96,  192, 192, 384, 384, 576, 576, 576, 576, 960,
                384, 384, 576, 192, 192, 576, 384, 384, 960, 576, 8400 } },
        };
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        Model *m = stock(T[i].name, 0);
        assert_int_equal(m->n_row, 23);
        for (int r = 0; r < 23; r++) {
            if (m->row[r].params != T[i].params[r]) fail_msg("row %d: %lld", r, (long long)m->row[r].params);
            assert_int_equal(m->row[r].shape.dim[1], T[i].c_out[r]);
        }
        model_free(&m);
    }
}

static void test_row_text(void **state)
{
    Model *m = stock("yolov8n.yaml", 0);
    assert_string_equal(m->title, "YOLOv8n");
    assert_string_equal(m->scale, "n");
    assert_string_equal(m->row[0].args, "[3, 16, 3, 2]");
    assert_string_equal(m->row[2].args, "[32, 32, 1, True]");
    assert_string_equal(m->row[6].args, "[128, 128, 2, True]");
    assert_string_equal(m->row[9].args, "[256, 256, 5]");
    assert_string_equal(m->row[10].args, "[None, 2, 'nearest']");
    assert_string_equal(m->row[11].args, "[1]");
    assert_string_equal(m->row[11].from, "[-1, 6]");
    assert_string_equal(m->row[22].args, "[80, [64, 128, 256]]");
    assert_int_equal(m->row[6].repeat, 2);
    Arena *a = arena_new();
    ModelInfo info;
    assert_ok(model_info(m, 640, a, &info, &err));
    char *text = model_table(m, &info, 640, true, a);
    assert_non_null(strstr(text, "  0                  -1  1       464  Conv                                         "
                                 "[3, 16, 3, 2]                       [1,16,320,320]     0.0"));
    assert_non_null(
        strstr(text, "YOLOv8n summary: 129 layers, 3,157,200 parameters, 3,157,184 gradients, 8.9 GFLOPs\n"));
    arena_free(&a);
    model_free(&m);
}

static void test_outputs(void **state)
{
    Model *m = stock("yolov8n.yaml", 0);
    static const char *const names[] = { "box0", "box1", "box2", "cls0", "cls1", "cls2", "y", "score" };
    Arena *a = arena_new();
    Type *t;
    char text[64];
    for (size_t i = 0; i < COUNT_OF(names); i++)
        assert_true(value_ok(graph_find_output(m->g, names[i])));
    assert_ok(graph_bind(m->g, &(Binding) { .batch = 2, .height = 384, .width = 640, .act = F32 }, a, &t, &err));
    shape_text(&t[graph_find_output(m->g, "y").id].shape, text, sizeof text);
    assert_string_equal(text, "[2,5040,84]");
    shape_text(&t[graph_find_output(m->g, "box2").id].shape, text, sizeof text);
    assert_string_equal(text, "[2,64,12,20]");
    arena_free(&a);
    model_free(&m);
}

static float first(const Model *m, const char *name)
{
    int i = graph_find_param(m->g, name);
    if (i < 0) fail_msg("no parameter '%s'", name);
    return m->w.data[graph_param_spec(m->g, i)->offset];
}

/* Spec 2.8: biases of the head, bounds of the weights, norms. */
static void test_initial_values(void **state)
{
    Model *m = stock("yolov8n.yaml", 0);
    assert_near(first(m, "model.22.cv2.0.2.bias"), 1, 0);
    assert_near(first(m, "model.22.cv3.0.2.bias"), -11.536642, 1e-5);
    assert_near(first(m, "model.22.cv3.1.2.bias"), -10.150348, 1e-5);
    assert_near(first(m, "model.22.cv3.2.2.bias"), -8.764053, 1e-5);
    assert_near(first(m, "model.0.bn.weight"), 1, 0);
    assert_near(first(m, "model.0.bn.running_var"), 1, 0);
    int i = graph_find_param(m->g, "model.0.conv.weight");
    const float *w = m->w.data + graph_param_spec(m->g, i)->offset;
    double most = 0, bound = 1 / 5.196152422706632; /* sqrt(3 * 3 * 3) */
    for (int k = 0; k < 16 * 27; k++)
        most = MAX(most, w[k] < 0 ? -w[k] : w[k]);
    assert_true(most <= bound && most > 0.98 * bound);
    const float *dfl = m->w.data + graph_param_spec(m->g, graph_find_param(m->g, "model.22.dfl.conv.weight"))->offset;
    for (int k = 0; k < 16; k++)
        assert_near(dfl[k], k, 0);
    model_free(&m);
    m = stock("yolov8n.yaml", 1);
    assert_near(first(m, "model.22.cv3.0.2.bias"), -7.154615, 1e-5);
    model_free(&m);
}

/* ---- small descriptions --------------------------------------------------------------------------------------- */

#define TAIL "head:\n  - [[0], 1, Detect, [nc]]\n"

static Status text_model(const char *name, const char *text, const ModelOptions *o, Model **m)
{
    *m = NULL;
    return model_from_text(name, text, strlen(text), o, m, &err);
}

static Model *built(const char *name, const char *text, const ModelOptions *o)
{
    Model *m;
    assert_ok(text_model(name, text, o, &m));
    return m;
}

static void test_old_multiples(void **state)
{
    Model *m = built("old.yaml",
                     "nc: 80\ndepth_multiple: 0.33\nwidth_multiple: 0.25\nbackbone:\n  - [-1, 1, Conv, [64, 3, 2]]\n"
                     "  - [-1, 6, C2f, [64, 'True']]\n  - [-1, 3, Conv, [64, 3]]\nhead:\n  - [2, 1, Detect, ['nc']]\n",
                     NULL);
    assert_string_equal(m->row[1].args, "[16, 16, 2, True]");
    assert_int_equal(m->row[2].repeat, 1);
    assert_int_equal(m->row[0].line, 5);
    model_free(&m);
}

static void test_stacked_row(void **state)
{
    Model *m = built("m.yaml", "nc: 2\nbackbone:\n  - [-1, 2, Conv, [8, 3, 2]]\n" TAIL, NULL);
    assert_true(graph_find_param(m->g, "model.0.0.conv.weight") >= 0);
    assert_true(graph_find_param(m->g, "model.0.1.bn.num_batches_tracked") >= 0);
    assert_int_equal(m->stride[0], 4);
    model_free(&m);
}

static void test_names_and_keywords(void **state)
{
    Model *m = built("m.yaml",
                     "nc: 2\nbackbone:\n  - [-1, 1, Conv, [8, 3, 2], {name: stem}]\n"
                     "  - [-1, 1, Conv, {c_out: 16, k: 3, act: nn.ReLU()}]\n  - [-1, 1, Conv, [8, {s: 1, p: 0}]]\n"
                     "  - [[stem, -1], 1, Concat, []]\nhead:\n  - [3, 1, Detect, {nc: nc}]\n",
                     NULL);
    assert_string_equal(m->row[0].name, "stem");
    assert_int_equal(m->row[3].source[0], 0);
    assert_int_equal(m->row[3].source[1], 2);
    assert_int_equal(m->row[3].shape.dim[1], 16);
    assert_string_equal(m->row[0].args, "[3, 8, 3, 2]");
    assert_string_equal(m->row[1].args, "[8, c_out=16, k=3, act=relu]");
    assert_string_equal(m->row[2].args, "[16, 8, s=1, p=0]");
    model_free(&m);
}

static int count_op(const Model *m, const char *op)
{
    int n = 0;
    for (int i = 0; i < graph_n_nodes(m->g); i++) {
        const Node *node = graph_node(m->g, i);
        n += node->kind == NODE_OP && str_eq(node->op->name, op);
    }
    return n;
}

static void test_activation(void **state)
{
    const char *text = "nc: 2\nactivation: nn.LeakyReLU(0.2)\nbackbone:\n  - [-1, 1, Conv, [8, 3, 2]]\n"
                       "  - [-1, 1, Conv, [8, 3, 1, None, 1, 1, False]]\nhead:\n  - [1, 1, Detect, [nc]]\n";
    Model *m = built("m.yaml", text, NULL);
    assert_int_equal(count_op(m, "leaky_relu"), 5);
    assert_int_equal(count_op(m, "silu"), 0);
    for (int i = 0; i < graph_n_nodes(m->g); i++) {
        const Node *n = graph_node(m->g, i);
        if (n->kind == NODE_OP && str_eq(n->op->name, "leaky_relu")) assert_near(attr_float(n, "slope"), 0.2, 0);
    }
    model_free(&m);
}

static void test_compat(void **state)
{
    ModelOptions o = { .compat = { .width_nc_quirk = true, .box_bias = 2 }, .nc = 64 };
    const char *text = "nc: 2\nwidth_multiple: 0.25\nbackbone:\n  - [-1, 1, Conv, [64, 3, 2]]\n"
                       "  - [-1, 1, SPPF, [128, 5]]\nhead:\n  - [1, 1, Detect, [nc]]\n";
    Model *m = built("m.yaml", text, &o);
    assert_int_equal(m->row[0].shape.dim[1], 64);
    assert_near(first(m, "model.2.cv2.0.2.bias"), 2, 0);
    int silu = count_op(m, "silu");
    model_free(&m);
    o.compat = (ModelCompat) { .sppf_no_act = true };
    m = built("m.yaml", text, &o);
    assert_int_equal(m->row[0].shape.dim[1], 16);
    assert_int_equal(count_op(m, "silu"), silu - 1);
    model_free(&m);
    o.compat = (ModelCompat) { .depthwise_cls = true };
    m = built("m.yaml", text, &o);
    assert_true(graph_find_param(m->g, "model.2.cv3.0.1.1.conv.weight") >= 0);
    model_free(&m);
}

/* ---- logs ------------------------------------------------------------------------------------------------------ */

static char log_text[1024];

static void keep_line(void *user, DynLogLevel level, const char *line)
{
    snprintf(log_text, sizeof log_text, "%d %s", (int)level, line);
}

static void test_scale_choice(void **state)
{
    static const struct {
        const char *name, *scale, *want;
    } T[] = {
        { "yolov8m.yaml", NULL, "m" },    { "yolov8x6.yaml", NULL, "x" }, { "yolov8s-p2.yaml", NULL, "s" },
        { "yolov8.yaml", "l", "l" },      { "yolov8n.yaml", "s", "s" },   { "yolov8.yaml", NULL, "n" },
        { "yolov8l-p6.yaml", NULL, "l" },
    };
    Log log = { keep_line, NULL, DYN_LOG_INFO };
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        Model *m = NULL;
        *log_text = 0;
        assert_ok(model_from_file(T[i].name, &(ModelOptions) { .scale = T[i].scale, .log = &log }, &m, &err));
        assert_string_equal(m->scale, T[i].want);
        assert_int_equal(!!strstr(log_text, "scale letter"), i == 5);
        model_free(&m);
    }
    Model *m = NULL;
    assert_ok(model_from_file("yolov8n.yaml", &(ModelOptions) { .nc = 3, .log = &log }, &m, &err));
    assert_string_equal(log_text, "1 Overriding model.yaml nc=80 with nc=3");
    model_free(&m);
    assert_fails(model_from_file("yolov8n.yaml", &(ModelOptions) { .scale = "q" }, &m, &err), DYN_USAGE,
                 "no scale 'q'; there are: n, s, m, l, x");
    assert_fails(model_from_file("yolov9z.yaml", NULL, &m, &err), DYN_IO, "built in are yolov8");
}

/* ---- errors ---------------------------------------------------------------------------------------------------- */

#define B(row) "nc: 2\nbackbone:\n  - [-1, 1, Conv, [8, 3, 2]]\n  - " row "\n" TAIL

static void test_errors(void **state)
{
    static const struct {
        const char *text, *words;
        Status status;
    } T[] = {
        { "", "must be a map", DYN_FORMAT },
        { "[1, 2]", "must be a map", DYN_FORMAT },
        { "backbone: []\nhead: []\n", "nc (the number of classes) is missing", DYN_FORMAT },
        { "nc: 0\n", "m.yaml:1:5: nc must be from 1 to 65535", DYN_FORMAT },
        { "nc: many\n", "nc must be", DYN_FORMAT },
        { "nc: 2\nhead: []\n", "backbone (a list of rows) is missing", DYN_FORMAT },
        { "nc: 2\nbackbone: 3\nhead: []\n", "m.yaml:2:11: backbone must be", DYN_FORMAT },
        { "nc: 2\nbackbone: []\nhead: []\n", "1 to 1000 rows", DYN_FORMAT },
        { "nc: 2\nactivation: eval('x')\nbackbone: []\nhead: []\n", "m.yaml:2:13: activation must be one of",
          DYN_FORMAT },
        { "nc: 2\nscales: {n: [1, 2]}\nbackbone: []\nhead: []\n", "[depth, width, max_channels]", DYN_FORMAT },
        { "nc: 2\nscales: {n: [1, -2, 4]}\nbackbone: []\nhead: []\n", "width must be above 0", DYN_FORMAT },
        { "nc: 2\nend2end: true\nbackbone: []\nhead: []\n", "end2end", DYN_UNSUPPORTED },
        { B("[-1, 1, C2F, [8]]"), "m.yaml:4:13: row 1: unknown module 'C2F', did you mean 'C2f'", DYN_FORMAT },
        { B("[-1, 1, Conv]"), "m.yaml:4:5: row 1: a row must be [from, repeats, module, args]", DYN_FORMAT },
        { B("Conv"), "a row must be", DYN_FORMAT },
        { B("[-1, 1, [Conv], [8]]"), "a module's name must be text", DYN_FORMAT },
        { B("[-1, 0, Conv, [8]]"), "m.yaml:4:10: row 1 (Conv): repeats must be from 1 to 60, not 0", DYN_FORMAT },
        { B("[-1, -3, Conv, [8]]"), "repeats must be from 1 to 60, not -3", DYN_FORMAT },
        { B("[-1, 1000000000000, Conv, [8]]"), "repeats must be from 1 to 60", DYN_FORMAT },
        { B("[5, 1, Conv, [8]]"), "m.yaml:4:6: row 1 (Conv): from 5 is out of range", DYN_FORMAT },
        { B("[1, 1, Conv, [8]]"), "out of range", DYN_FORMAT },
        { B("[-2, 1, Conv, [8]]"), "out of range", DYN_FORMAT },
        { B("[-9223372036854775808, 1, Conv, [8]]"), "out of range", DYN_FORMAT },
        { B("[[], 1, Conv, [8]]"), "from must name 1 to 64 rows", DYN_FORMAT },
        { B("[stem, 1, Conv, [8]]"), "no earlier row is named 'stem'", DYN_FORMAT },
        { B("[0.5, 1, Conv, [8]]"), "from must be a row number", DYN_FORMAT },
        { B("[[0, 0], 1, Conv, [8]]"), "Conv takes 1 input, `from` names 2", DYN_FORMAT },
        { B("[-1, 1, Conv, []]"), "m.yaml:4: row 1 (Conv): argument 'c_out' is missing; Conv[c_out, k=1, s=1, p=null",
          DYN_FORMAT },
        { B("[-1, 1, Conv, [8, 3, 1, 1, 1, 1, true, 7]]"), "too many arguments; Conv[", DYN_FORMAT },
        { B("[-1, 1, Conv, [8, three]]"), "argument 'k' must be a whole number from 1 to 99, not three", DYN_FORMAT },
        { B("[-1, 1, Conv, [8, 3.5]]"), "argument 'k' must be a whole number", DYN_FORMAT },
        { B("[-1, 1, Conv, [8, 100]]"), "from 1 to 99, not 100", DYN_FORMAT },
        { B("[-1, 1, Conv, [0]]"), "argument 'c_out' must be a whole number from 1 to 65536", DYN_FORMAT },
        { B("[-1, 1, Conv, [99999999999999999999]]"), "argument 'c_out'", DYN_FORMAT },
        { B("[-1, 1, Conv, [8, null]]"), "argument 'k' must be given", DYN_FORMAT },
        { B("[-1, 1, Conv, [8, {kk: 3}]]"), "no argument 'kk', did you mean 'k'", DYN_FORMAT },
        { B("[-1, 1, Conv, [8, 3, {k: 3}]]"), "m.yaml:4:27: row 1 (Conv): argument 'k' is given twice", DYN_FORMAT },
        { B("[-1, 1, Conv, [8, {k: 3, k: 3}]]"), "m.yaml:4:30", DYN_FORMAT },
        { B("[-1, 1, Conv, [8, {k: 3}, 2]]"), "argument 'k' must be a whole number from 1 to 99, not a map",
          DYN_FORMAT },
        { B("[-1, 1, C2f, [8, {n: 3}]]"), "m.yaml:4:23: row 1 (C2f): no argument 'n'", DYN_FORMAT },
        { B("[-1, 1, Conv, 8]"), "arguments must be a list or a map", DYN_FORMAT },
        { B("[-1, 1, Conv, [8, 3, 1, null, 1, 1, nn.Softmax()]]"), "argument 'act' must be true, false or nn.SiLU",
          DYN_FORMAT },
        { B("[-1, 1, Conv, [8, 3, 1, null, 3]]"), "m.yaml:4: row 1 (Conv): 3 groups do not divide 8 input", DYN_SHAPE },
        { B("[-1, 1, C2f, [8, maybe]]"), "argument 'shortcut' must be true or false, not maybe", DYN_FORMAT },
        { B("[-1, 1, nn.Upsample, [20, 2, nearest]]"), "fixed size is not supported", DYN_UNSUPPORTED },
        { B("[-1, 1, nn.Upsample, [None, 2, bilinear]]"), "argument 'mode' must be one of nearest, not bilinear",
          DYN_FORMAT },
        { B("[-1, 60, nn.Upsample, [None, 16, nearest]]"),
          "m.yaml:4: row 1 (nn.Upsample): upsample_nearest 'model.1.2': the result would be too large", DYN_SHAPE },
        { B("[-1, 1, nn.Conv2d, [7, 8, 3]]"), "says 7 input channels, its input has 8", DYN_SHAPE },
        { B("[-1, 1, Conv, [8, 3], {nick: a}]"), "knows `name` only", DYN_FORMAT },
        { B("[-1, 1, Conv, [8, 3], {name: 3}]"), "must be text that is no number", DYN_FORMAT },
        { B("[-1, 1, Conv, [8, 3], {name: a}]\n  - [-1, 1, Conv, [8], {name: a}]"),
          "m.yaml:5:31: row 2 (Conv): the name 'a' is taken by row 1", DYN_FORMAT },
        { B("[-1, 1, Detect, [nc]]"), "row 2 (Detect): a head must be the last row", DYN_FORMAT },
        { "nc: 2\nbackbone: []\nhead:\n  - [-1, 1, Conv, [8]]\n", "the last row must be a head", DYN_FORMAT },
        { "nc: 2\nbackbone: []\nhead:\n  - [-1, 1, Detect, [80]]\n", "Detect says 80 classes, the model has 2",
          DYN_FORMAT },
        { B("[[-1, 0], 2, Concat, [1]]"), "cannot be repeated", DYN_FORMAT },
        { "nc: 2\nbackbone:\n  - [-1, 1, Conv, [8, 2, 2, 0]]\n  - [-1, 1, Conv, [8, 3, 3, 0]]\nhead:\n"
          "  - [1, 1, Detect, [nc]]\n",
          "has no whole stride", DYN_SHAPE },
        { "nc: 2\nbackbone:\n  - [-1, 1, Conv, [8, 3, 64]]\n  - [-1, 1, Conv, [8, 20, 1, 0]]\nhead:\n"
          "  - [1, 1, Detect, [nc]]\n",
          "the result would be empty: [1,8,0,0]", DYN_SHAPE },
        { "nc: 2\nbackbone:\n  - [-1, 1, Conv, [8, 3, 2]]\n  - [-1, 1, Conv, [8, 3, 2]]\nhead:\n"
          "  - [[0, 1], 1, Concat, [1]]\n  - [-1, 1, Detect, [nc]]\n",
          "m.yaml:6", DYN_SHAPE },
    };
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        Model *m;
        err.text[0] = 0;
        Status s = text_model("m.yaml", T[i].text, NULL, &m);
        if (s != T[i].status || !strstr(err.text, T[i].words))
            fail_msg("case %d: %s: '%s' does not say '%s'", (int)i, dyn_status_name(s), err.text, T[i].words);
        assert_null(m);
    }
}

/* Few lines that would be a graph of millions of nodes. */
static void test_too_large(void **state)
{
    char text[8192] = "nc: 2\nbackbone:\n";
    Model *m;
    for (int i = 0; i < 120; i++)
        strcat(text, "  - [-1, 60, C3, [8, true, 1, 0.5]]\n");
    strcat(text, "head:\n  - [-1, 1, Detect, [nc]]\n");
    assert_fails(text_model("m.yaml", text, NULL, &m), DYN_FORMAT, "more than 100000 operations");
}

/* A model of every module, and every signature well-formed: each default binds to its own type. */
static void test_every_module(void **state)
{
    static const struct {
        const char *module, *args;
    } T[] = {
        { "Conv", "[8]" },
        { "DWConv", "[8, 3]" },
        { "Bottleneck", "[8]" },
        { "C2f", "[8]" },
        { "C2", "[8]" },
        { "C3", "[8]" },
        { "SPPF", "[8]" },
        { "SPP", "[8]" },
        { "Concat", "[1]" },
        { "DoubleAttentionLayer", "[null, null, True, True]" },
        { "Dynamic_conv2d", "[8, 3, {padding: 1}]" },
        { "DynConv2dBnAct", "[8, 3]" },
        { "DynamicConv_Single", "[8, 3]" },
        { "DynamicConv", "[8, 3]" },
        { "DynamicBnAct", "[8, 3, {skip: true, drop_path_rate: 0.1}]" },
        { "nn.Upsample", "[null, 2]" },
        { "DySample", "[]" },
        { "nn.Conv2d", "[8, 8, 1]" },
        { "nn.BatchNorm2d", "[8]" },
        { "nn.MaxPool2d", "[2]" },
        { "nn.Identity", "[]" },
        { "nn.SiLU", "[]" },
        { "nn.ReLU", "[]" },
        { "nn.GELU", "[]" },
        { "nn.Tanh", "[]" },
        { "nn.Sigmoid", "[]" },
        { "nn.LeakyReLU", "[0.1]" },
        { "nn.Hardswish", "[]" },
        { "nn.Mish", "[]" },
        { "ODConv2d", "[8, 3]" },
        { "C2f_ODConv", "[8]" },
    };
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        char text[256];
        snprintf(
            text, sizeof text,
            "nc: 2\nbackbone:\n  - [-1, 1, Conv, [8, 3, 4]]\n  - [-1, 2, %s, %s]\nhead:\n  - [-1, 1, Detect, [nc]]\n",
            T[i].module, T[i].args);
        Model *m = built("m.yaml", text, NULL);
        assert_true(modules_find(T[i].module) != NULL);
        assert_int_equal(m->row[1].shape.dim[1], 8);
        model_free(&m);
    }
    assert_int_equal(modules_count(), COUNT_OF(T) + 1); /* and Detect */
}

/* The table ends with what a reader should know: the file's own note, then what is unwise, each text once. */
static void test_note_and_warnings(void **state)
{
    Model *m = built("m.yaml",
                     "nc: 2\nbackbone:\n  - [-1, 1, Conv, [8, 3, 2]]\n  - [-1, 1, C2f, [8]]\nhead:\n"
                     "  - [-1, 1, Detect, [nc]]\nnote: a line about it\n",
                     NULL);
    Arena *a = arena_new();
    ModelInfo info;
    model_warn(m, 1, "%d is %s", 3, "odd");
    model_warn(m, 1, "3 is odd");
    assert_int_equal(m->n_warning, 1);
    assert_ok(model_info(m, 640, a, &info, &err));
    assert_non_null(strstr(model_table(m, &info, 640, false, a),
                           "\nnote: a line about it\nwarning: m.yaml:4: row 1 (C2f): 3 is odd\n"));
    arena_free(&a);
    model_free(&m);
    assert_fails(text_model("m.yaml", B("[-1, 1, C2f, [8]]") "note: [1]\n", NULL, &m), DYN_FORMAT, "note");
}

/* Out of memory at any allocation is an error, never a crash. */
static void test_no_memory(void **state)
{
    const char *text = B("[-1, 1, C2f, [8]]");
    for (long n = 1;; n++) {
        Model *m;
        mem_fail_after(n);
        Status s = text_model("m.yaml", text, NULL, &m);
        mem_fail_after(0);
        if (s == DYN_OK) {
            model_free(&m);
            break;
        }
        assert_int_equal(s, DYN_NOMEM);
        assert_true(n < 10000);
    }
}

/* A temperature begins on its schedule or not at all; it counts as no parameter. */
static void test_schedule(void **state)
{
    const ScheduleSpec good = { .start = 34, .end = 1, .step = 3, .published = 34 };
    static const ScheduleSpec bad[] = { { .start = 33, .end = 1, .step = 3 },
                                        { .start = -2, .end = 1, .step = 3 },
                                        { .start = 0.5, .end = 1, .epochs = 10 } };
    static const char *const why[] = { "33 is not on its schedule, which falls to 1 in steps of 3: take 31 or 34",
                                       "take 1 or 4", "temperature 0.5 is not on its schedule, which falls to 1" };
    Builder b = { 0 };
    Slab w;
    assert_ok(graph_new(&b.g, &err));
    const char *outer = graph_push(b.g, "attention");
    Value v = build_schedule(&b, "temperature", good);
    graph_pop(b.g, outer);
    const ParamSpec *p = graph_param_spec(b.g, graph_find_param(b.g, "attention.temperature"));
    assert_true(value_ok(v) && p->kind == PARAM_SCHEDULE && !p->trainable && !param_counts(p));
    assert_true(p->schedule.start == 34 && p->schedule.published == 34);
    assert_ok(slab_new(b.g, &w, &err));
    slab_init(b.g, &w, 1);
    assert_true(w.data[p->offset] == 34);
    slab_free(&w);
    graph_free(&b.g);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_ok(graph_new(&b.g, &err));
        assert_false(value_ok(build_schedule(&b, "temperature", bad[i])));
        assert_fails(graph_status(b.g, &err), DYN_FORMAT, why[i]);
        graph_free(&b.g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedule),
        cmocka_unit_test(test_stock_models),
        cmocka_unit_test(test_class_counts),
        cmocka_unit_test(test_published_summary),
        cmocka_unit_test(test_row_parameters),
        cmocka_unit_test(test_row_text),
        cmocka_unit_test(test_outputs),
        cmocka_unit_test(test_initial_values),
        cmocka_unit_test(test_old_multiples),
        cmocka_unit_test(test_stacked_row),
        cmocka_unit_test(test_names_and_keywords),
        cmocka_unit_test(test_activation),
        cmocka_unit_test(test_compat),
        cmocka_unit_test(test_scale_choice),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_every_module),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_note_and_warnings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
