/* SPDX-License-Identifier: Apache-2.0
 *
 * Walks all operators and their case lines: an operator is tested by being in src/ops. Values against PyTorch are in
 * test_ops_golden.c; here gradients meet central differences, and every dtype and every in-place run meets F64. */
#include "ops_case.h"

#include "passes/passes.h"

#include <math.h>

typedef void CaseTest(const OpCase *c, Arena *a);

static void each_case(CaseTest *test)
{
    const OpDef *op;
    for (int i = 0; (op = ops_at(i)); i++) {
        Arena *a = arena_new();
        OpCase c;
        for (const char *text = op->cases; case_next(op, &text, a, &c);)
            test(&c, a);
        arena_free(&a);
    }
}

static bool is_primary(const OpDef *op)
{
#define X(name)                                                                                                        \
    if (op == &op_##name) return true;
#include <ops.gen.h>
#undef X
    return false;
}

/* ---- every operator says what it is ------------------------------------------------------------------------------ */

static bool reached[1024];

static void mark_reached(const OpCase *c, Arena *a)
{
    OpRun r = case_build(c, F64, a);
    case_differentiate(&r);
    for (int i = 0; i < graph_n_nodes(r.g); i++)
        for (int k = 0; graph_node(r.g, i)->op && k < ops_count(); k++)
            reached[k] |= ops_at(k) == graph_node(r.g, i)->op;
    graph_free(&r.g);
}

static void complete(void **state)
{
    assert_true(ops_count() < (int)COUNT_OF(reached));
    each_case(mark_reached);
    for (int i = 0; i < ops_count(); i++) {
        const OpDef *op = ops_at(i);
        if (!op->doc || !op->in || !op->out || !op->infer || !op->ref || !op->cost)
            fail_msg("%s lacks doc, in, out, infer, ref or cost", op->name);
        if (is_primary(op) && (!op->cases || !*op->cases)) fail_msg("%s has no cases", op->name);
        if (!reached[i]) fail_msg("%s is a companion that no case and no gradient reaches", op->name);
        assert_ptr_equal(ops_find(op->name), op);
    }
    assert_null(ops_find("no_such_operator"));
}

static void check_cost(const OpCase *c, Arena *a)
{
    OpRun r = case_build(c, F32, a);
    case_differentiate(&r);
    case_allocate(&r);
    for (int i = 0; i < graph_n_nodes(r.g); i++) {
        const Node *n = graph_node(r.g, i);
        Type in[64];
        if (n->kind != NODE_OP) continue;
        for (int k = 0; k < n->n_in; k++)
            in[k] = n->in[k].id ? r.types[n->in[k].id] : (Type) { .shape.rank = -1 };
        Cost cost = n->op->cost(n, in, &r.types[n->out.id]);
        if (!(cost.flops >= 0 && cost.flops < 1e9 && cost.profiler >= 0 && cost.profiler < 1e9))
            fail_msg("%s: %s costs %g and %g", c->line, n->op->name, cost.flops, cost.profiler);
        if (n->op->macs && !(2 * n->op->macs(n, in, &r.types[n->out.id]) <= cost.flops))
            fail_msg("%s: %s has more multiply-accumulates than its cost", c->line, n->op->name);
    }
    graph_free(&r.g);
}

static void costs(void **state)
{
    each_case(check_cost);
}

/* ---- gradients against central differences ------------------------------------------------------------------------
 */

static double loss(const OpRun *r)
{
    double sum = 0;
    case_run(r, true);
    for (int k = 0; k < r->n_out; k++)
        for (int64_t i = 0, n = r->dy[k].id ? tensor_count(&r->t[r->out[k].id]) : 0; i < n; i++)
            sum += tensor_get(&r->t[r->out[k].id], i) * tensor_get(&r->t[r->dy[k].id], i);
    return sum;
}

static double loss_at(const OpRun *r, const Tensor *x, int64_t i, double v)
{
    double old = tensor_get(x, i), l;
    tensor_set(x, i, v);
    l = loss(r);
    tensor_set(x, i, old);
    return l;
}

/* Of fourth order: the error is about h^4 / 30 times the fifth derivative. */
static double slope_at(const OpRun *r, const Tensor *x, int64_t i)
{
    const double h = 1e-4, v = tensor_get(x, i);
    return (8 * (loss_at(r, x, i, v + h) - loss_at(r, x, i, v - h)) -
            (loss_at(r, x, i, v + 2 * h) - loss_at(r, x, i, v - 2 * h))) /
           (12 * h);
}

static double largest(const Tensor *t)
{
    double top = 0;
    for (int64_t i = 0; i < tensor_count(t); i++)
        top = MAX(top, fabs(tensor_get(t, i)));
    return top;
}

static void check_input(const OpRun *r, int input)
{
    const Tensor *x = &r->t[r->in[input].id], *dx = r->dx[input].id ? &r->t[r->dx[input].id] : NULL;
    int64_t n = tensor_count(x);
    double top = dx ? MAX(largest(dx), 1e-2) : 1e-2;
    if (dx && !(dx->dtype == F64 && shape_eq(&r->types[r->in[input].id].shape, &r->types[r->dx[input].id].shape)))
        fail_msg("%s: the gradient of %s has another type than its input", r->c->line, r->c->name[input]);
    for (int64_t i = 0; i < n; i++) {
        double got = dx ? tensor_get(dx, i) : 0, want = slope_at(r, x, i);
        if (!(fabs(got - want) <= 1e-6 * (fabs(want) + 0.1 * top)))
            fail_msg("%s: d%s[%lld] is %.12g, differences say %.12g", r->c->line, r->c->name[input], (long long)i, got,
                     want);
    }
}

static void check_gradient(const OpCase *c, Arena *a)
{
    OpRun r = case_build(c, F64, a);
    if (case_differentiate(&r)) {
        case_allocate(&r);
        case_draw(&r);
        case_run(&r, false);
        for (int i = 0; i < c->n_in; i++)
            if (r.in[i].id && !c->constant[i]) check_input(&r, i);
    }
    graph_free(&r.g);
}

static void gradients(void **state)
{
    each_case(check_gradient);
}

/* ---- every dtype against F64 --------------------------------------------------------------------------------------
 */

static double epsilon(DType t)
{
    return t == BF16 ? 0x1p-8 : 0x1p-23;
}

static void compare(const OpCase *c, const char *what, const Tensor *got, const Tensor *want, double rtol, double atol)
{
    for (int64_t i = 0; i < tensor_count(want); i++) {
        double g = tensor_get(got, i), w = tensor_get(want, i);
        if (!(fabs(g - w) <= rtol * fabs(w) + atol))
            fail_msg("%s: %s[%lld] in %s is %.9g, in F64 %.9g", c->line, what, (long long)i, dtype_name(got->dtype), g,
                     w);
    }
}

/* The same numbers, exact in act, through both: a value is the F64 result rounded once to its dtype. A gradient may
 * pass through several nodes, and sums what was rounded before: its error is measured by the largest number on the way.
 */
static void check_dtype(const OpCase *c, DType act, Arena *a)
{
    OpRun r[2] = { case_build(c, act, a), case_build(c, F64, a) };
    bool differentiable = case_differentiate(&r[0]);
    if (differentiable) assert_true(case_differentiate(&r[1]));
    for (int k = 0; k < 2; k++) {
        case_allocate(&r[k]);
        case_draw(&r[k]);
    }
    for (int v = 1; v <= graph_n_values(r[0].g); v++) /* rounded inputs for both */
        for (int64_t i = 0; i < tensor_count(&r[0].t[v]); i++)
            tensor_set(&r[1].t[v], i, tensor_get(&r[0].t[v], i));
    for (int k = 0; k < 2; k++)
        case_run(&r[k], !differentiable);
    for (int k = 0; k < r[0].n_out; k++) {
        const Tensor *y = &r[0].t[r[0].out[k].id];
        compare(c, "y", y, &r[1].t[r[1].out[k].id], epsilon(y->dtype), 1e-30);
    }
    double top = 0;
    for (int v = 1; v <= graph_n_values(r[1].g); v++)
        top = MAX(top, largest(&r[1].t[v]));
    for (int i = 0; differentiable && i < c->n_in; i++)
        if (r[0].dx[i].id)
            compare(c, "dx", &r[0].t[r[0].dx[i].id], &r[1].t[r[1].dx[i].id], 6 * epsilon(act), 2 * epsilon(act) * top);
    graph_free(&r[0].g);
    graph_free(&r[1].g);
}

static void check_f32(const OpCase *c, Arena *a)
{
    check_dtype(c, F32, a);
}

static void check_bf16(const OpCase *c, Arena *a)
{
    check_dtype(c, BF16, a);
}

static void single_precision(void **state)
{
    each_case(check_f32);
}

static void bfloat16(void **state)
{
    each_case(check_bf16);
}

/* ---- in place -----------------------------------------------------------------------------------------------------
 */

static void check_node_in_place(const OpRun *r, const Node *n)
{
    Tensor in[64], out[64], copy;
    const Type *x = &r->types[n->in[0].id], *y = &r->types[n->out.id];
    if (!(n->op->flags & OP_INPLACE) || x->dtype != y->dtype || !shape_eq(&x->shape, &y->shape)) return;
    if (x->rowmajor != y->rowmajor) return;
    RefCall call = node_call(r, n, in, out);
    copy = in[0];
    copy.data = arena_alloc(r->a, type_bytes(x));
    memcpy(copy.data, in[0].data, type_bytes(x));
    in[0] = out[0] = copy;
    n->op->ref(&call);
    if (memcmp(copy.data, r->t[n->out.id].data, type_bytes(y)) != 0)
        fail_msg("%s: %s gives another result in place", r->c->line, n->op->name);
}

static void check_in_place(const OpCase *c, Arena *a)
{
    OpRun r = case_build(c, F32, a);
    bool differentiable = case_differentiate(&r);
    case_allocate(&r);
    case_draw(&r);
    case_run(&r, !differentiable);
    for (int i = 0; i < graph_n_nodes(r.g); i++)
        if (graph_node(r.g, i)->kind == NODE_OP && (differentiable || graph_node(r.g, i)->op == c->op))
            check_node_in_place(&r, graph_node(r.g, i));
    graph_free(&r.g);
}

static void in_place(void **state)
{
    each_case(check_in_place);
}

/* ---- sizes are unbound until a program is compiled ----------------------------------------------------------------
 */

/* Built and differentiated for one image of 640 x 640, where a leading 1 may be a batch or a repeated dimension; run
 * for three images of 4 x 7. loss = mean over everything of (x + b), so each of the five b has the gradient 1/5. */
static void unbound_sizes(void **state)
{
    Error err;
    OpRun r = { .a = arena_new() };
    Graph *g;
    assert_ok(graph_new(&g, &err));
    Value x = graph_input(g, "x", (Type) { .dtype = F32, .shape = SHAPE(DIM_BATCH, 5, DIM_HEIGHT, DIM_WIDTH) });
    Value b = graph_input(g, "b", (Type) { .dtype = F32, .shape = SHAPE(1, 5, DIM_HEIGHT, DIM_WIDTH) });
    Value same = EMIT(g, scale, INS(b), NO_ATTRS);
    Value y = EMIT(g, reshape, INS(EMIT(g, add, INS(x, same), NO_ATTRS)), ATTRS(A_TEXT("shape", "=0,=1,=2*3")));
    Value loss_value = EMIT(g, reduce_mean, INS(y), ATTRS(A_TEXT("dims", "0,1,2"), A_INT("keep", 0)));
    graph_output(g, "loss", loss_value);
    assert_ok(pass_autodiff_inputs(g, "loss", &r.g, &err));
    assert_ok(graph_bind(r.g, &(Binding) { 3, 4, 7, 1, F32 }, r.a, &r.types, &err));
    r.t = ARENA_ARRAY(r.a, Tensor, graph_n_values(r.g) + 1);
    for (int v = 1; v <= graph_n_values(r.g); v++)
        r.t[v] = tensor_view(arena_alloc(r.a, type_bytes(&r.types[v])), &r.types[v]);
    for (int i = 0; i < graph_n_nodes(r.g); i++)
        if (graph_node(r.g, i)->kind == NODE_CONST) tensor_set(&r.t[graph_node(r.g, i)->out.id], 0, 1);
    case_run(&r, false);
    const Tensor *dx = &r.t[graph_find_output(r.g, "grad:x").id], *db = &r.t[graph_find_output(r.g, "grad:b").id];
    assert_int_equal(tensor_count(dx), 3 * 5 * 4 * 7);
    assert_int_equal(tensor_count(db), 5 * 4 * 7);
    for (int i = 0; i < 5 * 4 * 7; i++)
        assert_float_equal(tensor_get(db, i), 3. / 420, 1e-8);
    assert_float_equal(tensor_get(dx, 419), 1. / 420, 1e-8);
    graph_free(&g);
    graph_free(&r.g);
    arena_free(&r.a);
}

/* ---- what infer refuses --------------------------------------------------------------------------------------------
 */

static void refusals(void **state)
{
    static const struct {
        const char *op, *line, *words;
    } bad[] = {
        { "add", "a[2,3] b[2,4]", "do not fit" },
        { "add", "a[2,3] b[3]", "do not fit" },
        { "add", "a[2,3]", "takes the inputs" },
        { "silu", "a[2,3] b[2,3]", "takes the inputs" },
        { "matmul", "a[2,3] b[4,5]", "do not fit" },
        { "matmul", "a[3] b[3]", "do not fit" },
        { "batchnorm", "x[1,3,2,2] gamma[3] beta[3] mean[3] var[4]", "3 channels" },
        { "batchnorm", "x[1,3,2,2] gamma[3] beta[3] mean[3] var[3] act=swish", "swish" },
        { "maxpool2d", "x[1,3,4,4] k=3 pad=2", "pad" },
        { "conv2d", "x[1,4,5,5] w[6,3,3,3]", "wants 3 input channels in 1 groups, input has 4" },
        { "conv2d", "x[1,4,5,5] w[3,2,3,3] groups=2", "groups" },
        { "conv2d", "x[1,4,5,5] w[3,4,3,3] stride=0", "stride" },
        { "conv2d", "x[1,4,2,5] w[3,4,3,3]", "too small" },
        { "dynconv2d", "x[1,4,5,5] bank[2,6,4,3,3]", "needs mix" },
        { "dynconv2d", "x[1,4,5,5] bank[6,4,3,3]", "bank[K,O,C/groups,kh,kw]" },
        { "dynconv2d", "x[1,4,5,5] bank[65,1,4,1,1] mix[1,65,1,1]", "at most 64" },
        { "dynconv2d", "x[2,4,5,5] bank[2,6,4,3,3] mix[1,2,1,1]", "mix is [1,2,1,1], x and the bank want [2,2,1,1]" },
        { "dynconv2d", "x[1,4,5,5] bank[2,6,3,3,3] mix[1,2,1,1]", "wants 3 input channels in 1 groups" },
        { "dynconv2d", "x[1,4,5,5] bank[2,6,4,3,3] mix[1,2,1,1] bias_bank[6,2]", "bias_bank is [6,2]" },
        { "dynconv2d", "x[1,4,5,5] bank[1,6,4,3,3] - - in_scale[1,6,1,1]", "in_scale is [1,6,1,1]" },
        { "dynconv2d", "x[1,4,5,5] bank[1,6,4,3,3] - - - - spatial[1,3,3,1]", "spatial is [1,3,3,1]" },
        { "dynconv2d", "x[1,4,5,5] bank[1,6,4,3,3] - - - - - b[4]", "b is [4]" },
        { "dynconv2d", "x[1,4,5,5] bank[1,6,4,3,3] - - - - - - res[1,6,5,5]", "residual" },
        { "dynconv2d", "x[1,4,5,5] bank[1,6,4,3,3] act=swish", "swish" },
        { "dynconv2d", "x[1,4,5,5] bank[1,6,4,3,3] stride=0 same=1", "stride" },
        { "maxpool2d", "x[1,3,2,2] k=5", "too small" },
        { "upsample_nearest", "x[1,3,2,2] scale=0", "scale" },
        { "upsample_nearest", "x[3,2,2]", "N,C,H,W" },
        { "softmax", "x[2,3] dim=2", "dimension 2" },
        { "reduce_sum", "x[2,3] dims=0,0", "dims" },
        { "reduce_sum", "x[2,3] dims=2", "dims" },
        { "reduce_mean", "x[2,3] dims=0,,1", "dims" },
        { "reshape", "x[2,3] shape==0,=2", "does not read" },
        { "reshape", "x[2,3] shape=-1,-1", "two dimensions open" },
        { "reshape", "x[2,3] shape=4,-1", "does not fit" },
        { "reshape", "x[2,3] shape=9223372036854775807,4", "too large" },
        { "reshape", "x[2,3] shape==0*", "does not read" },
        { "transpose", "x[2,3] perm=0,0", "permutation" },
        { "transpose", "x[2,3] perm=0,1,2", "permutation" },
        { "pixel_shuffle", "x[1,6,2,2]", "multiple" },
        { "dysample", "x[1,6,2,2] off[1,32,2,2]", "no multiple of 4 groups" },
        { "dysample", "x[1,8,2,2] off[1,8,2,2]", "they have 8 channels" },
        { "dysample", "x[1,8,2,2] off[1,32,2,3]", "offsets must be" },
        { "dysample", "x[1,8,2,2] off[1,32,2,2] scale=0", "scale" },
        { "subpixel_linear", "x[1,8,2,2] w[3,3,1,1]", "weight wants 12 channels" },
        { "subpixel_linear", "x[1,8,2,2] w[3,2,1,1] b[2]", "bias must have 3" },
        { "image", "x[1,3,2,2]", "bytes" },
        { "yolo_decode", "b[1,64,2,2] c[1,3,2,3] strides=8", "differ" },
        { "yolo_decode", "b[1,64,2,2] c[1,3,2,2] strides=8,16", "each of" },
        { "yolo_decode", "b[1,60,2,2] c[1,3,2,2] strides=8", "reg_max" },
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        Arena *a = arena_new();
        OpCase c;
        Graph *g;
        Value in[CASE_MAX];
        Error err = { 0 };
        const char *text = bad[i].line;
        assert_true(case_next(ops_find(bad[i].op), &text, a, &c));
        assert_ok(graph_new(&g, &err));
        for (int k = 0; k < c.n_in; k++)
            in[k] = c.shape[k].rank < 0 ? (Value) { 0 }
                                        : graph_input(g, c.name[k], (Type) { .dtype = F32, .shape = c.shape[k] });
        assert_false(value_ok(graph_emit(g, c.op, in, c.n_in, c.attr, c.n_attr)));
        assert_int_equal(graph_status(g, &err), DYN_SHAPE);
        if (!strstr(err.text, bad[i].words)) fail_msg("%s: '%s' does not say '%s'", c.line, err.text, bad[i].words);
        graph_free(&g);
        arena_free(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(complete),         cmocka_unit_test(costs),    cmocka_unit_test(gradients),
        cmocka_unit_test(single_precision), cmocka_unit_test(bfloat16), cmocka_unit_test(in_place),
        cmocka_unit_test(unbound_sizes),    cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
