/* SPDX-License-Identifier: Apache-2.0
 *
 * The assigner and the loss in float64 against PyTorch's autograd on hand-made hard cases (tools/golden_loss.py), the
 * gradient against central differences, and the fast kernels against the plain reference on crowded pictures. */
#include "test.h"

#include "backend/backend.h"
#include "formats/blob.h"
#include "ops/ops.h"
#include "passes/passes.h"

#include <math.h>

enum { LEVELS = 3, SPARE = 2 };

static Error err;

/* One case of the fixture as a graph of F64 leaves, and memory for every value. */
typedef struct Case {
    const BlobFile *file;
    int index;
    Arena *a;
    Graph *g;
    const Blob *weights; /* of classes, where the case has them */
    Value box[LEVELS], cls[LEVELS], targets, used, class_weight, assign, loss, dloss, dy;
    Tensor *tensor; /* by value id */
} Case;

static const Blob *part_or_none(const Case *c, const char *name)
{
    char key[80];
    snprintf(key, sizeof key, "%d.%s", c->index, name);
    return blob_find(c->file, key);
}

static const Blob *part(const Case *c, const char *name)
{
    const Blob *b = part_or_none(c, name);
    if (!b) fail_msg("case %d of the fixture lacks %s", c->index, name);
    return b;
}

static const Blob *level_part(const Case *c, const char *name, int level)
{
    char key[64];
    snprintf(key, sizeof key, "%s%d", name, level);
    return part(c, key);
}

static Value map_input(Case *c, const char *name, int level)
{
    const Blob *b = level_part(c, name, level);
    char input[32];
    snprintf(input, sizeof input, "%s_%d", name, level);
    return graph_input(c->g, input, (Type) { .dtype = F64, .shape = shape_make(b->dim, b->rank) });
}

/* Logical row-major order of a blob to the tensor's own layout. */
static void fill(const Tensor *t, const Blob *b)
{
    for (int64_t i = 0, n = blob_count(b); i < n; i++)
        tensor_set(t, i, dtype_load(b->data, b->dtype, i));
}

static void emit_case(Case *c, double box_gain)
{
    Value in[2 * LEVELS + 5];
    int n_in = 2 * LEVELS + 4;
    int64_t rows = part(c, "targets")->dim[0] + SPARE;
    for (int i = 0; i < LEVELS; i++) {
        in[i] = c->box[i] = map_input(c, "box", i);
        in[LEVELS + i] = c->cls[i] = map_input(c, "cls", i);
    }
    in[2 * LEVELS] = c->targets = graph_input(c->g, "targets", (Type) { .dtype = F64, .shape = SHAPE(rows, 6) });
    in[2 * LEVELS + 1] = c->used = graph_input(c->g, "n_targets", (Type) { .dtype = I32, .shape = SHAPE(1) });
    c->assign = EMIT(c->g, v8_assign, in, 2 * LEVELS + 2, NO_ATTRS);
    for (int i = 0; i < 4; i++)
        in[2 * LEVELS + i] = value_at(c->assign, i);
    if (c->weights)
        in[n_in++] = c->class_weight = graph_input(
            c->g, "class_weight", (Type) { .dtype = F64, .shape = shape_make(c->weights->dim, c->weights->rank) });
    c->loss = EMIT(c->g, v8_loss, in, n_in, ATTRS(A_FLOAT("box", box_gain)));
    c->dy = graph_input(c->g, "dy", (Type) { .dtype = F64, .shape = SHAPE(1) });

    Value dx[2 * LEVELS + 5] = { { 0 } }, out[2] = { c->loss, value_at(c->loss, 1) }, dy[2] = { c->dy };
    bool need[2 * LEVELS + 5];
    memset(need, true, sizeof need);
    Grad q = { .g = c->g, .n = value_node(c->g, c->loss), .in = in, .out = out, .dy = dy, .dx = dx, .need = need };
    op_v8_loss.grad(&q);
    c->dloss = value_node(c->g, dx[0])->in[0]; /* each of them is cast to the dtype of its map */
    assert_ok(graph_status(c->g, &err));
}

static void run_node(Case *c, const Node *n)
{
    Tensor in[64];
    for (int i = 0; i < n->n_in; i++)
        in[i] = c->tensor[n->in[i].id];
    n->op->ref(&(RefCall) { n, in, &c->tensor[n->out.id] });
}

static void run(Case *c, Value v)
{
    run_node(c, value_node(c->g, v));
}

