/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights for a model whose description is not theirs: which row stands for which, dynamic layers that begin as the
 * plain ones whose place they take, what is said of it. */
#include "model/transfer.h"

#include "api/options.h"
#include "api/api.h"
#include "backend/backend.h"
#include "test.h"

#include <math.h>
#include <unistd.h>

static Error err;

static Model *stock(const char *name)
{
    Model *m = NULL;
    assert_ok(model_from_file(name, NULL, &m, &err));
    return m;
}

static Model *from_text(const char *text)
{
    Model *m = NULL;
    assert_ok(model_from_text("m.yaml", text, strlen(text), NULL, &m, &err));
    return m;
}

/* What training leaves: no BatchNorm is as it began, and a picture still tells in the last row. */
static void train_a_little(Model *m)
{
    for (int i = 0; i < graph_n_params(m->g); i++) {
        const ParamSpec *p = graph_param_spec(m->g, i);
        if (p->kind == PARAM_COUNT) m->count[i] = 1000 + i;
        if (p->kind != PARAM_NORM && p->kind != PARAM_BIAS && p->kind != PARAM_STATE) continue;
        Rng r = rng_at(7, 0, 0, rng_key(p->name));
        for (int64_t k = 0, n = shape_count(&p->shape); k < n; k++)
            m->w.data[p->offset + k] += (float)rng_uniform(&r, -0.3, 0.3) + (p->kind == PARAM_NORM ? 2 : 0);
    }
}

static Transfer adapt(Model *m, const Model *from, double noise, uint64_t seed, Arena *a)
{
    BlobFile f;
    Transfer t;
    assert_ok(model_blobs(from, &from->w, a, &f, &err));
    assert_ok(model_adapt(m, &f, &(AdaptOptions) { seed, noise, from->yaml }, a, &t, &err));
    return t;
}

/* The raw maps of one of two pictures of 64x64, all levels in one array. */
static float *maps_of(const Model *m, int picture, Arena *a, int64_t *n)
{
    Backend *b;
    Program *p;
    assert_ok(backend_open("cpu", 1, NULL, &b, &err));
    ProgramSpec spec = { .graph = m->g, .bind = { 1, 64, 64, 1, F32 }, .backend = b, .params = &m->w };
    assert_ok(program_compile(&spec, &p, &err));
    assert_ok(program_load(p, &err));
    Tensor x = program_input(p, "images");
    for (int64_t i = 0; i < tensor_count(&x); i++)
        ((uint8_t *)x.data)[i] = (uint8_t)(picture ? i * i % 253 : i * 37 % 251);
    assert_ok(program_run(p, &err));
    float *out = ARENA_ARRAY(a, float, 64 * 64 * 200);
    *n = 0;
    for (int k = 0; k < 2 * m->n_level; k++) {
        char name[16];
        snprintf(name, sizeof name, "%s%d", k % 2 ? "cls" : "box", k / 2);
        Tensor y = program_output(p, name);
        int64_t count = tensor_count(&y);
        memcpy(out + *n, y.data, (size_t)count * sizeof *out);
        *n += count;
    }
    program_free(&p);
    backend_close(&b);
    return out;
}

/* The largest difference of two models' maps of a picture, relative to the largest that another picture makes. */
static double difference(const Model *m, const Model *other)
{
    Arena *a = arena_new();
    int64_t n[3];
    const float *x = maps_of(m, 0, a, &n[0]), *x2 = maps_of(m, 1, a, &n[1]), *y = maps_of(other, 0, a, &n[2]);
    double most = 0, size = 0;
    assert_int_equal(n[0], n[2]);
    for (int64_t i = 0; i < n[0]; i++) {
        double d = fabs((double)x[i] - (double)y[i]);
        most = d <= most ? most : d; /* keeps a NaN */
        size = fmax(size, fabs((double)x[i] - (double)x2[i]));
    }
    arena_free(&a);
    assert_true(size > 0);
    return most / size;
}

