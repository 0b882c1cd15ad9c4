/* SPDX-License-Identifier: Apache-2.0
 *
 * The convolution of ODConv2d by itself: the specification's golden vectors G4 and G5, and what must hold for any
 * weights. */
#include "module_case.h"

#include "model/modules/odconv_util.h"

static Error err;

/* ---- golden vectors G4 and G5: the convolution alone ------------------------------------------------------------ */

/* Value and all gradients of odconv 4 -> 6, k3, s2, pad 1 on x[3,4,5,6], in double by the references. */
static ModuleRun golden(int kernels, bool train, Arena *a)
{
    ModuleCase c = { .line = "G4/G5", .x = SHAPE(3, 4, 5, 6), .plain_norm = true, .amp = 0.5, .temperature = 1 };
    Binding bind = module_binding(&c, F64);
    ModuleRun r = { .a = a };
    for (int wrt_input = 0; wrt_input < 2; wrt_input++) {
        Graph *g, *mode = NULL, *both;
        assert_ok(graph_new(&g, &err));
        graph_nominal(g, &bind);
        Builder b = module_builder(g);
        Value x = graph_input(g, "x", (Type) { F64, false, SHAPE(DIM_BATCH, 4, DIM_HEIGHT, DIM_WIDTH) });
        Value y = odconv(
            &b, x,
            (OdconvOpt) {
                .bank = { .c_out = 6, .k = 3, .stride = 2, .pad = 1, .dilation = 1, .groups = 1, .experts = kernels },
                .reduction = 0.0625 });
        assert_ok(graph_status(g, &err));
        Value dy = graph_input(g, "dy", *value_type(g, y));
        graph_output(g, "y", y);
        graph_output(g, "loss",
                     EMIT(g, reduce_sum, INS(EMIT(g, mul, INS(y, dy), NO_ATTRS)), ATTRS(A_TEXT("dims", "0,1,2,3"))));
        if (train) assert_ok(pass_train_mode(g, &mode, &err));
        assert_ok((wrt_input ? pass_autodiff_inputs : pass_autodiff)(mode ? mode : g, "loss", &both, &err));
        module_walk_graph(&c, both, &r);
        graph_free(&both);
        graph_free(&mode);
        graph_free(&g);
    }
    return r;
}

static void test_golden_vectors(void **state)
{
    static const ModuleSums G4[] = {
        { "y", -0.039652588, 0.725742895 },
        { "grad:x", 0.854915812, 6.92615182 },
        { "grad:weight", -0.541945653, 87.1899584 },
        { "grad:attention.fc.conv.weight", -0.000915886497, 1.24096208 },
        { "grad:attention.fc.bn.weight", -0.0263287644, 0.199850402 },
        { "grad:attention.fc.bn.bias", -0.0729373994, 0.557443159 },
        { "grad:attention.channel_fc.weight", -0.0819345978, 1.31616715 },
        { "grad:attention.channel_fc.bias", -0.0296933609, 0.382551477 },
        { "grad:attention.filter_fc.weight", -0.0469310095, 0.192288635 },
        { "grad:attention.filter_fc.bias", -0.0164682925, 0.0708981313 },
        { "grad:attention.spatial_fc.weight", -0.106436, 0.487706635 },
        { "grad:attention.spatial_fc.bias", -0.0431273485, 0.155991662 },
        { "grad:attention.kernel_fc.weight", 0, 1.80146603 },
        { "grad:attention.kernel_fc.bias", 0, 0.350529102 },
        { 0 },
    };
    static const ModuleSums G5[] = {
        { "y", -0.383753296, 4.79440299 },
        { "grad:x", 3.46149585, 28.1079336 },
        { "grad:weight", -0.516829074, 82.0700041 },
        { "grad:attention.fc.conv.weight", -0.0192530694, 0.72550401 },
        { "grad:attention.channel_fc.weight", NAN, 0.390865267 },
        { "grad:attention.spatial_fc.bias", -0.25155841, 1.10511768 },
        { 0 },
    };
    Arena *a = arena_new();
    ModuleRun r = golden(4, true, a);
    module_check_vector(&r, (const double[]) { 0.00367137175, 0.00019028289, -0.00540097673, -0.00317307859 }, G4);
    r = golden(1, false, a);
    module_check_vector(&r, (const double[]) { 0.0148651224, -0.0116388932, -0.0398430855, -0.00335063455 }, G5);
    assert_null(module_result(&r, "grad:attention.kernel_fc.weight").data);
    arena_free(&a);
}

/* ---- properties ------------------------------------------------------------------------------------------------ */

typedef struct Net {
    Graph *g;
    Slab w;
    int64_t c, h, v;
} Net;

/* An odconv of random weights at temperature 1. */
static Net net_open(int64_t c, int64_t c_out, int64_t k, int64_t groups, int64_t kernels)
{
    Net n = { .c = c, .h = 7, .v = 5 };
    Binding bind = { 1, n.h, n.v, 1, F32 };
    assert_ok(graph_new(&n.g, &err));
    graph_nominal(n.g, &bind);
    Builder b = module_builder(n.g);
    Value x = graph_input(n.g, "x", (Type) { F32, false, SHAPE(DIM_BATCH, c, DIM_HEIGHT, DIM_WIDTH) });
    Value y = odconv(&b, x,
                     (OdconvOpt) { .bank = { .c_out = c_out,
                                             .k = k,
                                             .stride = 1,
                                             .pad = k / 2,
                                             .dilation = 1,
                                             .groups = groups,
                                             .experts = kernels },
                                   .reduction = 0.5 });
    graph_output(n.g, "y", y);
    assert_ok(graph_status(n.g, &err));
    return n;
}

