/* SPDX-License-Identifier: Apache-2.0
 *
 * DySample beyond what test_modules.c asks of every module (spec E, F, G.2, J.10): published golden vectors, zero
 * offsets, offsets that are no numbers, the border, counts of the models, files, and what is refused. */
#include "module_case.h"

#include "model/model.h"

static Error err;

/* ---- spec F ------------------------------------------------------------------------------------------------------ */

static void test_golden_vectors(void **state)
{
    static const struct {
        const char *line;
        double first[4];
        ModuleSums sums[6];
    } T[] = {
        { "x[2,8,3,4] amp=1 args=[]",
          { 0.825139584, 0.901414196, 0.944923373, 0.982170345 },
          { { "y", 16.0747892, 435.19922 },
            { "grad:x", 14.4301393, 396.127602 },
            { "grad:offset.weight", -3.45594646, 105.560982 },
            { "grad:offset.bias", -2.54977064, 61.3008293 } } },
        { "x[2,8,3,4] amp=1 args=[2, lp, 4, true]",
          { 0.834036203, 0.893401235, 0.956110134, 0.981883967 },
          { { "y", 10.9016983, 437.121226 },
            { "grad:x", -7.02668, 392.793068 },
            { "grad:offset.weight", -4.57241637, 108.625949 },
            { "grad:scope.weight", 1.28295283, 35.2386455 },
            { "grad:scope.bias", 11.6147033, 13.0504377 } } },
        { "x[2,8,3,4] amp=1 args=[2, pl, 2, true]",
          { 0.843156778, 0.850594007, 0.980326187, 0.980555537 },
          { { "y", 16.7086476, 429.710486 },
            { "grad:x", 13.7245405, 391.051195 },
            { "grad:offset.weight", 1.34582297, 11.7446912 },
            { "grad:scope.weight", 4.9877126, 7.99551557 } } },
    };
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        Arena *a = arena_new();
        ModuleCase c = module_case(a, "DySample", T[i].line);
        ModuleRun r = module_walk(&c, a);
        module_check_vector(&r, T[i].first, T[i].sums);
        arena_free(&a);
    }
}

/* ---- zero offsets are bilinear upsampling with half-pixel centres ---------------------------------------------------
 */

static double bilinear(const ModuleCase *c, int64_t plane, int64_t h, int64_t w, int64_t r)
{
    int64_t H = c->x.dim[2], W = c->x.dim[3];
    double py = CLAMP(((double)h + 0.5) / (double)r - 0.5, 0, (double)(H - 1));
    double px = CLAMP(((double)w + 0.5) / (double)r - 0.5, 0, (double)(W - 1)), v = 0;
    for (int64_t i = 0; i < H; i++)
        for (int64_t j = 0; j < W; j++)
            v += fmax(0, 1 - fabs(py - (double)i)) * fmax(0, 1 - fabs(px - (double)j)) *
                 module_fill(1, 0, (plane * H + i) * W + j);
    return v;
}

static void test_zero_offset(void **state)
{
    static const struct {
        const char *line;
        int64_t r;
    } T[] = {
        { "x[2,4,3,5] amp=0 args=[]", 2 },
        { "x[1,9,4,2] amp=0 args=[3, pl, 3]", 3 },
        { "x[1,16,1,3] amp=0 args=[4, pl, 2, true]", 4 },
        { "x[3,6,2,2] amp=0 args=[1, lp, 2, true, false]", 1 },
    };
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        Arena *a = arena_new();
        ModuleCase c = module_case(a, "DySample", T[i].line);
        ModuleRun runs[] = { module_walk(&c, a), module_infer(&c, F32, a) };
        for (size_t k = 0; k < COUNT_OF(runs); k++) {
            Tensor y = module_result(&runs[k], "y");
            assert_int_equal(tensor_count(&y), shape_count(&c.x) * T[i].r * T[i].r);
            for (int64_t e = 0; e < tensor_count(&y); e++)
                assert_near(tensor_get(&y, e),
                            bilinear(&c, e / y.dim[3] / y.dim[2], e / y.dim[3] % y.dim[2], e % y.dim[3], T[i].r),
                            2.4e-7);
        }
        arena_free(&a);
    }
}

