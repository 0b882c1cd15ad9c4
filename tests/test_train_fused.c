/* SPDX-License-Identifier: Apache-2.0
 *
 * What a training program does in passing that its graph says one by one: moments of a convolution's result, sums of
 * gradients, casts forth and back. Checked against what is there to be read, and against the graph without it. */
#include "test.h"

#include "backend/backend.h"
#include "ops/ops.h"
#include "passes/passes.h"

#include <math.h>

static Error err;

/* What a batchnorm takes for the mean and the deviation of a batch are those of the convolution's result, which is
 * there to be read: whether it walked over it itself or was handed them, as by tiles in bf16. */
static void a_batchnorm_knows_its_batch(void **state)
{
    Graph *g;
    Backend *b;
    Program *p;
    Slab w;
    assert_ok(graph_new(&g, &err));
    Value x = graph_input(g, "x", (Type) { .dtype = U8, .shape = SHAPE(DIM_BATCH, 3, DIM_HEIGHT, DIM_WIDTH) });
    Value w1 = graph_param(g, "w1", PARAM_WEIGHT, SHAPE(40, 3, 3, 3), (Init) { INIT_UNIFORM, 0.4 });
    Value y = EMIT(g, conv2d, INS(EMIT(g, image, INS(x), NO_ATTRS), w1), ATTRS(A_INT("pad", 1)));
    Value bn[5] = { y };
    for (int i = 1; i < 5; i++) {
        char name[8];
        snprintf(name, sizeof name, "p%d", i);
        bn[i] = graph_param(g, name, i < 3 ? PARAM_NORM : PARAM_STATE, SHAPE(40), (Init) { INIT_CONST, 1 });
    }
    Value z = EMIT(g, batchnorm, bn, 5, ATTRS(A_INT("train", 1), A_TEXT("act", "silu")));
    graph_output(g, "y", y);
    graph_output(g, "z", z);
    graph_output(g, "mean", value_at(z, 1));
    graph_output(g, "rstd", value_at(z, 2));
    assert_ok(graph_status(g, &err));
    assert_ok(slab_new(g, &w, &err));
    slab_init(g, &w, 1);
    assert_ok(backend_open("cpu", 2, NULL, &b, &err));
    ProgramSpec spec = { .graph = g, .bind = { 3, 37, 41, 1, BF16 }, .backend = b, .params = &w };
    assert_ok(program_compile(&spec, &p, &err));
    assert_ok(program_load(p, &err));
    Tensor in = program_input(p, "x");
    for (int64_t i = 0; i < tensor_count(&in); i++)
        ((uint8_t *)in.data)[i] = (uint8_t)(128 + 100 * sin((double)i * 0.7));
    assert_ok(program_run(p, &err));
    for (int i = 0; i < program_n_steps(p); i++) {
        StepInfo s = program_step(p, i);
        assert_int_equal(s.gives_moments, s.node->op == &op_conv2d && str_eq(s.impl, "amx"));
    }
    Tensor t = program_output(p, "y"), mean = program_output(p, "mean"), rstd = program_output(p, "rstd");
    for (int64_t c = 0, each = 37 * 41, n = 3 * each; c < 40; c++) {
        double mu = 0, var = 0;
        for (int64_t i = 0; i < n; i++)
            mu += tensor_get(&t, (i / each * 40 + c) * each + i % each) / (double)n;
        for (int64_t i = 0; i < n; i++)
            var += pow(tensor_get(&t, (i / each * 40 + c) * each + i % each) - mu, 2) / (double)n;
        assert_true(fabs(tensor_get(&mean, c) - mu) <= 1e-5 * (sqrt(var) + fabs(mu)));
        assert_true(fabs(tensor_get(&rstd, c) * sqrt(var + 1e-3) - 1) <= 1e-5);
    }
    program_free(&p);
    backend_close(&b);
    slab_free(&w);
    graph_free(&g);
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (; (text = strstr(text, what)); text++)
        n++;
    return n;
}

static Value conv(Graph *g, const char *name, Value x, int64_t out, int64_t k, int64_t stride)
{
    Value w = graph_param(g, name, PARAM_WEIGHT, SHAPE(out, value_dim(g, x, 1), k, k), (Init) { INIT_UNIFORM, 0.4 });
    return EMIT(g, conv2d, INS(x, w), ATTRS(A_INT("stride", stride), A_INT("pad", k / 2)));
}

/* A map that two convolutions, a maximum and a concat read; its gradient is a sum of four. */
static Graph *many_readers(void)
{
    Graph *g;
    assert_ok(graph_new(&g, &err));
    Value x = graph_input(g, "x", (Type) { .dtype = F32, .shape = SHAPE(DIM_BATCH, 3, DIM_HEIGHT, DIM_WIDTH) });
    Value t = conv(g, "first", x, 8, 3, 1);
    Value down = conv(g, "down", t, 6, 3, 2), same = conv(g, "same", t, 8, 1, 1);
    Value top = EMIT(g, maxpool2d, INS(t), ATTRS(A_INT("k", 3), A_INT("pad", 1)));
    Value all = EMIT(g, concat, INS(same, t, top), NO_ATTRS);
    Value mean = EMIT(g, reduce_mean, INS(EMIT(g, mul, INS(all, all), NO_ATTRS)), ATTRS(A_TEXT("dims", "0,1,2,3")));
    Value rest = EMIT(g, reduce_mean, INS(EMIT(g, mul, INS(down, down), NO_ATTRS)), ATTRS(A_TEXT("dims", "0,1,2,3")));
    graph_output(g, "loss", EMIT(g, add, INS(mean, rest), NO_ATTRS));
    assert_ok(graph_status(g, &err));
    return g;
}

