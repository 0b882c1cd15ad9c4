/* SPDX-License-Identifier: Apache-2.0
 *
 * Passes and programs on small graphs: what they must keep is checked against the same graph without them, and
 * gradients against central differences. */
#include "test.h"

#include "backend/backend.h"
#include "backend/plan.h"
#include "ops/ops.h"
#include "passes/passes.h"

#include <math.h>

static Error err;

static Value bn_silu(Graph *g, Value x)
{
    Shape c = SHAPE(value_dim(g, x, 1));
    Value gamma = graph_param(g, "bn.weight", PARAM_NORM, c, (Init) { INIT_UNIFORM, 1 });
    Value beta = graph_param(g, "bn.bias", PARAM_BIAS, c, (Init) { INIT_UNIFORM, 1 });
    Value mean = graph_param(g, "bn.running_mean", PARAM_STATE, c, (Init) { INIT_UNIFORM, 0.3 });
    Value var = graph_param(g, "bn.running_var", PARAM_STATE, c, (Init) { INIT_CONST, 1.7 });
    return EMIT(g, silu, INS(EMIT(g, batchnorm, INS(x, gamma, beta, mean, var), NO_ATTRS)), NO_ATTRS);
}

static Value conv_bn_silu(Graph *g, const char *name, Value x, int64_t out, int64_t k)
{
    const char *old = graph_push(g, "%s", name);
    int64_t in = value_dim(g, x, 1);
    Value w = graph_param(g, "conv.weight", PARAM_WEIGHT, SHAPE(out, in, k, k), (Init) { INIT_UNIFORM, 0.5 });
    Value y = bn_silu(g, EMIT(g, conv2d, INS(x, w), ATTRS(A_INT("pad", k / 2))));
    graph_pop(g, old);
    return y;
}

/* Kinds of dynamic convolution: how the share of each kernel comes about, and what is scaled. */
enum { SOFTMAX_BIAS, SIGMOID, SIGMOID_BIAS, SCALED, N_DYNAMIC };

static Value head(Graph *g, const char *name, Value x, int64_t out)
{
    Value w = graph_param(g, name, PARAM_WEIGHT, SHAPE(out, value_dim(g, x, 1), 1, 1), (Init) { INIT_UNIFORM, 1 });
    return EMIT(g, conv2d, INS(x, w), NO_ATTRS);
}

static Value dynamic_bn_silu(Graph *g, const char *name, Value x, int64_t out, int kind)
{
    enum { K = 3 };
    const char *old = graph_push(g, "%s", name);
    int64_t c = value_dim(g, x, 1);
    Value in[7] = { x }, p = EMIT(g, gap, INS(x), ATTRS(A_TEXT("out", "f32")));
    Value z = head(g, "mix", p, K);
    in[1] = graph_param(g, "weight", PARAM_WEIGHT, SHAPE(K, out, c, 3, 3), (Init) { INIT_UNIFORM, 0.5 });
    in[2] = kind == SIGMOID || kind == SIGMOID_BIAS ? EMIT(g, sigmoid, INS(z), NO_ATTRS)
                                                    : EMIT(g, softmax, INS(z), ATTRS(A_INT("dim", 1)));
    if (kind == SOFTMAX_BIAS || kind == SIGMOID_BIAS)
        in[3] = graph_param(g, "bias", PARAM_BIAS, SHAPE(K, out), (Init) { INIT_UNIFORM, 1 });
    if (kind == SCALED) {
        in[4] = EMIT(g, sigmoid, INS(head(g, "channel", p, c)), NO_ATTRS);
        in[5] = EMIT(g, sigmoid, INS(head(g, "filter", p, out)), NO_ATTRS);
        in[6] = EMIT(g, sigmoid, INS(head(g, "spatial", p, 9)), NO_ATTRS);
    }
    Value y = bn_silu(g, EMIT(g, dynconv2d, in, 7, ATTRS(A_INT("pad", 1))));
    graph_pop(g, old);
    return y;
}