static Case case_open(const BlobFile *file, int index, double box_gain)
{
    Case c = { .file = file, .index = index, .a = arena_new() };
    Type *types;
    assert_ok(graph_new(&c.g, &err));
    c.weights = part_or_none(&c, "class_weight");
    emit_case(&c, box_gain);
    Binding b = { .batch = 1, .height = 32, .width = 32, .targets = 1, .act = F64 };
    assert_ok(graph_bind(c.g, &b, c.a, &types, &err));
    c.tensor = ARENA_ARRAY(c.a, Tensor, graph_n_values(c.g) + 1);
    for (int v = 1; v <= graph_n_values(c.g); v++)
        c.tensor[v] = tensor_view(arena_alloc(c.a, type_bytes(&types[v])), &types[v]);
    for (int i = 0; i < LEVELS; i++) {
        fill(&c.tensor[c.box[i].id], level_part(&c, "box", i));
        fill(&c.tensor[c.cls[i].id], level_part(&c, "cls", i));
    }
    if (c.weights) fill(&c.tensor[c.class_weight.id], c.weights);
    const Blob *t = part(&c, "targets");
    double *rows = c.tensor[c.targets.id].data;
    for (int64_t i = 0; i < blob_count(t); i++)
        rows[i] = dtype_load(t->data, t->dtype, i);
    for (int64_t i = 0; i < SPARE; i++) /* beyond n_targets: must not be looked at */
        memcpy(rows + blob_count(t) + 6 * i, (double[6]) { 0, 1, 0.5, 0.5, 1, 1 }, 6 * sizeof(double));
    *(int32_t *)c.tensor[c.used.id].data = (int32_t)t->dim[0];
    *(double *)c.tensor[c.dy.id].data = 1;
    return c;
}

static void case_close(Case *c)
{
    graph_free(&c->g);
    arena_free(&c->a);
}

static void near(const Case *c, const char *what, int64_t i, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance * (1 + fabs(want))))
        fail_msg("case %d, %s[%lld]: %.12g, wanted %.12g", c->index, what, (long long)i, got, want);
}

static void check_assignment(Case *c)
{
    const Blob *fg = part(c, "fg"), *cls = part(c, "target_class"), *box = part(c, "target_xyxy"),
               *score = part(c, "target_score");
    const Tensor *out = &c->tensor[c->assign.id];
    double sum = 0;
    for (int64_t i = 0; i < blob_count(fg); i++) {
        bool want = dtype_load(fg->data, fg->dtype, i) != 0;
        near(c, "class", i, dtype_load(out[1].data, I32, i), want ? dtype_load(cls->data, cls->dtype, i) : -1, 0);
        for (int k = 0; k < 4; k++)
            near(c, "target_box", 4 * i + k, dtype_load(out[0].data, F64, 4 * i + k),
                 dtype_load(box->data, box->dtype, 4 * i + k), 1e-12);
        near(c, "weight", i, dtype_load(out[2].data, F64, i), dtype_load(score->data, score->dtype, i), 1e-10);
        sum += dtype_load(score->data, score->dtype, i);
    }
    near(c, "score_sum", 0, dtype_load(out[3].data, F64, 0), MAX(sum, 1), 1e-10);
}

static void check_loss(Case *c)
{
    const Blob *items = part(c, "items"), *total = part(c, "total");
    const Tensor *out = &c->tensor[c->loss.id];
    near(c, "loss", 0, dtype_load(out[0].data, F64, 0), dtype_load(total->data, total->dtype, 0), 1e-10);
    for (int k = 0; k < 3; k++)
        near(c, "items", k, dtype_load(out[1].data, F64, k), dtype_load(items->data, items->dtype, k), 1e-10);
    for (int level = 0; level < LEVELS; level++)
        for (int kind = 0; kind < 2; kind++) {
            const char *name = kind ? "dcls" : "dbox";
            const Blob *want = level_part(c, name, level);
            const Tensor *got = &c->tensor[c->dloss.id + kind * LEVELS + level];
            for (int64_t i = 0; i < blob_count(want); i++)
                near(c, name, i, tensor_get(got, i), dtype_load(want->data, want->dtype, i), 1e-9);
        }
}

static void test_goldens(void **state)
{
    Arena *a = arena_new();
    BlobFile file;
    assert_ok(safetensors_read(a, "tests/data/loss.safetensors", &file, &err));
    int count = 0, weighted = 0;
    for (char key[16]; snprintf(key, sizeof key, "%d", count), blob_note(&file, key); count++) {
        Case c = case_open(&file, count, 7.5);
        run(&c, c.assign);
        check_assignment(&c);
        run(&c, c.loss);
        run(&c, c.dloss);
        check_loss(&c);
        weighted += c.weights != NULL;
        case_close(&c);
    }
    assert_true(count >= 9 && weighted > 0);
    arena_free(&a);
}

