/* SPDX-License-Identifier: Apache-2.0
 *
 * DoubleAttentionLayer beyond tests/test_modules.c: the golden vector of the modules' specification (section F, G3),
 * its tables of parameters and operations (G.2), the properties that its traps rest on, what it warns of and what it
 * refuses. */
#include "module_case.h"

#include "model/model.h"

static Error err;

/* ---- section F --------------------------------------------------------------------------------------------------- */

static void golden_vector(void **state)
{
    static const ModuleSums T[] = {
        { "y", 54.5777406, NAN },
        { "grad:x", -4.30974407, 26.2283115 },
        { "grad:convA.weight", 1.05378099, 93.964656 },
        { "grad:convA.bias", -51.7939826, NAN },
        { "grad:convB.weight", -0.588101886, 5.68531103 },
        { "grad:convV.weight", 0, 2.07402847 },
        { "grad:convV.bias", 0, 0.412705173 },
        { "grad:conv_reconstruct.weight", 1.8450814, 44.7679657 },
        { "grad:conv_reconstruct.bias", -0.199994287, 51.4692971 },
        { 0 },
    };
    static const double first[] = { 0.0408224703, 0.0406639132, 0.0403847013, 0.0400136178 };
    Arena *a = arena_new();
    ModuleCase c = module_case(a, "DoubleAttentionLayer", "x[2,6,3,4] args=[4, 3, true]");
    ModuleRun r = module_walk(&c, a);
    module_check_vector(&r, first, T);
    assert_null(module_result(&r, "grad:convB.bias").data); /* nothing flows there: exactly zero */
    arena_free(&a);
}

/* With one map the softmax over channels is 1 everywhere. */
static void one_map_is_constant(void **state)
{
    Arena *a = arena_new();
    ModuleCase c = module_case(a, "DoubleAttentionLayer", "x[2,6,4,5] args=[4, 1, true]");
    ModuleRun r = module_walk(&c, a);
    Tensor y = module_result(&r, "y"), dv = module_result(&r, "grad:convV.weight");
    for (int64_t e = 0; e < tensor_count(&y); e++)
        assert_true(tensor_get(&y, e) == tensor_get(&y, e / 20 * 20));
    for (int64_t e = 0; e < tensor_count(&dv); e++)
        assert_true(tensor_get(&dv, e) == 0);
    arena_free(&a);
}

/* ---- section G --------------------------------------------------------------------------------------------------- */

/* The stock description with another attention row. */
static Model *variant(const char *name, const char *args)
{
    static const char standard[] = "[null, null, True, True]";
    const char *text = NULL, *stock;
    Model *m;
    for (int i = 0; (stock = model_stock(i, &text)) && !str_eq(stock, "yolov8-DANet.yaml"); i++) {
    }
    assert_non_null(stock);
    Arena *a = arena_new();
    const char *at = strstr(text, standard);
    assert_non_null(at);
    char *edited = arena_printf(a, "%.*s%s%s", (int)(at - text), text, args, at + strlen(standard));
    assert_ok(model_from_text(name, edited, strlen(edited), NULL, &m, &err));
    arena_free(&a);
    return m;
}

/* What the specification counts at 640: convolutions and products of matrices. */
static double spec_gflops(const Model *m, Arena *a)
{
    Type *types;
    double flops = 0;
    assert_ok(graph_bind(m->g, &(Binding) { 1, 640, 640, 1, F32 }, a, &types, &err));
    for (int i = 0; i < graph_n_nodes(m->g); i++) {
        const Node *n = graph_node(m->g, i);
        Type in[64];
        if (n->kind != NODE_OP) continue;
        for (int k = 0; k < n->n_in; k++)
            in[k] = n->in[k].id ? types[n->in[k].id] : (Type) { .shape.rank = -1 };
        Cost c = n->op->cost(n, in, &types[n->out.id]);
        if (n->op == &op_conv2d || n->op == &op_yolo_decode) flops += 2 * c.profiler; /* the DFL is a convolution */
        if (n->op == &op_pool_outer || n->op == &op_mix_channels) flops += c.flops;
    }
    return flops * 1e-9;
}

