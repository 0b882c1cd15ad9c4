/* SPDX-License-Identifier: Apache-2.0
 *
 * The text of a graph is read back as the same graph: every stock model as it is built, as it is run and as it is
 * trained. What is wrong in a text is told with its line. */
#include "test.h"

#include "backend/backend.h"
#include "model/model.h"
#include "ops/ops.h"
#include "passes/passes.h"
#include "train/train.h"

#include <math.h>

static Error err;

/* The graph read from g's text; its own text must be the same. */
static Graph *again(const char *what, const Graph *g)
{
    Graph *back;
    Arena *a = arena_new();
    const char *text = graph_text(g, NULL, a);
    assert_non_null(text);
    if (graph_parse(what, text, strlen(text), ops_find, &back, &err) != DYN_OK) fail_msg("%s: %s", what, err.text);
    const char *second = graph_text(back, NULL, a);
    for (int line = 1; *text || *second; line++) {
        size_t n = strcspn(text, "\n"), m = strcspn(second, "\n");
        if (n != m || memcmp(text, second, n))
            fail_msg("%s:%d: '%.*s' became '%.*s'", what, line, (int)n, text, (int)m, second);
        text += n + (text[n] != 0), second += m + (second[m] != 0);
    }
    arena_free(&a);
    return back;
}

/* Parameters keep their place in the slab, so that weights of one graph are weights of the other. */
static void assert_same_params(const Graph *g, const Graph *h)
{
    assert_int_equal(graph_n_params(g), graph_n_params(h));
    for (int i = 0; i < graph_n_params(g); i++) {
        const ParamSpec *p = graph_param_spec(g, i), *q = graph_param_spec(h, i);
        assert_string_equal(p->name, q->name);
        assert_int_equal(p->offset, q->offset);
        assert_int_equal(p->trainable, q->trainable);
        assert_true(p->init.a == q->init.a && p->schedule.end == q->schedule.end);
    }
}

static void stock_models_are_read_back(void **state)
{
    const char *name, *text;
    int n = 0;
    for (int i = 0; (name = model_stock(i, &text)); i++, n++) {
        Model *m;
        Graph *loss, *run, *train, *back;
        ModelOptions o = { .scale = "n" };
        assert_ok(model_from_text(name, text, strlen(text), &o, &m, &err));
        train_freeze(m, (const int64_t[]) { 0 }, 1);
        back = again(name, m->g);
        assert_same_params(m->g, back);
        graph_free(&back);
        assert_ok(passes_inference(m->g, &run, &err));
        back = again(name, run);
        graph_free(&back);
        assert_ok(train_loss_graph(m, train_defaults().gain, true, &loss, &err));
        assert_ok(passes_training(loss, "loss", &train, &err));
        back = again(name, train);
        assert_same_params(m->g, back);
        graph_free(&back);
        graph_free(&train);
        graph_free(&loss);
        graph_free(&run);
        model_free(&m);
    }
    assert_true(n >= 3);
}

static float *forward(const Graph *g, Backend *b, const Slab *w, size_t *n)
{
    Program *p;
    ProgramSpec spec = { .graph = g, .bind = { 2, 64, 96, 1, F32 }, .backend = b, .params = w, .fold = true };
    assert_ok(program_compile(&spec, &p, &err));
    assert_ok(program_load(p, &err));
    Tensor x = program_input(p, "images");
    for (int64_t i = 0; i < tensor_count(&x); i++)
        ((uint8_t *)x.data)[i] = (uint8_t)(i * 7 % 251);
    assert_ok(program_run(p, &err));
    Tensor y = program_output(p, "y");
    *n = (size_t)tensor_count(&y) * sizeof(float);
    float *copy = memcpy(malloc(*n), y.data, *n);
    program_free(&p);
    return copy;
}

static void what_is_read_back_computes_the_same(void **state)
{
    Model *m;
    Graph *run, *back;
    Backend *b;
    size_t n, k;
    ModelOptions o = { .seed = 5 };
    assert_ok(model_from_file("yolov8n.yaml", &o, &m, &err));
    assert_ok(passes_inference(m->g, &run, &err));
    back = again("yolov8n", run);
    assert_ok(backend_open("cpu", 1, NULL, &b, &err));
    float *x = forward(run, b, &m->w, &n), *y = forward(back, b, &m->w, &k);
    assert_int_equal(n, k);
    assert_memory_equal(x, y, n);
    free(x);
    free(y);
    backend_close(&b);
    graph_free(&run);
    graph_free(&back);
    model_free(&m);
}