/* Central differences of the loss with the assignment held, at every 7th logit of every map; dy = 1.7. Without the box
 * term, whose gradient by definition leaves out a part of the derivative (the weight of the aspect term): autograd's
 * values above cover that one. */
static void test_differences(void **state)
{
    Arena *a = arena_new();
    BlobFile file;
    assert_ok(safetensors_read(a, "tests/data/loss.safetensors", &file, &err));
    Case c = case_open(&file, 1, 0);
    *(double *)c.tensor[c.dy.id].data = 1.7;
    run(&c, c.assign);
    run(&c, c.dloss);
    for (int m = 0; m < 2 * LEVELS; m++) {
        Value map = m < LEVELS ? c.box[m] : c.cls[m - LEVELS];
        double *z = c.tensor[map.id].data, *dz = c.tensor[c.dloss.id + m].data, *loss = c.tensor[c.loss.id].data;
        for (int64_t i = 0; i < tensor_count(&c.tensor[map.id]); i += 7) {
            double keep = z[i], step = 1e-5, up, down;
            z[i] = keep + step, run(&c, c.loss), up = *loss;
            z[i] = keep - step, run(&c, c.loss), down = *loss;
            z[i] = keep;
            near(&c, "difference", i, dz[i], 1.7 * (up - down) / (2 * step), 1e-6);
        }
    }
    case_close(&c);
    arena_free(&a);
}

/* Rows that name no image or no class take part in nothing. */
static void test_bad_rows(void **state)
{
    Arena *a = arena_new();
    BlobFile file;
    assert_ok(safetensors_read(a, "tests/data/loss.safetensors", &file, &err));
    Case c = case_open(&file, 0, 7.5);
    double *row = c.tensor[c.targets.id].data;
    memcpy(row, (double[6]) { 7, 0, 0.5, 0.5, 1, 1 }, 6 * sizeof *row);
    memcpy(row + 6, (double[6]) { 0, 3, 0.5, 0.5, 1, 1 }, 6 * sizeof *row);
    *(int32_t *)c.tensor[c.used.id].data = 99; /* more than there is room for */
    run(&c, c.assign);
    check_assignment(&c);
    memcpy(row + 6, (double[6]) { 0, NAN, NAN, 0.5, 1, 1 }, 6 * sizeof *row);
    run(&c, c.assign);
    check_assignment(&c);
    case_close(&c);
    arena_free(&a);
}

/* What a hand-made graph can get wrong is told in words. */
static void test_refused(void **state)
{
    static const struct {
        const char *strides;
        int64_t reg_max, nc;
        const char *words;
    } bad[] = { { "8,,16", 16, 3, "whole numbers" },
                { "8,16", 1, 3, "reg_max" },
                { "8,16", 8, 3, "box and 3 class channels" },
                { "8,16", 16, 4, "class channels" },
                { "8", 16, 3, "differ in batch" } };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        Graph *g;
        assert_ok(graph_new(&g, &err));
        Value in[6];
        for (int k = 0; k < 4; k++) {
            int64_t side = k % 2 ? 2 : 4, width = k < 2 ? 64 : k == 2 ? 3 : bad[i].nc;
            in[k] = graph_input(g, "map", (Type) { .shape = SHAPE(1, width, side, side) });
        }
        in[4] = graph_input(g, "targets", (Type) { .shape = SHAPE(3, 6) });
        in[5] = graph_input(g, "n_targets", (Type) { .dtype = I32, .shape = SHAPE(1) });
        EMIT(g, v8_assign, in, 6, ATTRS(A_TEXT("strides", bad[i].strides), A_INT("reg_max", bad[i].reg_max)));
        assert_fails(graph_status(g, &err), DYN_SHAPE, bad[i].words);
        graph_free(&g);
    }
}

/* ---- fast kernels on crowded pictures ---------------------------------------------------------------------------- */

enum { CROWD_N = 3, CROWD_NC = 19, CROWD_H = 96, CROWD_W = 160, CROWD_T = 64 };