/* ---- temperatures ------------------------------------------------------------------------------------------------ */

/* The published modules keep their temperature in no state dict (dynamic modules, 0.2, A.2, D.2): a .pt has exactly the
 * names of those tables. info says where it stands. */
static void test_temperatures(void **state)
{
    static const struct {
        const char *model, *says;
    } T[] = {
        { "yolov8n-dynamic.yaml", "temperature 34 now, in training from 34 by 3 an epoch to 1, as published 34 "
                                  "throughout: rows 0, 1, 3" },
        { "yolov8n-ODConv4.yaml",
          "temperature 30 now, in training from 30 to 1 over the first 10 epochs, as published 1 "
          "throughout: rows 0, 1, 3, 5, 7" },
        { "yolov8n-C2f_ODConv.yaml", "throughout: rows 2, 4, 6, 8" },
        { "yolov8n.yaml", "" },
    };
    char path[] = "/tmp/dynyolo-temperature-XXXXXX.pt";
    int fd = mkstemps(path, 3);
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        Arena *a = arena_new();
        Model *m = stock(T[i].model);
        BlobFile all, f;
        size_t temperatures = 0;
        assert_non_null(strstr(model_schedules(m, a), T[i].says));
        assert_ok(model_blobs(m, &m->w, a, &all, &err));
        assert_ok(model_save_pt(m, path, &err));
        assert_ok(model_read_blobs(path, a, &f, NULL, &err));
        for (size_t k = 0; k < all.n; k++) {
            if (str_ends(all.blob[k].name, ".temperature"))
                temperatures++;
            else
                assert_string_equal(f.blob[k - temperatures].name, all.blob[k].name);
        }
        assert_true(!*T[i].says == !temperatures);
        assert_int_equal(f.n, all.n - temperatures);
        model_free(&m);
        arena_free(&a);
    }
    /* one that has moved stands apart */
    Arena *a = arena_new();
    Model *m = stock("yolov8n-dynamic.yaml");
    for (int i = 0; i < graph_n_params(m->g); i++) {
        const ParamSpec *p = graph_param_spec(m->g, i);
        if (p->kind == PARAM_SCHEDULE && str_starts(p->name, "model.1.")) m->w.data[p->offset] = 7;
    }
    const char *text = model_schedules(m, a);
    assert_non_null(strstr(text, "throughout: rows 0, 3\n"));
    assert_non_null(strstr(text, "temperature 7 now"));
    assert_non_null(strstr(text, "throughout: rows 1"));
    model_free(&m);
    arena_free(&a);
    unlink(path);
}

/* ---- the recipes ------------------------------------------------------------------------------------------------- */

static void test_recipes(void **state)
{
    static const struct {
        const char *name;
        int64_t copied, changed, missing;
        bool exact; /* begins as the plain model */
    } T[] = {
        { "yolov8n.yaml", 355, 0, 0, true },
        { "yolov8n-dynamic.yaml", 352, 6, 3, true },
        { "yolov8n-DynamicConv.yaml", 350, 15, 0, true },
        { "yolov8n-DynamicBnAct.yaml", 350, 15, 25, false }, /* its ReLU has no negative values, SiLU does */
        { "yolov8n-ODConv.yaml", 350, 35, 30, true },
        { "yolov8n-ODConv4.yaml", 350, 45, 30, true },
        { "yolov8n-C2f_ODConv.yaml", 343, 84, 72, true },
        { "yolov8n-DANet.yaml", 355, 0, 8, true },
        { "yolov8n-Dysample.yaml", 355, 0, 4, false }, /* bilinear in place of nearest */
    };
    Model *plain = stock("yolov8n.yaml");
    train_a_little(plain);
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        Arena *a = arena_new();
        Model *m = stock(T[i].name);
        Transfer t = adapt(m, plain, 0, 0, a);
        if (t.copied != T[i].copied || (int64_t)t.n_changed != T[i].changed || (int64_t)t.n_missing != T[i].missing)
            fail_msg("%s: %lld copied, %zu adapted, %zu new", T[i].name, (long long)t.copied, t.n_changed, t.n_missing);
        assert_int_equal(t.copied + (int64_t)t.n_changed + (int64_t)t.n_missing, t.total);
        double d = difference(plain, m);
        if (T[i].exact ? !(d < 2e-5) : !(d > 1e-3)) fail_msg("%s: differs by %g", T[i].name, d);
        if (T[i].exact) { /* the noise sums to nothing */
            adapt(m, plain, BANK_NOISE, 0, a);
            d = difference(plain, m);
            if (!(d < 5e-5)) fail_msg("%s: differs by %g with noise", T[i].name, d);
        }
        model_free(&m);
        arena_free(&a);
    }
    model_free(&plain);
}

