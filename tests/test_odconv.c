/* SPDX-License-Identifier: Apache-2.0
 *
 * ODConv2d and C2f_ODConv in models (values: test_modules.c, test_odconv_values.c): the specification's tables of
 * parameters and operations, names in files, and rows that are refused. */
#include "test.h"

#include "model/model.h"

#include <math.h>
#include <unistd.h>

static Error err;

static Model *built(const char *text)
{
    Model *m = NULL;
    assert_ok(model_from_text("m.yaml", text, strlen(text), NULL, &m, &err));
    return m;
}

/* ---- tables ---------------------------------------------------------------------------------------------------- */

/* Spec G.1: one layer. */
static void test_layer_parameters(void **state)
{
    static const struct {
        int c_in, c_out;
        const char *args;
        int64_t params[2]; /* kernel_num 1 and 4 */
    } T[] = {
        { 32, 64, "3, 2, {", { 20889, 76253 } },      { 64, 128, "3, 2, {", { 78457, 299709 } },
        { 128, 256, "3, 2, {", { 304185, 1188989 } }, { 64, 64, "3, 2, {", { 40377, 151037 } },
        { 128, 128, "3, 2, {", { 154297, 596733 } },  { 3, 16, "3, 2, {", { 1020, 2384 } },
        { 64, 64, "1, 1, {", { 7456, 19812 } },       { 64, 64, "3, 1, {g: 64, ", { 3001, 4797 } },
    };
    for (size_t i = 0; i < COUNT_OF(T); i++)
        for (int four = 0; four < 2; four++) {
            char text[512];
            snprintf(text, sizeof text,
                     "nc: 2\nch: %d\nbackbone:\n  - [-1, 1, ODConv2d, [%d, %skernel_num: %d}]]\nhead:\n  - [-1, 1, "
                     "Detect, [nc]]\n",
                     T[i].c_in, T[i].c_out, T[i].args, four ? 4 : 1);
            Model *m = built(text);
            if (m->row[0].params != T[i].params[four])
                fail_msg("case %d, K=%d: %lld parameters", (int)i, four ? 4 : 1, (long long)m->row[0].params);
            model_free(&m);
        }
}

/* The stock text with the given rows changed: module names, and arguments put before the closing bracket. */
static char *with_rows(Arena *a, const int *row, int n, const char *from, const char *to, const char *more)
{
    const char *text = NULL, *name, *s;
    Text t = { .a = a };
    int at = -1;
    for (int i = 0; (name = model_stock(i, &s)); i++)
        if (str_eq(name, "yolov8.yaml")) text = s;
    assert_non_null(text);
    while (*text) {
        size_t len = strcspn(text, "\n");
        char *line = arena_strndup(a, text, len), *hit;
        bool chosen = false;
        at += str_starts(line, "  - [");
        for (int i = 0; i < n; i++)
            chosen |= str_starts(line, "  - [") && row[i] == at;
        hit = strstr(line, from);
        if (chosen) {
            char *end = strstr(line, "]]");
            assert_true(hit && end);
            text_add(&t, "%.*s%s%.*s%s%s\n", (int)(hit - line), line, to, (int)(end - hit - (int)strlen(from)),
                     hit + strlen(from), more, end);
        } else
            text_add(&t, "%s\n", line);
        text += len + (text[len] == '\n');
    }
    return text_done(&t);
}