/* Each kind after the other, the last in a bottleneck's residual branch. */
static Graph *dynamic_like(void)
{
    Graph *g;
    assert_ok(graph_new(&g, &err));
    Value y = graph_input(g, "x", (Type) { .dtype = F32, .shape = SHAPE(DIM_BATCH, 3, DIM_HEIGHT, DIM_WIDTH) });
    for (int kind = 0; kind < N_DYNAMIC; kind++) {
        char name[16];
        snprintf(name, sizeof name, "d%d", kind);
        Value z = dynamic_bn_silu(g, name, y, 5, kind);
        y = kind == N_DYNAMIC - 1 ? EMIT(g, add, INS(y, z), NO_ATTRS) : z;
    }
    graph_output(g, "y", y);
    assert_ok(graph_status(g, &err));
    return g;
}

/* A C2f with one bottleneck, a pooled branch and an outer concat: splits, nested concats and a residual. */
static Graph *c2f_like(void)
{
    Graph *g;
    assert_ok(graph_new(&g, &err));
    Value x = graph_input(g, "x", (Type) { .dtype = F32, .shape = SHAPE(DIM_BATCH, 3, DIM_HEIGHT, DIM_WIDTH) });
    Value t = conv_bn_silu(g, "cv1", x, 8, 1);
    Value halves = EMIT(g, split, INS(t), ATTRS(A_INT("n_out", 2)));
    Value y1 = value_at(halves, 1);
    Value m = EMIT(g, add, INS(y1, conv_bn_silu(g, "m.cv2", conv_bn_silu(g, "m.cv1", y1, 4, 3), 4, 3)), NO_ATTRS);
    Value cat = EMIT(g, concat, INS(halves, y1, m), NO_ATTRS);
    Value y = conv_bn_silu(g, "cv2", cat, 6, 1);
    Value pool = EMIT(g, maxpool2d, INS(y), ATTRS(A_INT("k", 3), A_INT("pad", 1)));
    graph_output(g, "y", EMIT(g, concat, INS(y, pool, x), NO_ATTRS));
    assert_ok(graph_status(g, &err));
    return g;
}

/* Runs g on a backend and returns output "y" as doubles in row-major order. */
static double *run(const Graph *g, const char *device, bool fold, const Slab *w, int64_t h, int64_t *count)
{
    Backend *b;
    Program *p;
    assert_ok(backend_open(device, 1, NULL, &b, &err));
    ProgramSpec spec = { .graph = g, .bind = { 2, h, 7, 1, F32 }, .backend = b, .params = w, .fold = fold };
    assert_ok(program_compile(&spec, &p, &err));
    assert_ok(program_load(p, &err));
    Tensor x = program_input(p, "x");
    for (int64_t i = 0; i < tensor_count(&x); i++)
        ((float *)x.data)[i] = (float)sin((double)i * 0.7);
    assert_ok(program_run(p, &err));
    assert_ok(program_run(p, &err)); /* twice: nothing may be left over */
    Tensor y = program_output(p, "y");
    *count = tensor_count(&y);
    double *out = malloc((size_t)*count * sizeof *out);
    for (int64_t i = 0; i < *count; i++) {
        int64_t at = 0, k = i;
        for (int d = 3; d >= 0; d--)
            at += k % y.dim[d] * y.stride[d], k /= y.dim[d];
        out[i] = dtype_load(y.data, y.dtype, at);
    }
    program_free(&p);
    backend_close(&b);
    return out;
}

/* Inference passes leave no batchnorm, activation or residual of g on its own, and the same result. */
static void check_fused(Graph *g)
{
    Graph *fused;
    Slab w;
    int64_t n, m;
    Arena *a = arena_new();
    assert_ok(slab_new(g, &w, &err));
    slab_init(g, &w, 1);
    assert_ok(passes_inference(g, &fused, &err));
    assert_ok(graph_verify(fused, &err));
    char *text = graph_text(fused, NULL, a);
    assert_null(strstr(text, "batchnorm"));
    assert_null(strstr(text, ": silu"));
    assert_null(strstr(text, ": add"));
    for (int64_t h = 5; h < 10; h += 4) {
        double *plain = run(g, "ref", false, &w, h, &n), *quick = run(fused, "ref", true, &w, h, &m);
        assert_int_equal(n, m);
        for (int64_t i = 0; i < n; i++)
            assert_true(fabs(plain[i] - quick[i]) < 1e-5);
        free(plain);
        free(quick);
    }
    arena_free(&a);
    slab_free(&w);
    graph_free(&fused);
    graph_free(&g);
}

static void fused_graph_computes_the_same(void **state)
{
    check_fused(c2f_like());
}