/* A text attribute that looks like a number, numbers of every length, a constant, what is left out at the end. */
static void odd_attributes_and_leaves(void **state)
{
    Graph *g, *back;
    Arena *a = arena_new();
    assert_ok(graph_new(&g, &err));
    graph_nominal(g, &(Binding) { 2, 64, 32, 8, BF16 });
    Value x = graph_input(g, "x", (Type) { .dtype = BF16, .shape = SHAPE(DIM_BATCH, 4, DIM_HEIGHT, DIM_WIDTH) });
    Value k = graph_const(g, (Type) { .dtype = F32, .shape = SHAPE(2, 4, 1, 1) },
                          (const float[]) { 1.5f, -0.f, 1e-30f, INFINITY, 3, 4, 5, 6 });
    Value y = EMIT(g, conv2d, INS(x, k), NO_ATTRS);
    const Node *conv = value_node(g, y);
    assert_int_equal(conv->n_in, 4); /* x w b? res? */
    assert_true(!conv->in[2].id && !conv->in[3].id);
    y = EMIT(g, reduce_mean, INS(y), ATTRS(A_TEXT("dims", "1"), A_INT("keep", 1)));
    y = EMIT(g, scale, INS(y), ATTRS(A_FLOAT("a", 0.1)));
    y = EMIT(g, gap, INS(y), ATTRS(A_TEXT("out", "\"f32\"")));
    graph_output(g, "y", y);
    graph_output(g, "again", y);
    assert_ok(graph_status(g, &err));
    back = again("odd", g);
    const char *text = graph_text(back, NULL, a);
    assert_non_null(strstr(text, "dims=\"1\" keep=1"));
    assert_non_null(strstr(text, "input BF16[N,4,H,W] ->"));
    assert_non_null(strstr(text, "0000c03f00000080"));
    assert_true(attr_float(graph_node(back, graph_n_nodes(back) - 2), "a") == 0.1);
    assert_string_equal(attr_text(graph_node(back, graph_n_nodes(back) - 1), "out"), "\"f32\"");
    graph_free(&g);
    graph_free(&back);
    arena_free(&a);
}