static void parameters_and_operations(void **state)
{
    static const struct {
        const char *scale, *args; /* args NULL: the published file */
        int64_t params;
        double flops, profiler; /* NAN: not in the table */
    } T[] = {
        { "n", "[128, 1]", 3158322, 8.8030, 8.91 },
        { "s", "[128, 1]", 11170850, 28.8254, 29.03 },
        { "n", "[128, 1, True]", 3159378, 8.8554, 8.97 },
        { "s", "[128, 1, True]", 11175010, 29.0352, 29.24 },
        { "n", NULL, 5820530, 21.4797, 21.61 },
        { "s", NULL, 22349218, 81.5352, 81.78 },
        { "n", "[null, null, True, True]", 3158280, 8.8030, 8.91 },
        { "s", "[null, null, True, True]", 11170768, 28.8386, 29.03 },
        { "n", "[64, 16, True, True]", 3159328, 8.8751, 8.96 },
        { "s", "[64, 32, True, True]", 11174912, 29.1269, 29.24 },
    };
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        Arena *a = arena_new();
        char name[64];
        Model *m;
        ModelInfo info;
        snprintf(name, sizeof name, "yolov8%s-DANet%s.yaml", T[i].scale, T[i].args ? "" : "-published");
        if (T[i].args)
            m = variant(name, T[i].args);
        else
            assert_ok(model_from_file(name, NULL, &m, &err));
        assert_ok(model_info(m, 640, a, &info, &err));
        if (info.params != T[i].params) fail_msg("%s %s has %lld parameters", name, T[i].args, (long long)info.params);
        assert_near(spec_gflops(m, a), T[i].flops, 0.00005001);
        assert_near(info.profiler, T[i].profiler, 0.00501);
        model_free(&m);
        arena_free(&a);
    }
}

/* A quarter of the channels at every scale, whatever the width. */
static void a_quarter_at_every_scale(void **state)
{
    for (const char *s = "nsmlx"; *s; s++) {
        char name[] = "yolov8n-DANet.yaml";
        Model *m;
        name[6] = *s;
        assert_ok(model_from_file(name, NULL, &m, &err));
        const ParamSpec *p = graph_param_spec(m->g, graph_find_param(m->g, "model.3.convA.weight"));
        const ParamSpec *q = graph_param_spec(m->g, graph_find_param(m->g, "model.3.convB.weight"));
        assert_int_equal(4 * p->shape.dim[0], p->shape.dim[1]);
        assert_int_equal(4 * q->shape.dim[0], p->shape.dim[1]);
        assert_int_equal(m->n_warning, 0);
        assert_null(m->note);
        model_free(&m);
    }
}

/* ---- the cheaper order of products ---------------------------------------------------------------------------------
 */

static int count_nodes(const Graph *g, const OpDef *op, bool small)
{
    int n = 0;
    for (int i = 0; i < graph_n_nodes(g); i++) {
        const Node *node = graph_node(g, i);
        n += node->kind == NODE_OP && node->op == op && (value_dim(g, node->out, 3) == 1) == small;
    }
    return n;
}

/* What runs: convolutions of the descriptors (an image one pixel wide) or of all positions. */
static void cheaper_order(void **state)
{
    static const struct {
        const char *line;
        int small, wide; /* convolutions; convB and convV are always wide */
    } T[] = {
        { "x[1,32,8,8] args=[null, null, true, true]", 2, 2 },
        { "x[1,32,8,8] args=[32, 1]", 1, 2 },
        { "x[1,32,8,8] args=[8, 32, true]", 0, 4 },
        { "x[1,32,8,8] args=[16, 16, true]", 2, 2 },
        { "x[1,8,8,8] args=[20, 12, true]", 2, 2 },
        { "x[1,8,8,8] args=[6, 12, false]", 1, 2 },
    };
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        Arena *a = arena_new();
        ModuleCase c = module_case(a, "DoubleAttentionLayer", T[i].line);
        Graph *out = module_fused(&c, F32, a);
        if (count_nodes(out, &op_conv2d, true) != T[i].small || count_nodes(out, &op_conv2d, false) != T[i].wide)
            fail_msg("%s: %s", T[i].line, graph_text(out, NULL, a));
        if (strstr(T[i].line, "true, true")) assert_int_equal(count_nodes(out, &op_add, false), 0); /* fused */
        graph_free(&out);
        arena_free(&a);
    }
}