/* The shift of a folded batchnorm stands beside the mixed biases: kernels of sigmoid routing do not sum to 1. */
static void fused_dynamic_convolutions_compute_the_same(void **state)
{
    check_fused(dynamic_like());
}

/* A map that is the same for every picture looks like a residual while the batch is one. It must stay an addition. */
static void what_is_repeated_over_the_batch_is_no_residual(void **state)
{
    Graph *g, *fused;
    Arena *a = arena_new();
    Slab w;
    int64_t n, m;
    assert_ok(graph_new(&g, &err));
    Value x = graph_input(g, "x", (Type) { .dtype = F32, .shape = SHAPE(DIM_BATCH, 3, DIM_HEIGHT, DIM_WIDTH) });
    Value k = graph_param(g, "conv.weight", PARAM_WEIGHT, SHAPE(4, 3, 3, 3), (Init) { INIT_UNIFORM, 0.5 });
    Value y = EMIT(g, conv2d, INS(x, k), ATTRS(A_INT("pad", 1)));
    Value mean = EMIT(g, reduce_mean, INS(y), ATTRS(A_INT("dims", 0), A_INT("keep", 1)));
    Value z = EMIT(g, conv2d, INS(x, k), ATTRS(A_INT("pad", 1)));
    graph_output(g, "y", EMIT(g, add, INS(z, mean), NO_ATTRS));
    assert_ok(graph_status(g, &err));
    assert_ok(passes_inference(g, &fused, &err));
    assert_non_null(strstr(graph_text(fused, NULL, a), " add "));
    assert_ok(slab_new(g, &w, &err));
    slab_init(g, &w, 2);
    double *want = run(g, "ref", false, &w, 5, &n), *got = run(fused, "cpu", true, &w, 5, &m);
    assert_int_equal(n, m);
    for (int64_t i = 0; i < n; i++)
        assert_true(fabs(want[i] - got[i]) < 1e-5);
    free(want);
    free(got);
    slab_free(&w);
    graph_free(&g);
    graph_free(&fused);
    arena_free(&a);
}

/* In training the residual goes into the batchnorm before it, and moves the running statistics as before: against the
 * graph with the addition, run by the reference. */
static void a_training_residual_goes_into_its_batchnorm(void **state)
{
    Graph *g = c2f_like(), *train, *fused;
    Arena *a = arena_new();
    Slab w, v;
    int64_t n, m;
    assert_ok(pass_train_mode(g, &train, &err));
    assert_ok(pass_fuse(train, &fused, &err));
    graph_free(&g);
    assert_ok(pass_dce(fused, &g, &err));
    assert_ok(graph_verify(g, &err));
    assert_non_null(strstr(graph_text(train, NULL, a), " add "));
    assert_null(strstr(graph_text(g, NULL, a), " add "));
    assert_ok(slab_new(g, &w, &err));
    assert_ok(slab_new(g, &v, &err));
    slab_init(g, &w, 3);
    slab_init(g, &v, 3);
    double *want = run(train, "ref", false, &w, 9, &n), *got = run(g, "cpu", false, &v, 9, &m);
    assert_int_equal(n, m);
    for (int64_t i = 0; i < n; i++)
        assert_true(fabs(want[i] - got[i]) < 1e-4);
    for (int64_t i = 0; i < w.n; i++)
        assert_true(fabsf(w.data[i] - v.data[i]) < 1e-5f);
    free(want);
    free(got);
    slab_free(&w);
    slab_free(&v);
    graph_free(&g);
    graph_free(&train);
    graph_free(&fused);
    arena_free(&a);
}

/* 1e-20 squared: 0 inside a program, 1e-40 (IEEE 754) in what the host computes afterwards, on its own thread and on
 * the workers. */
static void subnormals_are_zero_inside_only(void **state)
{
    Graph *g;
    Backend *b;
    Program *p;
    Slab none = { 0 };
    assert_ok(graph_new(&g, &err));
    Value x = graph_input(g, "x", (Type) { .dtype = F32, .shape = SHAPE(DIM_BATCH, 3, DIM_HEIGHT, DIM_WIDTH) });
    graph_output(g, "y", EMIT(g, mul, INS(x, x), NO_ATTRS));
    assert_ok(backend_open("cpu", 2, NULL, &b, &err));
    ProgramSpec spec = { .graph = g, .bind = { 2, 64, 64, 1, F32 }, .backend = b, .params = &none };
    assert_ok(program_compile(&spec, &p, &err));
    assert_ok(program_load(p, &err));
    Tensor in = program_input(p, "x");
    for (int64_t i = 0; i < tensor_count(&in); i++)
        ((float *)in.data)[i] = 1e-20f;
    assert_ok(program_run(p, &err));
    Tensor y = program_output(p, "y");
    for (int64_t i = 0; i < tensor_count(&y); i++)
        assert_true(((float *)y.data)[i] == 0);
    int kept = 0;
#pragma omp parallel num_threads(2) reduction(+ : kept)
    {
        volatile float small = 1e-20f, square = small * small;
        kept += square > 0;
    }
    assert_int_equal(kept, 2);
    program_free(&p);
    backend_close(&b);
    graph_free(&g);
}