static void net_fill(Net *n)
{
    assert_ok(slab_new(n->g, &n->w, &err));
    slab_init(n->g, &n->w, 11);
    int t = graph_find_param(n->g, "attention.temperature");
    n->w.data[graph_param_spec(n->g, t)->offset] = 1;
}

static void net_close(Net *n)
{
    graph_free(&n->g);
    slab_free(&n->w);
}

/* Runs samples [first, first + n) of an endless stream; outputs row by row into y and, when not NULL, y2. */
static int64_t net_run(const Net *net, int64_t first, int64_t n, double *y, double *y2)
{
    Backend *b;
    Program *p;
    Graph *fused;
    int64_t count = 0, area = net->h * net->v;
    assert_ok(passes_inference(net->g, &fused, &err));
    assert_ok(backend_open("cpu", 2, NULL, &b, &err));
    ProgramSpec spec = {
        .graph = fused, .bind = { n, net->h, net->v, 1, F32 }, .backend = b, .params = &net->w, .fold = true
    };
    assert_ok(program_compile(&spec, &p, &err));
    assert_ok(program_load(p, &err));
    Tensor x = program_input(p, "x");
    for (int64_t e = 0; e < n * net->c * area; e++)
        dtype_store(x.data, F32, tensor_offset(&x, e), module_fill(1, 3, first * net->c * area + e));
    assert_ok(program_run(p, &err));
    for (int k = 0; k < (y2 ? 2 : 1); k++) {
        Tensor t = program_output(p, k ? "y2" : "y");
        count = tensor_count(&t);
        for (int64_t e = 0; e < count; e++)
            (k ? y2 : y)[e] = tensor_get(&t, e);
    }
    program_free(&p);
    backend_close(&b);
    graph_free(&fused);
    return count;
}

/* k = K = 1: an ordinary convolution between two scalings. */
static void test_pointwise(void **state)
{
    static double y[4096], y2[4096];
    Net n = net_open(6, 10, 1, 1, 1);
    Value in[7] = { { 0 } };
    for (int i = 0; i < graph_n_nodes(n.g); i++) {
        const Node *node = graph_node(n.g, i);
        if (node->kind == NODE_OP && str_eq(node->op->name, "dynconv2d")) memcpy(in, node->in, sizeof in);
    }
    assert_true(in[0].id && in[1].id && !in[2].id && !in[3].id && in[4].id && in[5].id && !in[6].id);
    Value w = graph_param(n.g, "plain", PARAM_WEIGHT, SHAPE(10, 6, 1, 1), (Init) { INIT_CONST, 0 });
    Value z = EMIT(n.g, conv2d, INS(EMIT(n.g, mul, INS(in[0], in[4]), NO_ATTRS), w), NO_ATTRS);
    graph_output(n.g, "y2", EMIT(n.g, mul, INS(z, in[5]), NO_ATTRS));
    assert_ok(graph_status(n.g, &err));
    net_fill(&n);
    memcpy(n.w.data + graph_param_spec(n.g, graph_find_param(n.g, "plain"))->offset,
           n.w.data + graph_param_spec(n.g, graph_find_param(n.g, "weight"))->offset, 60 * sizeof(float));
    int64_t count = net_run(&n, 0, 3, y, y2);
    assert_int_equal(count, 3 * 10 * n.h * n.v);
    double top = 0;
    for (int64_t e = 0; e < count; e++) {
        assert_near(y[e], y2[e], 1e-6);
        top = MAX(top, fabs(y[e]));
    }
    assert_true(top > 0.1); /* not a comparison of zeros */
    net_close(&n);
}

/* In evaluation a sample does not know its neighbours. */
static void test_batch_is_samples(void **state)
{
    static const int64_t T[][5] = { { 4, 6, 3, 1, 4 }, { 4, 6, 3, 2, 1 }, { 6, 6, 3, 6, 4 }, { 4, 8, 1, 1, 4 } };
    static double whole[8192], one[8192];
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        Net n = net_open(T[i][0], T[i][1], T[i][2], T[i][3], T[i][4]);
        net_fill(&n);
        int64_t count = net_run(&n, 0, 5, whole, NULL) / 5;
        for (int64_t s = 0; s < 5; s++) {
            assert_int_equal(net_run(&n, s, 1, one, NULL), count);
            for (int64_t e = 0; e < count; e++)
                assert_near(whole[s * count + e], one[e], 1e-6);
        }
        bool differ = false;
        for (int64_t e = 0; e < count; e++)
            differ |= whole[e] != whole[count + e];
        assert_true(differ);
        net_close(&n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_vectors),
        cmocka_unit_test(test_pointwise),
        cmocka_unit_test(test_batch_is_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