/* ---- offsets of every kind, by the reference and by the processor's kernel ------------------------------------------
 */

enum { N = 1, C = 6, H = 3, W = 5, R = 2, G = 3, OFF = 2 * G * R * R };

/* y and the offsets' gradient for dy = 1, where all offsets along x are ox and all along y are oy. */
typedef struct Sampled {
    double y[C * H * R * W * R], doff[OFF * H * W];
} Sampled;

static double pixel_value(int64_t c, int64_t i, int64_t j)
{
    return 1 + 3 * (double)c + (double)(i * i) + 2 * (double)(j * j);
}

static void sample(const char *device, double ox, double oy, Sampled *s)
{
    Graph *g;
    Backend *b;
    Program *p;
    Slab w;
    assert_ok(graph_new(&g, &err));
    Type t = { F32, false, SHAPE(N, C, H, W) }, t_off = { F32, false, SHAPE(N, OFF, H, W) };
    Value x = graph_input(g, "x", t), off = graph_input(g, "off", t_off);
    Value dy = graph_input(g, "dy", (Type) { F32, false, SHAPE(N, C, R * H, R * W) });
    graph_output(g, "y", EMIT(g, dysample, INS(x, off), ATTRS(A_INT("scale", R), A_INT("groups", G))));
    Value d = graph_emit(g, op_dysample.also, INS(dy, x, off), ATTRS(A_INT("scale", R), A_INT("groups", G)));
    graph_output(g, "dx", d);
    graph_output(g, "doff", value_at(d, 1));
    assert_ok(slab_new(g, &w, &err));
    assert_ok(backend_open(device, 2, NULL, &b, &err));
    assert_ok(program_compile(&(ProgramSpec) { .graph = g, .bind = { 1, 32, 32, 1, F32 }, .backend = b, .params = &w },
                              &p, &err));
    assert_ok(program_load(p, &err));
    Tensor tx = program_input(p, "x"), to = program_input(p, "off"), td = program_input(p, "dy");
    for (int64_t e = 0; e < tensor_count(&tx); e++)
        dtype_store(tx.data, F32, tensor_offset(&tx, e), pixel_value(e / W / H, e / W % H, e % W));
    for (int64_t e = 0; e < tensor_count(&to); e++)
        dtype_store(to.data, F32, tensor_offset(&to, e), e < OFF / 2 * H * W ? ox : oy);
    for (int64_t e = 0; e < tensor_count(&td); e++)
        dtype_store(td.data, F32, e, 1);
    assert_ok(program_run(p, &err));
    Tensor y = program_output(p, "y"), doff = program_output(p, "doff"), dx = program_output(p, "dx");
    double all = 0;
    for (int64_t e = 0; e < tensor_count(&y); e++)
        s->y[e] = tensor_get(&y, e);
    for (int64_t e = 0; e < tensor_count(&doff); e++)
        s->doff[e] = tensor_get(&doff, e);
    for (int64_t e = 0; e < tensor_count(&dx); e++)
        all += tensor_get(&dx, e);
    assert_near(all, C * H * R * W * R, 1e-3); /* whatever is read, its weights are 1 in sum */
    program_free(&p);
    backend_close(&b);
    slab_free(&w);
    graph_free(&g);
}