static void channel_ranges_cost_no_copies(void **state)
{
    Graph *g = c2f_like(), *fused;
    Slab w;
    Backend *b;
    Program *p;
    assert_ok(slab_new(g, &w, &err));
    assert_ok(passes_inference(g, &fused, &err));
    assert_ok(backend_open("ref", 1, NULL, &b, &err));
    ProgramSpec spec = { .graph = fused, .bind = { 1, 8, 8, 1, F32 }, .backend = b, .params = &w, .fold = true };
    assert_ok(program_compile(&spec, &p, &err));
    int copies = 0;
    for (int i = 0; i < program_n_steps(p); i++)
        copies += program_step(p, i).node == NULL;
    assert_int_equal(copies, 1); /* the graph's input, which lies in the caller's memory */
    ProgramStats s = program_stats(p);
    assert_true(s.slab_bytes < s.unshared_bytes);
    program_free(&p);
    backend_close(&b);
    slab_free(&w);
    graph_free(&fused);
    graph_free(&g);
}

/* loss = sum over everything of y * fixed weights, through a conv of F64 leaves, batch statistics, a split and a
 * concat. */
static Graph *differentiable(void)
{
    Graph *g;
    assert_ok(graph_new(&g, &err));
    graph_nominal(g, &(Binding) { 1, 5, 4, 1, F64 });
    Value x = graph_input(g, "x", (Type) { .dtype = F64, .shape = SHAPE(DIM_BATCH, 3, DIM_HEIGHT, DIM_WIDTH) });
    Value w = graph_input(g, "w", (Type) { .dtype = F64, .rowmajor = true, .shape = SHAPE(4, 3, 3, 3) });
    Value w2 = graph_input(g, "w2", (Type) { .dtype = F64, .rowmajor = true, .shape = SHAPE(1, 6, 5, 4) });
    Value y = EMIT(g, silu, INS(EMIT(g, conv2d, INS(x, w), ATTRS(A_INT("pad", 1)))), NO_ATTRS);
    Value s = EMIT(g, split, INS(y), ATTRS(A_INT("n_out", 2)));
    Value cat = EMIT(g, concat, INS(y, EMIT(g, add, INS(s, value_at(s, 1)), NO_ATTRS)), NO_ATTRS);
    Value z = EMIT(g, conv2d, INS(cat, w2), NO_ATTRS); /* one element */
    graph_output(g, "loss", z);
    assert_ok(graph_status(g, &err));
    return g;
}

static double *data_of(Program *p, const char *name, int64_t *n)
{
    Tensor t = program_input(p, name);
    *n = tensor_count(&t);
    return t.data;
}