/* weight: of the classes, NULL: none. */
static Graph *crowd_graph(const float *weight)
{
    Graph *g, *out;
    Value in[2 * LEVELS + 5];
    assert_ok(graph_new(&g, &err));
    for (int i = 0; i < 2 * LEVELS; i++) {
        int64_t stride = 8 << i % LEVELS;
        char name[16];
        snprintf(name, sizeof name, "map%d", i);
        in[i] = graph_input(
            g, name,
            (Type) { .dtype = F32,
                     .shape = SHAPE(CROWD_N, i < LEVELS ? 64 : CROWD_NC, CROWD_H / stride, CROWD_W / stride) });
    }
    in[2 * LEVELS] = graph_input(g, "targets", (Type) { .dtype = F32, .shape = SHAPE(CROWD_T, 6) });
    in[2 * LEVELS + 1] = graph_input(g, "n_targets", (Type) { .dtype = I32, .shape = SHAPE(1) });
    Value assigned = EMIT(g, v8_assign, in, 2 * LEVELS + 2, NO_ATTRS);
    for (int i = 0; i < 4; i++)
        in[2 * LEVELS + i] = value_at(assigned, i);
    if (weight) in[2 * LEVELS + 4] = graph_const(g, (Type) { .dtype = F32, .shape = SHAPE(CROWD_NC) }, weight);
    Value loss = EMIT(g, v8_loss, in, 2 * LEVELS + (weight ? 5 : 4), NO_ATTRS);
    static const char *const name[] = { "target_box", "cls", "weight", "score_sum" };
    for (int i = 0; i < 4; i++)
        graph_output(g, name[i], value_at(assigned, i));
    graph_output(g, "loss", loss);
    graph_output(g, "items", value_at(loss, 1));
    assert_ok(pass_autodiff_inputs(g, "loss", &out, &err));
    graph_free(&g);
    return out;
}

/* Logits whose boxes are of the targets' size here and there; targets that nest, repeat, leave the picture. */
static void crowd_fill(const Program *p, uint64_t seed)
{
    Rng r = rng_at(seed, 0, 0, 0);
    for (int i = 0; i < 2 * LEVELS; i++) {
        char name[16];
        snprintf(name, sizeof name, "map%d", i);
        Tensor t = program_input(p, name);
        float *z = t.data;
        for (int64_t k = 0; k < tensor_count(&t); k++)
            z[k] = (float)(1.5 * rng_normal(&r)) - (i < LEVELS ? 0.5f * (float)(k % 16) : 1);
    }
    float *row = program_input(p, "targets").data;
    for (int k = 0; k < CROWD_T; k++, row += 6) {
        row[0] = (float)rng_int(&r, CROWD_N), row[1] = (float)rng_int(&r, CROWD_NC);
        for (int d = 2; d < 4; d++)
            row[d] = (float)rng_uniform(&r, -0.05, 1.05), row[d + 2] = (float)rng_uniform(&r, 0.02, k % 7 ? 0.4 : 1.5);
        if (k % 9 == 8) memcpy(row + 2, row - 4, 4 * sizeof *row);
        if (k % 16 == 15) row[k % 32 == 15] = (float)(k % 32 == 15 ? CROWD_NC : CROWD_N);
    }
    *(int32_t *)program_input(p, "n_targets").data = CROWD_T - 3;
}

static Program *crowd_program(const Graph *g, Backend *b, const Slab *none, uint64_t seed)
{
    Program *p;
    ProgramSpec spec = {
        .graph = g, .bind = { CROWD_N, CROWD_H, CROWD_W, CROWD_T, F32 }, .backend = b, .params = none
    };
    assert_ok(program_compile(&spec, &p, &err));
    assert_ok(program_load(p, &err));
    crowd_fill(p, seed);
    assert_ok(program_run(p, &err));
    return p;
}