static void wrong_texts_are_told_with_their_line(void **state)
{
    static const struct {
        const char *text, *says;
    } wrong[] = {
        { "nominal 1 640 640 64\n", "g.txt:1: wants first, and once: nominal" },
        { "x: input U8[N,3,H,W] -> %1\nnominal 1 640 640 64 F32\n", "g.txt:2: wants first" },
        { "nominal 1 640 640 64 U8\n", "g.txt:1: activations are" },
        { "nonsense\n", "g.txt:1: 'nonsense': wants nominal" },
        { "x: input U8[N,3,H,W] -> %2\n", "g.txt:1: '%2' comes out as %1:U8[1,3,640,640]" },
        { "x: input U8[N,3,H,W] -> %1:U8[1,3,640,64]\n", "comes out as %1:U8[1,3,640,640]" },
        { "x: input U8[N,3,H,Q] -> %1\n", "'Q': wants a whole number" },
        { "x: input U9[N,3,H,W] -> %1\n", "'U9' is no element type" },
        { "x: input F32[1000000,1000000,1000000] -> %1\n", "more than 2^40" },
        { "\nx: param -> %1\n", "g.txt:2: no parameter 'x'" },
        { "param x weight [4] uniform=1\nparam x weight [4] uniform=1\n", "g.txt:2: parameter 'x' a second time" },
        { "param x weigth [4] uniform=1\n", "'weigth' is no kind" },
        { "param x weight [4] uniform=one\n", "'uniform=one' is no initial value" },
        { "param x weight [4] uniform=1 file=[2,3]\n", "other elements" },
        { "param t schedule [1,1,1,1] const=30.0 schedule=30,1,3\n", "five numbers" },
        { "c: const F32[2] 0000 -> %1\n", "8 bytes" },
        { "x: input F32[N,3,H,W] -> %1\ny: sillu %1 -> %2\n", "g.txt:2: no operator 'sillu'" },
        { "x: input F32[N,3,H,W] -> %1\ny: silu %2 -> %2\n", "g.txt:2: '2': wants a whole number from 1 to 1" },
        { "x: input F32[N,3,H,W] -> %1\ny: silu %1[1,3,64,64] -> %2\n", "is %1[1,3,640,640]" },
        { "x: input F32[N,3,H,W] -> %1\ny: silu -> %2\n", "g.txt:2: silu 'y': takes the inputs 'x', got 0" },
        { "x: input F32[N,3,H,W] -> %1\ny: silu %1 alpha=2 -> %2\n", "g.txt:2: operator silu has no attribute" },
        { "x: input F32[N,3,H,W] -> %1\ny: silu %1\n", "g.txt:2: wants NAME: OPERATOR" },
        { "x: input F32[N,3,H,W] -> %1\ny: silu %1 -> %2 %3\n", "has 1 results" },
        { "output y %1\n", "g.txt:1: '1'" },
#define ON(shape, op) "x: input F32" shape " -> %1\nw: input F32[4,3,3,3] rowmajor -> %2\ny: " op
        /* attributes that no arithmetic survives unchecked */
        { ON("[1,3,9,7]", "conv2d %1 %2 stride=0 -> %3\n"), "must be at least 1" },
        { ON("[1,3,9,7]", "conv2d %1 %2 stride=9223372036854775807 -> %3\n"), "none above 2^20" },
        { ON("[1,3,9,7]", "conv2d %1 %2 dilation=9223372036854775807 -> %3\n"), "none above 2^20" },
        { ON("[1,3,9,7]", "conv2d %1 %2 pad=1e30 -> %3\n"), "none above 2^20" },
        { ON("[1,3,9,7]", "conv2d %1 %2 groups=4611686018427387904 -> %3\n"), "none above 2^20" },
        { ON("[1,3,9,7]", "conv2d %1 %2 %2 -> %3\n"), "bias must have 4 elements" },
        { ON("[1,3,9,7]", "conv2d_dw %1 %1 %2 -> %3\n"), "dy is [1,3,9,7], x and w want [1,4,7,5]" },
        { ON("[1,3,9,7]", "conv2d_dx %1 %2 %2 -> %3\n"), "dy is [1,3,9,7], x and w want [4,4,1,1]" },
        { ON("[3]", "bias_grad %1 -> %3\n"), "wants dy[N,O,H,W]" },
        { ON("[]", "add %1 %2 -> %3\n"), "[] and [4,3,3,3] do not fit" },
        { ON("[]", "sum_to %1 %2 -> %3\n"), "[] cannot be summed to [4,3,3,3]" },
        { ON("[1,3,9,7]", "pad %1 lo=9223372036854775807 -> %3\n"), "is too much" },
        { ON("[1,3,9,7]", "maxpool2d %1 k=3 pad=4611686018427387904 -> %3\n"), "pad from 0 to k/2" },
        { ON("[1,4,3,7]", "yolo_decode %1 %1 strides=8 reg_max=4611686018427387905 -> %3 %4\n"), "level 0 wants" },
        { ON("[1,4,3,7]", "yolo_decode %1 %1 strides=8,x -> %3 %4\n"), "strides=8,x wants" },
        { ON("[1,4,3,7]", "split %1 n_out=1e30 -> %3 %4\n"), "outputs" },
#undef ON
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        Graph *g;
        Status s = graph_parse("g.txt", wrong[i].text, strlen(wrong[i].text), ops_find, &g, &err);
        if (s == DYN_OK || !strstr(err.text, wrong[i].says))
            fail_msg("'%s': '%s' does not say '%s'", wrong[i].text, s == DYN_OK ? "" : err.text, wrong[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stock_models_are_read_back),
        cmocka_unit_test(what_is_read_back_computes_the_same),
        cmocka_unit_test(odd_attributes_and_leaves),
        cmocka_unit_test(wrong_texts_are_told_with_their_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