/* Modules without BatchNorm in the place of nn.Conv2d, which has a bias. */
static void test_bare_modules(void **state)
{
#define ROWS(row) "nc: 2\nbackbone:\n  - [-1, 1, Conv, [8, 3, 4]]\n  - " row "\n  - [-1, 1, Detect, [nc]]\nhead: []\n"
    static const char *const text[] = { ROWS("[-1, 1, Dynamic_conv2d, [6, 3, {padding: 1}]]"),
                                        ROWS("[-1, 1, DynamicConv_Single, [6, 3, {bias: true, num_experts: 3}]]"),
                                        ROWS("[-1, 1, DynamicConv_Single, [6, 3, {bias: true, num_experts: 1}]]") };
    Model *plain = from_text(ROWS("[-1, 1, nn.Conv2d, [8, 8, 3, 1, 1]]"));
    train_a_little(plain);
    for (size_t i = 0; i < COUNT_OF(text); i++) {
        Arena *a = arena_new();
        Model *m = from_text(text[i]);
        Transfer t = adapt(m, plain, 0, 0, a);
        assert_int_equal(t.n_changed, i ? 4 : 3);
        assert_true(difference(plain, m) < 2e-5);
        model_free(&m);
        arena_free(&a);
    }
    model_free(&plain);
}

/* ---- noise ------------------------------------------------------------------------------------------------------- */

static const float *bank_of(const Model *m, const char *name, Shape *s)
{
    const ParamSpec *p = graph_param_spec(m->g, graph_find_param(m->g, name));
    *s = p->shape;
    return m->w.data + p->offset;
}

/* Kernels differ by the stated size, their mean is the plain kernel, seed and name say how. */
static void test_noise(void **state)
{
    Arena *a = arena_new();
    Model *plain = stock("yolov8n.yaml"), *m = stock("yolov8n-dynamic.yaml"), *again = stock("yolov8n-dynamic.yaml");
    Shape s, one;
    adapt(m, plain, 0.1, 5, a);
    adapt(again, plain, 0.1, 5, a);
    assert_memory_equal(m->w.data, again->w.data, (size_t)m->w.n * sizeof(float));
    adapt(again, plain, 0.1, 6, a);
    assert_memory_not_equal(m->w.data, again->w.data, (size_t)m->w.n * sizeof(float));
    const float *w = bank_of(m, "model.3.conv.weight", &s), *k = bank_of(plain, "model.3.conv.weight", &one);
    int64_t n = shape_count(&one);
    double noise = 0, size = 0;
    assert_int_equal(s.dim[0], 4);
    for (int64_t i = 0; i < n; i++) {
        double mean = 0;
        for (int e = 0; e < 4; e++) {
            mean += (double)w[e * n + i] / 4;
            noise += pow((double)w[e * n + i] - (double)k[i], 2) / 4;
        }
        size += pow((double)k[i], 2);
        if (!(fabs(mean - (double)k[i]) < 1e-6)) fail_msg("mean %g of kernel %g", mean, (double)k[i]);
    }
    double relative = sqrt(noise / size), want = 0.1 * sqrt(3.0 / 4); /* less the mean of four */
    if (!(fabs(relative - want) < 0.05 * want)) fail_msg("noise of %g, wanted %g", relative, want);
    model_free(&plain);
    model_free(&m);
    model_free(&again);
    arena_free(&a);
}