static void kernels_agree(const float *weight)
{
    static const struct {
        const char *output;
        double tolerance;
    } what[] = { { "cls", 0 },          { "target_box", 1e-6 }, { "weight", 2e-5 },    { "score_sum", 1e-5 },
                 { "loss", 1e-5 },      { "items", 1e-5 },      { "grad:map0", 1e-5 }, { "grad:map1", 1e-5 },
                 { "grad:map2", 1e-5 }, { "grad:map3", 1e-5 },  { "grad:map4", 1e-5 }, { "grad:map5", 1e-5 } };
    Graph *g = crowd_graph(weight);
    Slab none = { 0 };
    Backend *fast, *plain;
    Case where = { .index = -1 };
    int foreground = 0;
    assert_ok(backend_open("cpu", 3, NULL, &fast, &err));
    assert_ok(backend_open("ref", 1, NULL, &plain, &err));
    for (uint64_t seed = 1; seed <= 5; seed++) {
        Program *p = crowd_program(g, fast, &none, seed), *q = crowd_program(g, plain, &none, seed);
        where.index = (int)seed;
        for (int i = 0; i < program_n_steps(p); i++)
            if (str_eq(program_step(p, i).impl, "ref")) fail_msg("%s ran plainly", program_step(p, i).node->op->name);
        for (size_t k = 0; k < COUNT_OF(what); k++) {
            Tensor got = program_output(p, what[k].output), want = program_output(q, what[k].output);
            for (int64_t i = 0; i < tensor_count(&want); i++) {
                double v = dtype_load(want.data, want.dtype, i);
                near(&where, what[k].output, i, dtype_load(got.data, got.dtype, i), v, what[k].tolerance);
                foreground += k == 0 && v >= 0;
            }
        }
        program_free(&p);
        program_free(&q);
    }
    if (foreground < 500) fail_msg("only %d anchors had a target", foreground);
    backend_close(&fast);
    backend_close(&plain);
    graph_free(&g);
}

static void test_kernels_agree(void **state)
{
    kernels_agree(NULL);
}

/* Weights of classes for every lane of a vector and its tail. */
static void test_weighted_kernels_agree(void **state)
{
    float weight[CROWD_NC];
    for (int k = 0; k < CROWD_NC; k++)
        weight[k] = 0.1f + 0.37f * (float)(k * 7 % CROWD_NC);
    kernels_agree(weight);
}

/* Weights of 1 change no bit of the loss and its gradient. */
static void test_weights_of_one(void **state)
{
    static const char *const what[] = { "loss", "items", "grad:map0", "grad:map3", "grad:map4", "grad:map5" };
    static const char *const devices[] = { "cpu", "ref" };
    float one[CROWD_NC];
    Slab none = { 0 };
    for (int k = 0; k < CROWD_NC; k++)
        one[k] = 1;
    Graph *with = crowd_graph(one), *without = crowd_graph(NULL);
    for (size_t d = 0; d < COUNT_OF(devices); d++) {
        Backend *b;
        assert_ok(backend_open(devices[d], 2, NULL, &b, &err));
        Program *p = crowd_program(with, b, &none, 3), *q = crowd_program(without, b, &none, 3);
        for (size_t k = 0; k < COUNT_OF(what); k++) {
            Tensor x = program_output(p, what[k]), y = program_output(q, what[k]);
            assert_memory_equal(x.data, y.data, (size_t)tensor_count(&x) * dtype_bytes(x.dtype));
        }
        program_free(&p);
        program_free(&q);
        backend_close(&b);
    }
    graph_free(&with);
    graph_free(&without);
}

/* What is not one weight for each class is told in words. */
static void test_refused_weights(void **state)
{
    static const struct {
        int64_t classes;
        int more;
        const char *words;
    } bad[] = { { 4, 0, "one number for each of 3 classes" }, { 3, 2, "perhaps class_weight" } };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        Graph *g;
        Value in[9];
        assert_ok(graph_new(&g, &err));
        in[0] = graph_input(g, "box", (Type) { .shape = SHAPE(1, 64, 2, 2) });
        in[1] = graph_input(g, "cls", (Type) { .shape = SHAPE(1, 3, 2, 2) });
        in[2] = graph_input(g, "target_box", (Type) { .shape = SHAPE(1, 4, 4) });
        in[3] = graph_input(g, "class", (Type) { .dtype = I32, .shape = SHAPE(1, 4) });
        in[4] = graph_input(g, "weight", (Type) { .shape = SHAPE(1, 4) });
        in[5] = graph_input(g, "score_sum", (Type) { .shape = SHAPE(1) });
        for (int k = 6; k <= 6 + bad[i].more; k++)
            in[k] = graph_input(g, "class_weight", (Type) { .shape = SHAPE(bad[i].classes) });
        EMIT(g, v8_loss, in, 7 + bad[i].more, ATTRS(A_TEXT("strides", "8")));
        assert_fails(graph_status(g, &err), DYN_SHAPE, bad[i].words);
        graph_free(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_goldens),
                                        cmocka_unit_test(test_differences),
                                        cmocka_unit_test(test_bad_rows),
                                        cmocka_unit_test(test_refused),
                                        cmocka_unit_test(test_refused_weights),
                                        cmocka_unit_test(test_kernels_agree),
                                        cmocka_unit_test(test_weighted_kernels_agree),
                                        cmocka_unit_test(test_weights_of_one) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