static void gradients_equal_differences(void **state)
{
    static const char *const leaf[] = { "x", "w", "w2" };
    Graph *g = differentiable(), *both;
    Slab none = { 0 };
    Backend *b;
    Program *p;
    assert_ok(pass_autodiff_inputs(g, "loss", &both, &err));
    assert_ok(backend_open("ref", 1, NULL, &b, &err));
    ProgramSpec spec = { .graph = both, .bind = { 1, 5, 4, 1, F64 }, .backend = b, .params = &none };
    assert_ok(program_compile(&spec, &p, &err));
    assert_ok(program_load(p, &err));
    for (size_t k = 0; k < COUNT_OF(leaf); k++) {
        int64_t n;
        double *d = data_of(p, leaf[k], &n);
        for (int64_t i = 0; i < n; i++)
            d[i] = sin((double)i * 1.3 + (double)k);
    }
    for (size_t k = 0; k < COUNT_OF(leaf); k++) {
        int64_t n;
        double *d = data_of(p, leaf[k], &n), *grad = malloc((size_t)n * sizeof *grad);
        assert_ok(program_run(p, &err));
        memcpy(grad,
               program_output(p, k == 0   ? "grad:x"
                                 : k == 1 ? "grad:w"
                                          : "grad:w2")
                   .data,
               (size_t)n * sizeof *grad);
        for (int64_t i = 0; i < n; i++) {
            double old = d[i], e = 1e-5, l[2];
            for (int side = 0; side < 2; side++) {
                d[i] = old + (side ? e : -e);
                assert_ok(program_run(p, &err));
                l[side] = *(double *)program_output(p, "loss").data;
            }
            d[i] = old;
            double difference = (l[1] - l[0]) / (2 * e);
            if (fabs(difference - grad[i]) > 1e-6 * MAX(1, fabs(difference)))
                fail_msg("%s[%d]: gradient %g, difference %g", leaf[k], (int)i, grad[i], difference);
        }
        free(grad);
    }
    program_free(&p);
    backend_close(&b);
    graph_free(&both);
    graph_free(&g);
}

/* ---- a share ------------------------------------------------------------------------------------------------- */

typedef struct Size {
    int64_t n, h, w;
} Size;

static Program *compile_size(const Graph *g, Backend *b, const Slab *w, Share *share, Size z, DType act)
{
    Program *p;
    ProgramSpec spec = {
        .graph = g, .bind = { z.n, z.h, z.w, 1, act }, .backend = b, .params = w, .fold = true, .share = share
    };
    assert_ok(program_compile(&spec, &p, &err));
    return p;
}

/* Runs p on a picture that its size tells and copies output "y". */
static void *result_of(Program *p, size_t *bytes)
{
    Tensor x = program_input(p, "x");
    for (int64_t i = 0; i < tensor_count(&x); i++)
        ((float *)x.data)[i] = (float)sin((double)i * 0.7);
    assert_ok(program_run(p, &err));
    Tensor y = program_output(p, "y");
    *bytes = (size_t)tensor_count(&y) * dtype_bytes(y.dtype);
    return memcpy(malloc(*bytes), y.data, *bytes);
}

static void assert_same_as_alone(Program *p, const Graph *g, Backend *b, const Slab *w, Size z, DType act)
{
    size_t n, m;
    Program *alone = compile_size(g, b, w, NULL, z, act);
    assert_ok(program_load(alone, &err));
    void *want = result_of(alone, &n), *got = result_of(p, &m);
    assert_int_equal(n, m);
    assert_memory_equal(got, want, n);
    free(want);
    free(got);
    program_free(&alone);
}

/* Programs of several sizes that hold constants, packed weights and the slab together give the bits of programs that
 * share nothing, in any order of runs, after the parameters changed, and whichever of them, or the share, goes first.
 */
static void shared_programs_equal_separate_ones(void **state)
{
    static const Size size[] = { { 1, 6, 7 }, { 2, 33, 20 }, { 1, 12, 9 }, { 3, 8, 40 } };
    enum { N = COUNT_OF(size) };
    Graph *g = c2f_like(), *fused;
    Slab w;
    Backend *b;
    assert_ok(passes_inference(g, &fused, &err));
    assert_ok(slab_new(g, &w, &err));
    assert_ok(backend_open("cpu", 2, NULL, &b, &err));
    for (int round = 0; round < 4; round++) {
        DType act = round % 2 ? BF16 : F32;
        Share *share;
        Program *p[N];
        slab_init(g, &w, 7 + (uint64_t)round);
        assert_ok(share_new(&share, &err));
        for (int i = 0; i < N; i++) {
            p[i] = compile_size(fused, b, &w, share, size[i], act);
            assert_ok(program_load(p[i], &err));
        }
        for (int i = N - 1; i >= 0; i--)
            assert_same_as_alone(p[i], fused, b, &w, size[i], act);
        slab_init(g, &w, 70 + (uint64_t)round);
        share_renew(share);
        for (int i = 0; i < N; i++)
            assert_ok(program_load(p[i], &err));
        if (round < 2) share_free(&share); /* first, or last */
        for (int i = 0; i < N; i++) {
            int k = round == 1 ? N - 1 - i : i;
            assert_same_as_alone(p[k], fused, b, &w, size[k], act);
            program_free(&p[k]);
        }
        share_free(&share);
    }
    backend_close(&b);
    slab_free(&w);
    graph_free(&g);
    graph_free(&fused);
}