/* ---- warnings and errors
 * --------------------------------------------------------------------------------------------- */

#define AROUND(row, more)                                                                                              \
    "nc: 2\nbackbone:\n  - [-1, 1, Conv, [16, 3, 8]]\n  - [-1, 1, DoubleAttentionLayer, " row "]\n" more               \
    "head:\n  - [-1, 1, Detect, [nc]]\n"

static Status build(const char *text, Model **m)
{
    *m = NULL;
    return model_from_text("m.yaml", text, strlen(text), NULL, m, &err);
}

static void warnings(void **state)
{
    static const struct {
        const char *text, *words[2];
    } T[] = {
        { AROUND("[8, 1]", ""), { "m.yaml:4: row 1 (DoubleAttentionLayer): c_n=1" } },
        { AROUND("[16, 1]", ""), { "c_n=1", "without residual" } },
        { AROUND("[8, 4, True]", ""), { "m.yaml:4: row 1 (DoubleAttentionLayer): without residual" } },
        { AROUND("[8, 4]", ""), { NULL } },
        { AROUND("[null, null, True, True]", ""), { NULL } },
    };
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        Model *m;
        assert_ok(build(T[i].text, &m));
        assert_int_equal(m->n_warning, (T[i].words[0] != NULL) + (T[i].words[1] != NULL));
        for (size_t k = 0; k < m->n_warning; k++)
            if (!strstr(m->warning[k], T[i].words[k])) fail_msg("'%s' does not say '%s'", m->warning[k], T[i].words[k]);
        model_free(&m);
    }
}

static void refusals(void **state)
{
    static const struct {
        const char *text, *words;
        Status status;
    } T[] = {
        { AROUND("[8, 4, False, True]", ""),
          "m.yaml:4: row 1 (DoubleAttentionLayer): residual adds the input's 16 channels to a result of 8: set "
          "reconstruct=True or c_m=16",
          DYN_SHAPE },
        { AROUND("[8, 4]", "  - [-1, 1, nn.Conv2d, [16, 8, 1]]\n"),
          "m.yaml:5: row 2 (nn.Conv2d): nn.Conv2d says 16 input channels, its input has 8", DYN_SHAPE },
        { AROUND("[8, 4]", "  - [-1, 1, DoubleAttentionLayer, [16, 4, False, True]]\n"),
          "m.yaml:5: row 2 (DoubleAttentionLayer): residual adds the input's 8 channels to a result of 16", DYN_SHAPE },
        { AROUND("[8, 0]", ""),
          "argument 'c_n' must be a whole number from 1 to 65536, not 0; DoubleAttentionLayer[c_m", DYN_FORMAT },
        { AROUND("[0, 4]", ""), "argument 'c_m' must be", DYN_FORMAT },
        { AROUND("[8, four]", ""), "argument 'c_n' must be a whole number", DYN_FORMAT },
        { AROUND("[8, 4, maybe]", ""), "argument 'reconstruct' must be true or false", DYN_FORMAT },
        { AROUND("[8, 4, True, True, 1]", ""),
          "too many arguments; DoubleAttentionLayer[c_m=null, c_n=null, "
          "reconstruct=false, residual=false]",
          DYN_FORMAT },
        { AROUND("[8, {cn: 4}]", ""), "no argument 'cn', did you mean 'c_n'", DYN_FORMAT },
    };
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        Model *m;
        assert_fails(build(T[i].text, &m), T[i].status, T[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_vector),
        cmocka_unit_test(one_map_is_constant),
        cmocka_unit_test(parameters_and_operations),
        cmocka_unit_test(a_quarter_at_every_scale),
        cmocka_unit_test(cheaper_order),
        cmocka_unit_test(warnings),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