static void test_strange_offsets(void **state)
{
    static const struct {
        double ox, oy;
        int column, row; /* where everything is read; -1: at its own place */
    } T[] = {
        { NAN, 0, 0, -1 },          { 0, NAN, -1, 0 },
        { INFINITY, 0, W - 1, -1 }, { -INFINITY, INFINITY, 0, H - 1 },
        { 1e30, -1e30, W - 1, 0 },  { NAN, -INFINITY, 0, 0 },
    };
    for (size_t i = 0; i < COUNT_OF(T); i++)
        for (int device = 0; device < 2; device++) {
            static Sampled s;
            sample(device ? "cpu" : "ref", T[i].ox, T[i].oy, &s);
            for (int64_t e = 0; e < (int64_t)COUNT_OF(s.y); e++) {
                int64_t c = e / (W * R) / (H * R), h = e / (W * R) % (H * R) / R, w = e % (W * R) / R;
                assert_near(s.y[e], pixel_value(c, T[i].row < 0 ? h : T[i].row, T[i].column < 0 ? w : T[i].column), 0);
            }
            for (int64_t e = 0; e < (int64_t)COUNT_OF(s.doff); e++) {
                bool along_x = e < OFF / 2 * H * W;
                if ((along_x ? T[i].column : T[i].row) >= 0) assert_near(s.doff[e], 0, 0);
            }
        }
}

/* A coordinate on the border exactly has no gradient, one that is a little inside has. */
static void test_border(void **state)
{
    for (int device = 0; device < 2; device++) {
        static Sampled on, in;
        sample(device ? "cpu" : "ref", 0, 0, &on);
        sample(device ? "cpu" : "ref", 0x1p-10, 0x1p-10, &in);
        for (int64_t e = 0; e < OFF * H * W; e++) {
            int64_t i = e / W % H, j = e % W;
            bool x = e < OFF / 2 * H * W, first = x ? j == 0 : i == 0, last = x ? j == W - 1 : i == H - 1;
            assert_int_equal(on.doff[e] == 0, first || last);
            assert_int_equal(in.doff[e] == 0, last);
        }
    }
}

/* ---- spec G.2 -------------------------------------------------------------------------------------------------------
 */

static const char *stock_text_of(const char *name)
{
    const char *text, *s;
    for (int i = 0; (s = model_stock(i, &text)); i++)
        if (str_eq(s, name)) return text;
    fail_msg("no stock model %s", name);
    return NULL;
}

/* yolov8-Dysample.yaml with other arguments in both of its rows. */
static Model *variant(Arena *a, const char *scale, const char *args)
{
    const char *text = stock_text_of("yolov8-Dysample.yaml"), *row = "DySample, []]", *at;
    Model *m = NULL;
    int n = 0;
    for (; (at = strstr(text, row)) && n < 2; n++)
        text = arena_printf(a, "%.*sDySample, %s]%s", (int)(at - text), text, args, at + strlen(row));
    assert_int_equal(n, str_eq(args, "[]") ? 2 : n);
    assert_ok(model_from_text(arena_printf(a, "yolov8%s.yaml", scale), text, strlen(text), NULL, &m, &err));
    return m;
}

/* Multiply-accumulates of convolutions (the decoding's among them) and bilinear taps: the spec's "true", which leaves
 * elementwise work out. */
static double true_gflops(const Model *m, Arena *a)
{
    Type *t;
    double flops = 0;
    assert_ok(graph_bind(m->g, &(Binding) { 1, 640, 640, 1, F32 }, a, &t, &err));
    for (int i = 0; i < graph_n_nodes(m->g); i++) {
        const Node *n = graph_node(m->g, i);
        Type in[64] = { 0 };
        bool conv = n->op == &op_conv2d || n->op == &op_subpixel_linear || n->op == &op_yolo_decode;
        if (!conv && n->op != &op_dysample) continue;
        for (int k = 0; k < n->n_in; k++)
            in[k] = n->in[k].id ? t[n->in[k].id] : (Type) { .shape.rank = -1 };
        Cost c = n->op->cost(n, in, &t[n->out.id]);
        flops += conv ? 2 * c.profiler : c.flops;
    }
    return flops * 1e-9;
}