/* 2 per multiply-accumulate of convolutions and mixing, as the table counts; mix: mixing alone. */
static void count_macs(const Model *m, double *total, double *mix)
{
    Arena *a = arena_new();
    Type *t;
    *total = *mix = 0;
    assert_ok(graph_bind(m->g, &(Binding) { 1, 640, 640, 1, F32 }, a, &t, &err));
    for (int i = 0; i < graph_n_nodes(m->g); i++) {
        const Node *n = graph_node(m->g, i);
        Type in[16] = { 0 };
        if (n->kind != NODE_OP) continue;
        bool plain = str_eq(n->op->name, "conv2d") || str_eq(n->op->name, "yolo_decode"); /* with the DFL's one */
        if (!plain && !str_eq(n->op->name, "dynconv2d")) continue;
        for (int k = 0; k < n->n_in; k++)
            in[k] = n->in[k].id ? t[n->in[k].id] : (Type) { .shape.rank = -1 };
        Cost c = n->op->cost(n, in, &t[n->out.id]);
        if (plain) {
            *total += 2 * c.profiler;
            continue;
        }
        const Shape *w = &in[1].shape, *y = &t[n->out.id].shape;
        double own = 2 * (double)(y->dim[1] * y->dim[2] * y->dim[3]) * (double)(w->dim[2] * w->dim[3] * w->dim[4]);
        double scaling = (double)shape_count(&in[0].shape) + (double)shape_count(y);
        *total += c.flops - scaling;
        *mix += c.flops - scaling - own;
        assert_true(c.profiler == 0); /* called as a function, invisible to a profiler of layers */
    }
    arena_free(&a);
}

static const int down5[] = { 0, 1, 3, 5, 7 }, down3[] = { 3, 5, 7 }, all5[] = { 3, 5, 7, 16, 19 },
                 c2f[] = { 2, 4, 6, 8 };

/* Spec G.2, all rows of recipe 003; the stock files are the rows that name them. */
static void test_model_tables(void **state)
{
    static const struct {
        const char *stock;
        const int *row;
        int n_rows;
        bool c2f;
        int kernels;
        int64_t params[2];
        double gflops[2], mix[2]; /* GFLOPs, MFLOPs */
        const char *profiler[2];
    } T[] = {
        { "ODConv",
          down5,
          5,
          false,
          1,
          { 3174576, 11200288 },
          { 8.7448, 28.6058 },
          { 0.78, 3.14 },
          { "7.85", "24.91" } },
        { "ODConv4",
          down5,
          5,
          false,
          4,
          { 4351252, 15903380 },
          { 8.7472, 28.6152 },
          { 3.14, 12.54 },
          { "7.85", "24.91" } },
        { NULL, down3, 3, false, 1, { 3172763, 11197131 }, { 8.7448, 28.6058 }, { 0.77, 3.10 }, { "8.16", "26.02" } },
        { NULL, down3, 3, false, 4, { 4334183, 15842199 }, { 8.7471, 28.6151 }, { 3.10, 12.39 }, { "8.16", "26.02" } },
        { NULL, all5, 5, false, 1, { 3182733, 11216701 }, { 8.7452, 28.6073 }, { 1.14, 4.57 }, { "7.94", "25.09" } },
        { NULL, all5, 5, false, 4, { 4897249, 18073745 }, { 8.7486, 28.6210 }, { 4.57, 18.28 }, { "7.94", "25.09" } },
        { "C2f_ODConv",
          c2f,
          4,
          true,
          1,
          { 3193020, 11235980 },
          { 8.7450, 28.6066 },
          { 0.97, 3.87 },
          { "7.47", "23.22" } },
        { NULL, c2f, 4, true, 4, { 4645356, 17042876 }, { 8.7479, 28.6182 }, { 3.87, 15.48 }, { "7.48", "23.22" } },
    };
    for (size_t i = 0; i < COUNT_OF(T); i++)
        for (int s = 0; s < 2; s++) {
            Arena *a = arena_new();
            Model *m = NULL, *same = NULL;
            ModelInfo info;
            double total, mix;
            const char *more = T[i].kernels == 4 ? ", {kernel_num: 4}" : "";
            char *text = with_rows(a, T[i].row, T[i].n_rows, T[i].c2f ? " C2f," : " Conv,",
                                   T[i].c2f ? " C2f_ODConv," : " ODConv2d,", more);
            char scale[2] = { "ns"[s], 0 };
            assert_ok(model_from_text("m.yaml", text, strlen(text), &(ModelOptions) { .scale = scale }, &m, &err));
            assert_ok(model_info(m, 640, a, &info, &err));
            assert_int_equal(info.params, T[i].params[s]);
            count_macs(m, &total, &mix);
            assert_near(total * 1e-9, T[i].gflops[s], 0.5e-4);
            assert_near(mix * 1e-6, T[i].mix[s], 0.5e-2);
            char profiler[16];
            snprintf(profiler, sizeof profiler, "%.2f", info.profiler);
            assert_string_equal(profiler, T[i].profiler[s]);
            if (T[i].stock) {
                const char *name = arena_printf(a, "yolov8%s-%s.yaml", scale, T[i].stock);
                assert_ok(model_from_file(name, NULL, &same, &err));
                assert_int_equal(graph_n_params(same->g), graph_n_params(m->g));
                for (int k = 0; k < graph_n_params(m->g); k++)
                    assert_string_equal(graph_param_spec(m->g, k)->name, graph_param_spec(same->g, k)->name);
                ModelInfo again;
                assert_ok(model_info(same, 640, a, &again, &err));
                assert_int_equal(again.params, info.params);
                assert_true(again.gflops == info.gflops);
                model_free(&same);
            }
            model_free(&m);
            arena_free(&a);
        }
}