/* ---- another number of kernels ----------------------------------------------------------------------------------- */

#define BANK(row) "nc: 2\nbackbone:\n  - [-1, 1, Conv, [8, 3, 2]]\n" row "  - [[-1], 1, Detect, [nc]]\nhead: []\n"
#define SOFTMAX(k) BANK("  - [-1, 1, DynConv2dBnAct, [8, 3, 2, {K: " k "}]]\n")
#define BIASED(k) BANK("  - [-1, 1, DynConv2dBnAct, [8, 3, 2, {K: " k ", fc2_bias: True}]]\n")
#define GATES(k) BANK("  - [-1, 1, DynamicConv, [8, 3, 2, {num_experts: " k "}]]\n")
#define OD(k) BANK("  - [-1, 1, ODConv2d, [8, 3, 2, {kernel_num: " k "}]]\n")

/* More kernels are the same function, with noise too (it sums to nothing over copies) but not by copying alone: the
 * bank has parted. Fewer are the same where those that fall together were alike. */
static void test_banks_of_another_size(void **state)
{
    static const struct {
        const char *file, *model;
        bool same; /* the same function */
        int resized;
    } T[] = {
        { SOFTMAX("2"), SOFTMAX("6"), true, 2 },  /* weight, fc2.weight */
        { SOFTMAX("2"), SOFTMAX("3"), false, 2 }, /* no bias to make up for one copy more */
        { BIASED("2"), BIASED("3"), true, 3 },
        { BIASED("3"), BIASED("8"), true, 3 },
        { GATES("2"), GATES("3"), true, 3 },
        { GATES("1"), GATES("4"), true, 3 },
        { OD("1"), OD("4"), true, 3 }, /* weight, and kernel_fc, which the file has not */
        { OD("4"), OD("6"), true, 3 },
        { OD("4"), OD("2"), false, 3 },
        { OD("4"), OD("1"), false, 1 },
        { GATES("4"), GATES("2"), false, 3 },
        { SOFTMAX("4"), SOFTMAX("2"), false, 2 },
    };
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        Arena *a = arena_new();
        Model *from = from_text(T[i].file), *m = from_text(T[i].model), *back = from_text(T[i].file);
        train_a_little(from);
        Transfer t = adapt(m, from, 0.1, 5, a);
        if ((int)t.n_resized != T[i].resized || t.n_missing || t.n_changed)
            fail_msg("line %zu: %zu resized, %zu new, %zu changed", i, t.n_resized, t.n_missing, t.n_changed);
        assert_non_null(strstr(transfer_text(m, &t, "x", false, a), "adapted from another number of kernels"));
        double d = difference(m, from);
        if (!(T[i].same ? d < 2e-5 : d > 1e-4 && d < 1)) fail_msg("line %zu: differs by %g", i, d);
        if (T[i].same) { /* and back again: copies fall together with their kernel */
            adapt(back, m, 0, 0, a);
            d = difference(back, from);
            if (!(d < 2e-5)) fail_msg("line %zu, back: differs by %g", i, d);
        }
        model_free(&from), model_free(&m), model_free(&back);
        arena_free(&a);
    }
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

#define CONV "  - [-1, 1, Conv, [8, 3, 2]]\n"
#define DETECT "  - [[-1], 1, Detect, [nc]]\nhead: []\n"
#define FOUR(a, b, c, d) "nc: 2\nbackbone:\n" a b c d DETECT