static void test_counts(void **state)
{
    static const struct {
        const char *scale, *args;
        int64_t params;
        double gflops, profiler;
    } T[] = {
        { "n", "[]", 3169552, 8.7735, 8.87 },
        { "s", "[]", 11191200, 28.6616, 28.85 },
        { "n", "[2, lp, 4, true]", 3181904, 8.7931, 8.89 },
        { "s", "[2, lp, 4, true]", 11215840, 28.7009, 28.89 },
        { "n", "[{dyscope: true, scope_bias: false}]", 3181904 - 64, 8.7931, 8.89 },
        { "n", "[2, pl]", 3157984, 8.7587, 8.86 },
        { "s", "[2, pl]", 11168112, 28.6321, 28.82 },
        { "n", "[2, pl, 4, true]", 3158768, 8.7636, 8.86 },
        { "s", "[2, pl, 4, true]", 11169664, 28.6419, 28.83 },
        { "n", "[2, pl, 4, true, false]", 3158768 - 16, 8.7636, 8.86 },
    };
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        Arena *a = arena_new();
        Model *m = variant(a, T[i].scale, T[i].args);
        ModelInfo info;
        assert_ok(model_info(m, 640, a, &info, &err));
        assert_int_equal(info.params, T[i].params);
        assert_int_equal(info.layers, str_eq(T[i].args, "[]") || !strstr(T[i].args, "true") ? 129 : 131);
        assert_near(true_gflops(m, a), T[i].gflops, 5.1e-5);
        assert_near(info.profiler, T[i].profiler, 6e-3);
        assert_true(info.gflops > T[i].gflops);
        assert_string_equal(m->row[10].module, "DySample");
        assert_int_equal(m->row[13].shape.dim[2], 80);
        model_free(&m);
        arena_free(&a);
    }
    for (const char *scale = "nsmlx"; *scale; scale++) { /* the whole stock file, at each of its scales */
        Model *m = NULL, *plain = NULL;
        char name[32];
        snprintf(name, sizeof name, "yolov8%c-Dysample.yaml", *scale);
        assert_ok(model_from_file(name, NULL, &m, &err));
        snprintf(name, sizeof name, "yolov8%c.yaml", *scale);
        assert_ok(model_from_file(name, NULL, &plain, &err));
        int64_t more = 0;
        for (int r = 0; r < m->n_row; r++)
            more += m->row[r].params - plain->row[r].params;
        assert_int_equal(more, 32 * (m->row[10].shape.dim[1] + 1) + 32 * (m->row[13].shape.dim[1] + 1));
        model_free(&m);
        model_free(&plain);
    }
}

/* ---- files ----------------------------------------------------------------------------------------------------------
 */

#define HEAD "nc: 2\nbackbone:\n  - [-1, 1, Conv, [24, 3, 4]]\n"

static Model *built(const char *rows)
{
    Model *m = NULL;
    char text[512];
    snprintf(text, sizeof text, HEAD "%shead:\n  - [0, 1, Detect, [nc]]\n", rows);
    assert_ok(model_from_text("m.yaml", text, strlen(text), NULL, &m, &err));
    return m;
}

static void test_init_pos_in_files(void **state)
{
    Arena *a = arena_new();
    Model *m = built("  - [-1, 1, DySample, [3, lp, 2]]\n");
    BlobFile f;
    Transfer t;
    int i = graph_find_param(m->g, "model.1.init_pos");
    assert_ok(model_blobs(m, &m->w, a, &f, &err));
    Blob *b = (Blob *)(uintptr_t)blob_find(&f, "model.1.init_pos");
    assert_true(b && b->rank == 4 && b->dim[0] == 1 && b->dim[1] == 36 && b->dim[2] == 1 && b->dim[3] == 1);
    assert_true(str_eq(b[1].name, "model.1.offset.weight") && str_eq(b[2].name, "model.1.offset.bias"));
    for (int e = 0; e < 36; e++) /* columns of both groups, then rows */
        assert_near(((const float *)b->data)[e], (double)(e < 18 ? e % 3 - 1 : e / 3 % 3 - 1) / 3, 1e-7);
    assert_false(graph_param_spec(m->g, i)->trainable);

    uint16_t half[36]; /* a released file: 0.3333 as a half float is taken, and our own value stays */
    for (int e = 0; e < 36; e++)
        half[e] = (uint16_t)(e < 18           ? e % 3 == 0   ? 0xb555
                                                : e % 3 == 1 ? 0
                                                             : 0x3555
                             : e / 3 % 3 == 0 ? 0xb555
                             : e / 3 % 3 == 1 ? 0
                                              : 0x3555);
    const float *values = m->w.data + graph_param_spec(m->g, i)->offset;
    Blob ours = *b;
    *b = (Blob) { .name = ours.name, .dtype = F16, .rank = 4, .dim = { 1, 36, 1, 1 }, .data = half, .bytes = 72 };
    assert_ok(model_transfer(m, &f, a, &t, &err));
    assert_int_equal(t.n_missing, 0);
    assert_near(values[2], 1.0 / 3, 1e-7);

    half[5] = 0x3800; /* 0.5: centres of another layer */
    assert_ok(model_transfer(m, &f, a, &t, &err));
    assert_int_equal(t.n_missing, 1);
    assert_string_equal(t.missing[0], "model.1.init_pos");

    *b = ours; /* absent: nothing is missed, and a file without it loads */
    b->name = "model.1.other";
    assert_ok(model_transfer(m, &f, a, &t, &err));
    assert_int_equal(t.n_missing, 0);
    assert_int_equal(t.copied, t.total);
    model_free(&m);
    arena_free(&a);
}