/* What an ODConv2d of a width has more than the Conv in its place (spec D.2). */
static int64_t more_than_conv(int64_t c, int64_t o, int64_t k, int64_t kernels)
{
    int64_t width = MAX(c / 16, 16);
    return (kernels - 1) * o * c * k * k + width * c + 2 * width +
           (width + 1) * (c + o + k * k + (kernels > 1 ? kernels : 0));
}

/* The larger scales, by the formula. */
static void test_larger_scales(void **state)
{
    static const struct {
        const char *scale;
        int64_t base, width[6];
    } T[] = { { "m", 25902640, { 3, 48, 96, 192, 384, 576 } },
              { "l", 43691520, { 3, 64, 128, 256, 512, 512 } },
              { "x", 68229648, { 3, 80, 160, 320, 640, 640 } } };
    for (size_t i = 0; i < COUNT_OF(T); i++)
        for (int kernels = 1; kernels <= 4; kernels += 3) {
            Arena *a = arena_new();
            Model *m;
            ModelInfo info;
            int64_t want = T[i].base;
            for (int k = 0; k < 5; k++)
                want += more_than_conv(T[i].width[k], T[i].width[k + 1], 3, kernels);
            const char *name = arena_printf(a, "yolov8%s-ODConv%s.yaml", T[i].scale, kernels == 4 ? "4" : "");
            assert_ok(model_from_file(name, NULL, &m, &err));
            assert_ok(model_info(m, 64, a, &info, &err));
            assert_int_equal(info.params, want);
            model_free(&m);
            arena_free(&a);
        }
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

#define TAIL "head:\n  - [[1], 1, Detect, [nc]]\n"
static const char small[] = "nc: 2\nreg_max: 4\nbackbone:\n  - [-1, 1, ODConv2d, [8, 3, 2, {kernel_num: 2}]]\n"
                            "  - [-1, 1, C2f_ODConv, [8]]\n" TAIL;

static float *temperature(const Model *m, const char *name)
{
    int i = graph_find_param(m->g, name);
    if (i < 0) fail_msg("no parameter '%s'", name);
    assert_int_equal(graph_param_spec(m->g, i)->kind, PARAM_SCHEDULE);
    return m->w.data + graph_param_spec(m->g, i)->offset;
}

static const char in_row[] = "model.0.attention.temperature", in_block[] = "model.1.m.0.cv2.attention.temperature";

/* Weights under the names of the authors' checkpoints, which hold no temperature. */
static void test_official_names(void **state)
{
    Model *m = built(small), *into = built(small);
    Arena *a = arena_new();
    BlobFile f;
    Transfer t;
    assert_true(*temperature(m, in_row) == 30 && *temperature(m, in_block) == 30);
    model_init(m, 77);
    assert_ok(model_blobs(m, &m->w, a, &f, &err));
    size_t kept = 0;
    for (size_t i = 0; i < f.n; i++) {
        Blob b = f.blob[i];
        const char *part = strstr(b.name, ".attention.fc.");
        if (str_ends(b.name, ".temperature")) continue;
        if (part) { /* .fc.conv.weight -> .fc.weight, .fc.bn.bias -> .bn.bias */
            const char *rest = part + strlen(".attention.fc.");
            b.name = arena_printf(a, "%.*s.attention.%s%s", (int)(part - b.name), b.name,
                                  str_starts(rest, "conv.") ? "fc." : "", rest + (str_starts(rest, "conv.") ? 5 : 0));
        }
        f.blob[kept++] = b;
    }
    assert_int_equal(f.n - kept, 3);
    f.n = kept;
    assert_ok(model_transfer(into, &f, a, &t, &err));
    assert_int_equal(t.n_missing, 0);
    assert_int_equal(t.copied, t.total);
    assert_int_equal(t.total, kept);
    assert_true(*temperature(into, in_row) == 1 && *temperature(into, in_block) == 1);
    *temperature(m, in_row) = *temperature(m, in_block) = *temperature(m, "model.1.m.0.cv1.attention.temperature") = 1;
    for (int64_t i = 0; i < m->w.n; i++)
        assert_true(m->w.data[i] == into->w.data[i]);
    model_free(&m);
    model_free(&into);
    arena_free(&a);
}

/* A temperature goes with its model; one that the other side does not have is left where it was. */
static void test_temperature_in_files(void **state)
{
    char path[128];
    Model *m = built(small), *again, *plain;
    Arena *a = arena_new();
    BlobFile f;
    Transfer t;
    *temperature(m, in_row) = 7.5f;
    snprintf(path, sizeof path, "/tmp/test_odconv.%ld.safetensors", (long)getpid());
    assert_ok(model_save(m, path, NULL, 0, &err));
    assert_ok(model_load(path, NULL, &again, &err));
    assert_true(*temperature(again, in_row) == 7.5f && *temperature(again, in_block) == 30);
    model_free(&again);

    /* experts that are missing, and a temperature that is none */
    assert_ok(safetensors_read(a, path, &f, &err));
    for (size_t i = 0; i < f.n; i++)
        if (str_eq(f.blob[i].name, "model.0.weight")) f.blob[i].name = "model.0.wait";
    assert_ok(safetensors_write(path, &f, &err));
    assert_fails(model_load(path, NULL, &again, &err), DYN_FORMAT, "'model.0.weight' is missing or has another shape");
    assert_ok(model_blobs(m, &m->w, a, &f, &err));
    float zero = 0;
    for (size_t i = 0; i < f.n; i++)
        if (str_eq(f.blob[i].name, in_row)) f.blob[i].data = &zero;
    again = built(small);
    assert_ok(model_transfer(again, &f, a, &t, &err));
    assert_int_equal(t.n_missing, 1);
    assert_string_equal(t.missing[0], in_row);
    assert_true(*temperature(again, in_row) == 30);
    model_free(&again);

    plain = built("nc: 2\nreg_max: 4\nbackbone:\n  - [-1, 1, Conv, [8, 3, 2]]\n  - [-1, 1, C2f, [8]]\n" TAIL);
    assert_ok(model_blobs(plain, &plain->w, a, &f, &err));
    assert_ok(model_transfer(m, &f, a, &t, &err));
    assert_true(t.n_missing > 0 && *temperature(m, in_row) == 7.5f);
    for (size_t i = 0; i < t.n_missing; i++)
        assert_false(str_ends(t.missing[i], ".temperature"));
    remove(path);
    model_free(&m);
    model_free(&plain);
    arena_free(&a);
}

/* ---- rows that are refused ------------------------------------------------------------------------------------- */

#define ROW(row) "nc: 2\nbackbone:\n  - [-1, 1, Conv, [8, 3, 2]]\n  - " row "\nhead:\n  - [-1, 1, Detect, [nc]]\n"

static void test_refused(void **state)
{
    static const struct {
        const char *text, *words;
        Status status;
    } T[] = {
        { ROW("[-1, 1, ODConv2d, []]"),
          "m.yaml:4: row 1 (ODConv2d): argument 'c_out' is missing; ODConv2d[c_out, k, s=1", DYN_FORMAT },
        { ROW("[-1, 1, ODConv2d, [8]]"), "argument 'k' is missing", DYN_FORMAT },
        { ROW("[-1, 1, ODConv2d, [8, 3, 1, null, 1, 2]]"), "argument 'act' must be true, false or", DYN_FORMAT },
        { ROW("[-1, 1, ODConv2d, [8, 3, 1, null, 1, true, true]]"), "argument 'd' must be a whole number from 1 to 64",
          DYN_FORMAT },
        { ROW("[-1, 1, ODConv2d, [8, 3, {kernel_num: 0}]]"),
          "argument 'kernel_num' must be a whole number from 1 to 64", DYN_FORMAT },
        { ROW("[-1, 1, ODConv2d, [8, 3, {kernel_num: 65}]]"), "argument 'kernel_num'", DYN_FORMAT },
        { ROW("[-1, 1, ODConv2d, [8, 3, {reduction: 4}]]"), "argument 'reduction' must be a number from 0 to 1",
          DYN_FORMAT },
        { ROW("[-1, 1, ODConv2d, [8, 3, {kernel_nm: 4}]]"), "no argument 'kernel_nm', did you mean 'kernel_num'",
          DYN_FORMAT },
        { ROW("[-1, 1, ODConv2d, [8, 3, 1, 1, 3]]"), "3 groups do not divide 8 input and 8 output channels",
          DYN_SHAPE },
        { ROW("[-1, 1, ODConv2d, [8, 3, 1, null, 1, true, 1, 0.0625, 4, false, 9]]"), "too many arguments; ODConv2d[",
          DYN_FORMAT },
        { ROW("[-1, 1, C2f_ODConv, [8, true, 3]]"), "3 groups do not divide 4 input", DYN_SHAPE },
        { ROW("[-1, 1, C2f_ODConv, [8, {reduction_ratio: 4}]]"),
          "no argument 'reduction_ratio'; C2f_ODConv[c_out, shortcut=false, g=1, e=0.5, kernel_num=1", DYN_FORMAT },
        { ROW("[-1, 1, C2f_ODConv, [8, {kernel_num: -1}]]"), "argument 'kernel_num'", DYN_FORMAT },
    };
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        Model *m = NULL;
        Status s = model_from_text("m.yaml", T[i].text, strlen(T[i].text), NULL, &m, &err);
        if (s != T[i].status || !strstr(err.text, T[i].words))
            fail_msg("case %d: %s: '%s' does not say '%s'", (int)i, dyn_status_name(s), err.text, T[i].words);
        assert_null(m);
    }
}

/* Padding: with a dilation "same" keeps the size, the recipe's own does not (spec D.1). */
static void test_dilated_same(void **state)
{
    for (int seed = 0; seed < 2; seed++) {
        char text[256];
        snprintf(text, sizeof text,
                 "nc: 2\nbackbone:\n  - [-1, 1, ODConv2d, [8, 3, 1, {d: 2, seed_pad: %s}]]\n"
                 "  - [-1, 1, nn.Identity, []]\n"
                 "head:\n  - [[0], 1, Detect, [nc]]\n",
                 seed ? "true" : "false");
        Model *m = NULL;
        Status s = model_from_text("m.yaml", text, strlen(text), NULL, &m, &err);
        if (seed) {
            assert_int_equal(s, DYN_SHAPE); /* 638 of 640: no whole stride for a head */
            assert_non_null(strstr(err.text, "638"));
        } else {
            assert_int_equal(s, DYN_OK);
            assert_int_equal(m->row[0].shape.dim[2], 640);
        }
        model_free(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layer_parameters),     cmocka_unit_test(test_model_tables),
        cmocka_unit_test(test_larger_scales),        cmocka_unit_test(test_official_names),
        cmocka_unit_test(test_temperature_in_files), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_dilated_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