/* A second program of a share makes none of the constants and packed weights again until they are renewed. */
static void a_second_size_packs_nothing(void **state)
{
    Graph *g = c2f_like(), *fused;
    Slab w, gone;
    Backend *b;
    Share *share;
    size_t n, m;
    assert_ok(passes_inference(g, &fused, &err));
    assert_ok(slab_new(g, &w, &err));
    assert_ok(slab_new(g, &gone, &err)); /* zeros */
    slab_init(g, &w, 3);
    assert_ok(backend_open("cpu", 1, NULL, &b, &err));
    assert_ok(share_new(&share, &err));
    Program *first = compile_size(fused, b, &w, share, (Size) { 1, 8, 8 }, F32);
    assert_ok(program_load(first, &err));
    Program *second = compile_size(fused, b, &gone, share, (Size) { 1, 8, 8 }, F32);
    assert_ok(program_load(second, &err));
    void *x = result_of(first, &n), *y = result_of(second, &m);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n); /* it never looked at the zeros */
    free(y);
    share_renew(share);
    assert_ok(program_load(second, &err));
    y = result_of(second, &m);
    assert_memory_not_equal(x, y, n); /* now it did */
    free(x);
    free(y);
    program_free(&first);
    program_free(&second);
    share_free(&share);
    backend_close(&b);
    slab_free(&w);
    slab_free(&gone);
    graph_free(&g);
    graph_free(&fused);
}

static void a_share_is_for_one_graph(void **state)
{
    Graph *g = c2f_like(), *other = c2f_like();
    Slab w;
    Backend *b;
    Share *share;
    Program *q;
    assert_ok(slab_new(g, &w, &err));
    assert_ok(backend_open("ref", 1, NULL, &b, &err));
    assert_ok(share_new(&share, &err));
    Program *p = compile_size(g, b, &w, share, (Size) { 1, 8, 8 }, F32);
    ProgramSpec spec = { .graph = other, .bind = { 1, 8, 8, 1, F32 }, .backend = b, .params = &w, .share = share };
    assert_fails(program_compile(&spec, &q, &err), DYN_USAGE, "different graphs");
    program_free(&p);
    share_free(&share);
    backend_close(&b);
    slab_free(&w);
    graph_free(&g);
    graph_free(&other);
}

static void plans_never_overlap(void **state)
{
    Rng r = rng_at(7, 0, 0, 0);
    Arena *a = arena_new();
    for (int round = 0; round < 50; round++) {
        PlanBuffer b[60];
        PlanResult result;
        for (size_t i = 0; i < COUNT_OF(b); i++) {
            int first = (int)rng_int(&r, 40);
            b[i] = (PlanBuffer) { .bytes = (size_t)rng_int(&r, 5000),
                                  .first = first,
                                  .last = first + (int)rng_int(&r, 12) };
        }
        assert_ok(plan_buffers(b, (int)COUNT_OF(b), 60, a, &result, &err));
        for (size_t i = 0; i < COUNT_OF(b); i++) {
            assert_int_equal(b[i].offset % 64, 0);
            assert_true(b[i].offset + b[i].bytes <= result.bytes);
            for (size_t j = 0; j < i; j++) {
                bool together = b[i].first <= b[j].last && b[j].first <= b[i].last;
                bool overlap = b[i].offset < b[j].offset + b[j].bytes && b[j].offset < b[i].offset + b[i].bytes;
                assert_false(together && overlap);
            }
        }
        assert_true(result.peak_live <= result.bytes && result.bytes <= result.peak_live * 5 / 4 + 4096);
    }
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fused_graph_computes_the_same),
        cmocka_unit_test(fused_dynamic_convolutions_compute_the_same),
        cmocka_unit_test(what_is_repeated_over_the_batch_is_no_residual),
        cmocka_unit_test(a_training_residual_goes_into_its_batchnorm),
        cmocka_unit_test(subnormals_are_zero_inside_only),
        cmocka_unit_test(channel_ranges_cost_no_copies),
        cmocka_unit_test(gradients_equal_differences),
        cmocka_unit_test(plans_never_overlap),
        cmocka_unit_test(shared_programs_equal_separate_ones),
        cmocka_unit_test(a_second_size_packs_nothing),
        cmocka_unit_test(a_share_is_for_one_graph),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