static void test_alignment(void **state)
{
    static const struct {
        const char *file, *model;
        int row[8];
    } T[] = {
        /* a row before all */
        { FOUR(CONV, "  - [-1, 2, C2f, [8]]\n", CONV, "  - [-1, 1, SPPF, [16]]\n"),
          FOUR("  - [-1, 1, Conv, [16, 3]]\n" CONV, "  - [-1, 2, C2f, [8]]\n", CONV, "  - [-1, 1, SPPF, [16]]\n"),
          { -1, 0, 1, 2, 3, 4 } },
        /* of two alike rows the one whose shapes agree */
        { FOUR(CONV, "  - [-1, 1, Conv, [16]]\n", "", ""),
          FOUR(CONV, "  - [-1, 1, Conv, [24]]\n", "  - [-1, 1, Conv, [16, 1]]\n", ""),
          { 0, -1, 1, 2 } },
        /* rows without tensors do not count */
        { FOUR(CONV, "  - [-1, 1, nn.Identity, []]\n", "  - [-1, 1, nn.Identity, []]\n", CONV),
          FOUR(CONV, CONV, "", ""),
          { 0, 3, 4 } },
        /* a row taken out, another replaced */
        { FOUR(CONV, "  - [-1, 2, C2f, [8]]\n", CONV, "  - [-1, 1, SPPF, [16]]\n"),
          FOUR(CONV, "  - [-1, 1, ODConv2d, [8, 3, 2]]\n", "  - [-1, 1, SPPF, [16]]\n", ""),
          { 0, 2, 3, 4 } },
        /* another width and depth: row by row */
        { FOUR(CONV, "  - [-1, 2, C2f, [8]]\n", CONV, "  - [-1, 2, C2f, [16]]\n"),
          FOUR("  - [-1, 1, Conv, [16, 3, 2]]\n", "  - [-1, 1, C2f, [16]]\n", "  - [-1, 1, Conv, [32, 3, 2]]\n",
               "  - [-1, 3, C2f, [32]]\n"),
          { 0, 1, 2, 3, 4 } },
        /* a name is an anchor: the second of two alike rows went, not the first */
        { FOUR(CONV, "  - [-1, 1, Conv, [16], {name: a}]\n", "  - [-1, 1, Conv, [16], {name: b}]\n", CONV),
          FOUR(CONV, "  - [-1, 1, Conv, [16], {name: b}]\n", CONV, ""),
          { 0, 2, 3, 4 } },
        { FOUR(CONV, "  - [-1, 1, Conv, [16], {name: a}]\n", "  - [-1, 1, Conv, [16], {name: b}]\n", CONV),
          FOUR(CONV, "  - [-1, 1, Conv, [16], {name: a}]\n", CONV, ""),
          { 0, 1, 3, 4 } },
        { FOUR(CONV, "  - [-1, 1, Conv, [16], {name: a}]\n", CONV, ""),
          FOUR(CONV, "  - [-1, 1, Conv, [16]]\n", "  - [-1, 1, Conv, [24], {name: a}]\n", CONV),
          { 0, -1, 1, 2, 3 } },
    };
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        Arena *a = arena_new();
        Model *from = from_text(T[i].file), *m = from_text(T[i].model);
        Transfer t = adapt(m, from, 0, 0, a);
        for (int k = 0; k < m->n_row; k++)
            if (t.row[k] != T[i].row[k])
                fail_msg("line %zu: row %d is the file's %d, wanted %d", i, k, t.row[k], T[i].row[k]);
        model_free(&from);
        model_free(&m);
        arena_free(&a);
    }
}

/* A dynamic model's own weights are copied, not made anew; its temperature with them. */
static void test_own_weights(void **state)
{
    static const char *const name[] = { "yolov8n-dynamic.yaml", "yolov8n-DynamicConv.yaml", "yolov8n-ODConv4.yaml" };
    for (size_t i = 0; i < COUNT_OF(name); i++) {
        Arena *a = arena_new();
        Model *from = stock(name[i]), *m = stock(name[i]);
        train_a_little(from);
        int at = graph_find_param(from->g, "model.3.conv.attention.temperature");
        if (at >= 0) from->w.data[graph_param_spec(from->g, at)->offset] = 7;
        Transfer t = adapt(m, from, BANK_NOISE, 0, a);
        assert_int_equal(t.copied, graph_n_params(m->g));
        assert_int_equal(t.n_changed + t.n_missing, 0);
        assert_memory_equal(m->w.data, from->w.data, (size_t)m->w.n * sizeof(float));
        model_free(&from);
        model_free(&m);
        arena_free(&a);
    }
}