/* The gradients of all parameters. */
static Slab gradients(const Graph *g, const char *device, const Slab *w)
{
    Backend *b;
    Program *p;
    Slab grads;
    assert_ok(slab_new(g, &grads, &err));
    assert_ok(backend_open(device, 2, NULL, &b, &err));
    ProgramSpec spec = { .graph = g, .bind = { 2, 10, 14, 1, F32 }, .backend = b, .params = w, .grads = &grads };
    assert_ok(program_compile(&spec, &p, &err));
    assert_ok(program_load(p, &err));
    Tensor x = program_input(p, "x");
    for (int64_t i = 0; i < tensor_count(&x); i++)
        ((float *)x.data)[i] = (float)sin((double)i * 0.7);
    assert_ok(program_run(p, &err));
    program_free(&p);
    backend_close(&b);
    return grads;
}

/* Against the graph with additions, run by the reference. The gradient of the convolution that comes last (in the order
 * of the backward pass) takes the sum of the others; so may one before it. */
static void sums_of_gradients_go_into_convolutions(void **state)
{
    Graph *g = many_readers(), *plain, *joined, *fused;
    Arena *a = arena_new();
    Slab w;
    assert_ok(pass_autodiff(g, "loss", &plain, &err));
    assert_ok(pass_fuse_grads(plain, &joined, &err));
    assert_ok(pass_dce(joined, &fused, &err));
    assert_ok(graph_verify(fused, &err));
    int before = count(graph_text(plain, NULL, a), " add "), after = count(graph_text(fused, NULL, a), " add ");
    assert_int_equal(before - after, 2); /* the first term of the sum is no convolution's */
    assert_int_equal(count(graph_text(fused, NULL, a), " conv2d_dx "), 2);
    assert_ok(slab_new(g, &w, &err));
    slab_init(g, &w, 5);
    Slab want = gradients(plain, "ref", &w), got[2] = { gradients(fused, "ref", &w), gradients(fused, "cpu", &w) };
    double top = 0;
    for (int64_t i = 0; i < want.n; i++)
        top = MAX(top, fabs((double)want.data[i]));
    assert_true(top > 0.01);
    for (int k = 0; k < 2; k++) {
        for (int64_t i = 0; i < want.n; i++)
            assert_true(fabs((double)want.data[i] - (double)got[k].data[i]) <= 1e-5 * top);
        slab_free(&got[k]);
    }
    slab_free(&want);
    slab_free(&w);
    graph_free(&g);
    graph_free(&plain);
    graph_free(&joined);
    graph_free(&fused);
    arena_free(&a);
}

/* From the dtype of activations to f32 and back is nothing; from f32 to that of activations and back is a rounding. */
static void casts_that_lose_nothing_go(void **state)
{
    Graph *g, *joined, *fused;
    Arena *a = arena_new();
    assert_ok(graph_new(&g, &err));
    Value x = graph_input(g, "x", (Type) { .dtype = U8, .shape = SHAPE(DIM_BATCH, 3, DIM_HEIGHT, DIM_WIDTH) });
    Value act = EMIT(g, image, INS(x), NO_ATTRS);
    Value wide = graph_input(g, "wide", (Type) { .dtype = F32, .shape = SHAPE(DIM_BATCH, 3, DIM_HEIGHT, DIM_WIDTH) });
    Value forth = EMIT(g, cast, INS(act, wide), NO_ATTRS), back = EMIT(g, cast, INS(forth, act), NO_ATTRS);
    graph_output(g, "lossless", EMIT(g, relu, INS(back), NO_ATTRS));
    Value less = EMIT(g, cast, INS(wide, act), NO_ATTRS);
    graph_output(g, "rounded", EMIT(g, cast, INS(less, wide), NO_ATTRS));
    assert_ok(graph_status(g, &err));
    assert_ok(pass_fuse_grads(g, &joined, &err));
    assert_ok(pass_dce(joined, &fused, &err));
    assert_int_equal(count(graph_text(g, NULL, a), " cast "), 4);
    assert_int_equal(count(graph_text(fused, NULL, a), " cast "), 2);
    const Node *n = value_node(fused, graph_find_output(fused, "lossless"));
    assert_true(value_node(fused, n->in[0])->op == &op_image);
    graph_free(&g);
    graph_free(&joined);
    graph_free(&fused);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batchnorm_knows_its_batch),
        cmocka_unit_test(sums_of_gradients_go_into_convolutions),
        cmocka_unit_test(casts_that_lose_nothing_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