/* J.11: the width is that of what the row reads, not of the row before. */
static void test_width(void **state)
{
    Model *m = built("  - [-1, 1, Conv, [40, 1, 2]]\n  - [0, 1, DySample, [2, lp, 3]]\n");
    assert_int_equal(m->row[2].shape.dim[1], 24);
    assert_int_equal(m->row[2].shape.dim[2], 320);
    model_free(&m);
}

/* ---- what is refused ------------------------------------------------------------------------------------------------
 */

static void test_refusals(void **state)
{
    static const struct {
        const char *args, *words;
        Status status;
    } T[] = {
        { "[2, lp, 5]",
          "m.yaml:4: row 1 (DySample): 24 channels are no multiple of groups=5; DySample[scale=2, style=lp, "
          "groups=4, "
          "dyscope=false, scope_bias=true]",
          DYN_SHAPE },
        { "[2, lp, 36]", "24 channels are no multiple of groups=36", DYN_SHAPE },
        { "[3, pl, 2]", "24 channels are no multiple of scale * scale = 9, which style=pl wants; DySample[",
          DYN_SHAPE },
        { "[16, pl, 2]", "scale * scale = 256", DYN_SHAPE },
        { "[2, lpp, 2]", "argument 'style' must be one of lp|pl, not lpp; DySample[", DYN_FORMAT },
        { "[0]", "argument 'scale' must be a whole number from 1 to 16, not 0", DYN_FORMAT },
        { "[2.5]", "argument 'scale' must be a whole number", DYN_FORMAT },
        { "[2, lp, 0]", "argument 'groups' must be a whole number from 1", DYN_FORMAT },
        { "[2, lp, 2, maybe]", "argument 'dyscope' must be true or false, not maybe", DYN_FORMAT },
        { "[2, lp, 2, true, true, 1]", "too many arguments; DySample[", DYN_FORMAT },
        { "[{group: 2}]", "no argument 'group', did you mean 'groups'", DYN_FORMAT },
        { "[18, 2, lp]", "argument 'scale' must be a whole number from 1 to 16, not 18", DYN_FORMAT },
    };
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        Model *m = NULL;
        char text[512];
        snprintf(text, sizeof text, HEAD "  - [-1, 1, DySample, %s]\nhead:\n  - [0, 1, Detect, [nc]]\n", T[i].args);
        Status s = model_from_text("m.yaml", text, strlen(text), NULL, &m, &err);
        if (s != T[i].status || !strstr(err.text, T[i].words))
            fail_msg("%s: %s: '%s' does not say '%s'", T[i].args, dyn_status_name(s), err.text, T[i].words);
        assert_null(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_vectors),  cmocka_unit_test(test_zero_offset),
        cmocka_unit_test(test_strange_offsets), cmocka_unit_test(test_border),
        cmocka_unit_test(test_counts),          cmocka_unit_test(test_init_pos_in_files),
        cmocka_unit_test(test_width),           cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