/* A file's names are not trusted. */
static void test_strange_files(void **state)
{
    static const char *const name[] = { "model.99999999999999999999.conv.weight",
                                        "model.-1.conv.weight",
                                        "model.",
                                        "model.3",
                                        "model.0",
                                        "",
                                        "bn.weight",
                                        "model.7.",
                                        "model.00.bn.weight" };
    float one[8] = { 1 };
    Arena *a = arena_new();
    Blob blob[COUNT_OF(name)];
    Model *m = from_text(FOUR(CONV, "", "", ""));
    Transfer t;
    for (size_t i = 0; i < COUNT_OF(name); i++)
        blob[i] = (Blob) { .name = name[i], .dtype = F32, .rank = 1, .dim = { 8 }, .data = one, .bytes = sizeof one };
    assert_ok(model_adapt(m, &(BlobFile) { .blob = blob, .n = COUNT_OF(name) }, &(AdaptOptions) { .noise = 0.1 }, a, &t,
                          &err));
    assert_int_equal(t.copied + (int64_t)t.n_changed, 0);
    enum { MANY = 1200 };
    Blob *many = ARENA_ARRAY(a, Blob, MANY);
    for (int i = 0; i < MANY; i++) {
        many[i] = blob[0];
        many[i].name = arena_printf(a, "model.%d.weight", i);
    }
    assert_fails(model_adapt(m, &(BlobFile) { .blob = many, .n = MANY }, &(AdaptOptions) { .noise = 0.1 }, a, &t, &err),
                 DYN_FORMAT, "more than 1000 rows");
    model_free(&m);
    arena_free(&a);
}

/* Out of memory at any allocation is an error, never a crash. */
static void test_no_memory(void **state)
{
    Arena *a = arena_new();
    Model *from = from_text(FOUR(CONV, CONV, "", ""));
    BlobFile f;
    assert_ok(model_blobs(from, &from->w, a, &f, &err));
    for (long n = 1;; n++) {
        const char *text = FOUR(CONV, "  - [-1, 1, ODConv2d, [8, 3, 2, {kernel_num: 2}]]\n", "", "");
        Model *m = NULL;
        Transfer t;
        Arena *b = arena_new();
        mem_fail_after(n);
        Status s = model_from_text("m.yaml", text, strlen(text), NULL, &m, &err);
        if (s == DYN_OK) s = model_adapt(m, &f, &(AdaptOptions) { .noise = 0.1 }, b, &t, &err);
        mem_fail_after(0);
        model_free(&m);
        arena_free(&b);
        if (s == DYN_OK) break;
        assert_int_equal(s, DYN_NOMEM);
    }
    model_free(&from);
    arena_free(&a);
}

/* ---- what is said of it -------------------------------------------------------------------------------------------
 */

static void test_report(void **state)
{
    Arena *a = arena_new();
    Model *plain = stock("yolov8n.yaml"), *m = stock("yolov8n-DANet.yaml"), *d = stock("yolov8n-dynamic.yaml");
    Transfer t = adapt(m, plain, 0, 0, a);
    assert_string_equal(transfer_text(m, &t, "a.pt", false, a), "Transferred 355/363 items from a.pt\n"
                                                                "  rows 4-23 from the file's rows 3-22\n"
                                                                "  left new 8 in row 3");
    t = adapt(d, plain, 0, 0, a);
    assert_string_equal(transfer_text(d, &t, "a.pt", true, a),
                        "Transferred 358/361 items from a.pt\n"
                        "  adapted from a plain layer 6 in rows 0, 1, 3\n"
                        "    row 0 (DynConv2dBnAct): conv.weight, conv.attention.fc2.weight\n"
                        "    row 1 (DynConv2dBnAct): conv.weight, conv.attention.fc2.weight\n"
                        "    row 3 (DynConv2dBnAct): conv.weight, conv.attention.fc2.weight\n"
                        "  left new 3 in rows 0, 1, 3\n"
                        "    row 0 (DynConv2dBnAct): conv.attention.fc1.weight\n"
                        "    row 1 (DynConv2dBnAct): conv.attention.fc1.weight\n"
                        "    row 3 (DynConv2dBnAct): conv.attention.fc1.weight");
    model_free(&plain);
    model_free(&m);
    model_free(&d);
    arena_free(&a);
}

static void test_min_transfer(void **state)
{
    char dir[] = "/tmp/dyn-transfer-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/n.safetensors", dir);
    Arena *a = arena_new();
    Model *plain = stock("yolov8n.yaml"), *m = NULL;
    DynContext quiet = { .job = a };
    DynOptions o;
    assert_ok(model_save(plain, path, NULL, 0, &err));
    dyn_options_defaults(&o, DYN_TRAIN);
    o.model = "yolov8n-ODConv.yaml";
    o.pretrained = path;
    o.min_transfer = 0.9;
    assert_ok(train_first_model(&quiet, &o, 80, a, &m, &err));
    model_free(&m);
    o.min_transfer = 0.95;
    assert_fails(train_first_model(&quiet, &o, 80, a, &m, &err), DYN_USAGE,
                 "385 of the model's 415 items; not for model.0.");
    o.pretrained = "True";
    assert_fails(train_first_model(&quiet, &o, 80, a, &m, &err), DYN_USAGE, "no weights to begin from");
    remove(path);
    remove(dir);
    model_free(&plain);
    arena_free(&a);
}

/* Weights of a version whose SPPF has no activation behind its first convolution make a model without it. */
static void test_version_of_weights(void **state)
{
    char dir[] = "/tmp/dyn-transfer-XXXXXX", weights[64], yaml[64];
    const char *text = FOUR(CONV, "  - [-1, 1, SPPF, [16]]\n", CONV, "  - [-1, 1, Conv, [8]]\n");
    const char *dynamic =
        FOUR(CONV, "  - [-1, 1, SPPF, [16]]\n", "  - [-1, 1, ODConv2d, [8, 3, 2]]\n", "  - [-1, 1, Conv, [8]]\n");
    assert_non_null(mkdtemp(dir));
    snprintf(weights, sizeof weights, "%s/w.safetensors", dir);
    snprintf(yaml, sizeof yaml, "%s/m.yaml", dir);
    for (int without = 0; without < 2; without++) {
        Arena *a = arena_new();
        Model *plain = NULL, *m = NULL;
        DynContext quiet = { .job = a };
        DynOptions o;
        ModelOptions mo = { .compat = { .sppf_no_act = without } };
        assert_ok(model_from_text("w.yaml", text, strlen(text), &mo, &plain, &err));
        train_a_little(plain);
        assert_ok(model_save(plain, weights, NULL, 0, &err));
        assert_ok(file_write(yaml, dynamic, strlen(dynamic), &err));
        dyn_options_defaults(&o, DYN_TRAIN);
        o.model = yaml;
        o.pretrained = weights;
        assert_ok(train_first_model(&quiet, &o, 2, a, &m, &err));
        assert_int_equal(m->compat.sppf_no_act, without);
        double d = difference(plain, m);
        if (!(d < 2e-5)) fail_msg("%d: differs by %g", without, d);
        model_free(&plain);
        model_free(&m);
        arena_free(&a);
    }
    remove(weights);
    remove(yaml);
    remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_temperatures), cmocka_unit_test(test_banks_of_another_size),
        cmocka_unit_test(test_recipes),      cmocka_unit_test(test_bare_modules),
        cmocka_unit_test(test_noise),        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_own_weights),  cmocka_unit_test(test_strange_files),
        cmocka_unit_test(test_no_memory),    cmocka_unit_test(test_report),
        cmocka_unit_test(test_min_transfer), cmocka_unit_test(test_version_of_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
