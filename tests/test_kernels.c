/* SPDX-License-Identifier: Apache-2.0
 *
 * Every kernel of the CPU backend against the operator's plain reference: all nodes that a case line and its gradient
 * give rise to, in f32 and bf16, at every vector level of this machine, with one thread and with three, on dense images
 * and on channel ranges of wider ones where the kernel says that it takes them. Memory around every result is watched.
 * Kernels are found through the backend: a new one needs a line here only when its shapes want it. */
#include "kernel_shapes.h"
#include "ops_case.h"

#include "backend/cpu/cpu.h"

#include <math.h>

static Error err;

enum { MAX_LEVELS = 8 }; /* vector levels */

static const char *first_word(const char *line, char *word, size_t n)
{
    snprintf(word, n, "%.*s", (int)strcspn(line, " "), line);
    return line + strcspn(line, " ") + 1;
}

/* Types as a model has them: parameters of these operators are f32, convolution weights row-major. */
static OpCase as_in_a_model(const OpCase *c)
{
    static const char *const names[] = { "w", "b", "gamma", "beta", "mean", "var", "bank", "bias_bank" };
    OpCase m = *c;
    bool params =
        strstr(c->op->name, "conv2d") || str_starts(c->op->name, "batchnorm") || str_starts(c->op->name, "fold_conv");
    for (int i = 0; i < c->n_in; i++)
        for (size_t k = 0; params && k < COUNT_OF(names); k++)
            if (str_eq(names[k], c->name[i])) m.wide[i] = m.param[i] = true;
    return m;
}

/* ---- watched memory ----------------------------------------------------------------------------------------- */

enum { GUARD = 256, WIDER = 5, FIRST = 3 };

/* A copy of t with guards; an image lies in one that has WIDER more channels, from channel FIRST on, when asked. Bytes
 * that do not belong to it are 0xA5. */
typedef struct Watched {
    Tensor t;
    unsigned char *block;
    size_t bytes;
} Watched;

static Watched watched(const Tensor *from, bool ranged)
{
    Watched w = { .t = *from };
    int64_t count = tensor_count(from);
    bool image = from->rank == 4 && from->stride[1] == 1 && ranged;
    if (from->rank < 0 || !from->data) return w;
    if (image) {
        w.t.stride[3] = from->dim[1] + WIDER;
        w.t.stride[2] = w.t.stride[3] * from->dim[3];
        w.t.stride[0] = w.t.stride[2] * from->dim[2];
        count = from->dim[0] * w.t.stride[0];
    }
    size_t size = dtype_bytes(from->dtype);
    w.bytes = (size_t)count * size + 2 * GUARD;
    w.block = aligned_alloc(64, (w.bytes + 63) & ~(size_t)63);
    memset(w.block, 0xA5, w.bytes);
    w.t.data = w.block + GUARD + (image ? FIRST * size : 0);
    for (int64_t i = 0; i < tensor_count(from); i++)
        memcpy((char *)w.t.data + (size_t)tensor_offset(&w.t, i) * size,
               (char *)from->data + (size_t)tensor_offset(from, i) * size, size);
    return w;
}

/* Fills the elements of t with 0xA5: then every byte of the block must be 0xA5. */
static bool intact_around(const Watched *w)
{
    size_t size = dtype_bytes(w->t.dtype);
    for (int64_t i = 0; i < tensor_count(&w->t); i++)
        memset((char *)w->t.data + (size_t)tensor_offset(&w->t, i) * size, 0xA5, size);
    for (size_t i = 0; i < w->bytes; i++)
        if (w->block[i] != 0xA5) return false;
    return true;
}

/* ---- one node ----------------------------------------------------------------------------------------------- */

typedef struct Trial {
    Backend *b;
    const OpRun *r;
    const Node *n;
    const char *level;
    bool ranged, constant;
    Tensor want[CASE_MAX * 4], in[CASE_MAX * 4]; /* the reference's results; inputs before it ran */
} Trial;

static bool multiplies(const char *op)
{
    return str_starts(op, "conv2d") || str_starts(op, "dynconv2d") || str_starts(op, "matmul");
}

static void compare(const Trial *t, const Tensor *got, const Tensor *want, const char *what, int k)
{
    double top = 0;
    bool half = want->dtype == BF16 || t->r->act == BF16;
    for (int64_t i = 0; i < tensor_count(want); i++)
        top = MAX(top, fabs(tensor_get(want, i)));
    for (int64_t i = 0; i < tensor_count(want); i++) {
        double a = tensor_get(got, i), b = tensor_get(want, i);
        /* One step of bf16 where the result is stored so; products of bf16 operands have rounded weights, too. */
        double slack = 1e-5 * top + 1e-6 + (want->dtype == BF16 ? ldexp(fabs(b), -7) : 1e-5 * fabs(b));
        if (half && multiplies(t->n->op->name)) slack += 0.01 * top;
        /* Sums of gradients that were multiplied by slopes of bf16's accuracy. */
        if (half && str_eq(t->n->op->name, "batchnorm_grad")) slack += 4e-4 * top;
        if (!(fabs(a - b) <= slack) && !(isnan(a) && isnan(b)))
            fail_msg("%s: %s at %s, %s, %s, threads %d: %s %d [%lld] is %.9g, wanted %.9g (largest %g)", t->r->c->line,
                     t->n->op->name, t->level, dtype_name(t->r->act), t->ranged ? "channel range" : "dense",
                     t->b->threads, what, k, (long long)i, a, b, top);
    }
}

/* [2][C] of an image in double, two walks: what a kernel hands over for its result, or gets for its input. */
static double *moments_of(const Tensor *t)
{
    int64_t C = t->dim[1], each = t->dim[0] * t->dim[2] * t->dim[3];
    double *m = calloc(2 * (size_t)C, sizeof *m);
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < tensor_count(t); i++) {
            int64_t c = i / (t->dim[2] * t->dim[3]) % C;
            double v = tensor_get(t, i), d = v - m[c];
            if (pass == 0)
                m[c] += v / (double)each;
            else
                m[C + c] += d * d;
        }
    return m;
}

/* The moments are those of the result as it is stored, to f32's accuracy of sums over a block. */
static void compare_moments(const Trial *t, const Tensor *y, const double *got)
{
    int64_t C = y->dim[1], each = tensor_count(y) / C;
    double *want = moments_of(y);
    for (int64_t c = 0; c < C; c++) {
        double sd = sqrt(want[C + c] / (double)each);
        if (!(fabs(got[c] - want[c]) <= 1e-5 * (sd + 1e-3 * fabs(want[c]))) ||
            !(fabs(got[C + c] - want[C + c]) <= 2e-5 * want[C + c] + 1e-12 * want[c] * want[c]))
            fail_msg("%s: %s at %s, %s, threads %d: moments of channel %lld are %.9g, %.9g, wanted %.9g, %.9g",
                     t->r->c->line, t->n->op->name, t->level, t->ranged ? "channel range" : "dense", t->b->threads,
                     (long long)c, got[c], got[C + c], want[c], want[C + c]);
    }
    free(want);
}

/* Runs the kernel that the backend chooses; false when none does. A kernel that packs nothing is the same whether its
 * inputs are constant. */
static bool try_node(const Trial *t)
{
    const Node *n = t->n;
    Type in[CASE_MAX * 4], out[CASE_MAX * 4];
    bool constant[CASE_MAX * 4];
    Watched win[CASE_MAX * 4] = { 0 }, wout[CASE_MAX * 4] = { 0 };
    Tensor tin[CASE_MAX * 4], tout[CASE_MAX * 4];
    char why[512] = "";
    Kernel k = { 0 };
    for (int i = 0; i < n->n_in; i++) {
        in[i] = n->in[i].id ? t->r->types[n->in[i].id] : (Type) { .shape.rank = -1 };
        constant[i] = t->constant;
    }
    for (int i = 0; i < n->n_out; i++)
        out[i] = t->r->types[n->out.id + i];
    KernelPlan plan = {
        .node = n, .in = in, .out = out, .in_const = constant, .threads = t->b->threads, .backend = t->b
    };
    plan.moments_wanted = true;
    if (!t->b->def->claim(t->b, &plan, &k, why, sizeof why)) {
        if (getenv("DYN_WHY")) printf("%s: %s (%s): %s\n", t->r->c->line, n->op->name, dtype_name(t->r->act), why);
        return false;
    }
    if (t->constant && !k.pack) {
        if (k.free) k.free(&k);
        return true;
    }
    for (int i = 0; i < n->n_in; i++) {
        win[i] = watched(&t->in[i], t->ranged && (k.strided_in >> i & 1));
        tin[i] = win[i].t;
    }
    for (int i = 0; i < n->n_out; i++) {
        wout[i] = watched(&t->want[i], t->ranged && (k.strided_out >> i & 1));
        tout[i] = wout[i].t;
        assert_true(intact_around(&wout[i])); /* and no result is there yet */
    }
    void *scratch = mem_alloc(k.scratch_bytes), *packed = mem_alloc(k.packed_bytes);
    KernelArgs args = { .in = tin, .out = tout, .scratch = scratch, .packed = packed };
    /* Handed over in one of the two ways only, so that a batchnorm is tried with and without. */
    bool image = tin[0].rank == 4;
    double *given = t->ranged && image ? moments_of(&tin[0]) : NULL;
    double *moments = k.gives_moments ? calloc(2 * (size_t)tout[0].dim[1] + 1, sizeof *moments) : NULL;
    args.moments_in = given, args.moments_out = moments;
    assert_true(!k.pack == !k.packed_bytes);
    if (k.pack) assert_ok(k.pack(&k, &args, &err));
    assert_ok(k.run(&k, &args, &err));
    for (int i = 0; i < n->n_out; i++)
        compare(t, &tout[i], &t->want[i], "output", i);
    if (moments) compare_moments(t, &tout[0], moments);
    if (moments && moments[2 * tout[0].dim[1]] != 0) fail_msg("%s: more moments than channels", t->r->c->line);
    for (int i = 0; i < n->n_in; i++)
        if (n->op->updates >> i & 1) compare(t, &tin[i], &t->r->t[n->in[i].id], "state", i);
    for (int i = 0; i < n->n_out; i++)
        if (!intact_around(&wout[i]))
            fail_msg("%s: %s at %s writes outside output %d", t->r->c->line, n->op->name, t->level, i);
    free(given), free(moments);
    for (int i = 0; i < n->n_in; i++)
        free(win[i].block);
    for (int i = 0; i < n->n_out; i++)
        free(wout[i].block);
    mem_free(scratch);
    mem_free(packed);
    if (k.free) k.free(&k);
    return true;
}

static Tensor copy_of(const Tensor *t, Arena *a)
{
    Tensor c = *t;
    if (t->rank < 0) return c;
    size_t bytes = (size_t)tensor_count(t) * dtype_bytes(t->dtype);
    c.data = arena_alloc(a, bytes);
    memcpy(c.data, t->data, bytes);
    return c;
}

/* One device for each level that the processor has and each number of threads. */
typedef struct Device {
    Backend *b;
    const char *level;
} Device;
static Device device[2 * MAX_LEVELS];
static int n_device;

static int open_devices(void **state)
{
    static const int threads[] = { 1, 3 };
    for (int i = 0; i < 2 * MAX_LEVELS && isa_at(i / 2); i++) {
        device[i].level = isa_at(i / 2)->name;
        setenv("DYN_CPU", device[i].level, 1);
        if (backend_open("cpu", threads[i % 2], NULL, &device[i].b, &err) != DYN_OK) return -1;
        n_device++;
    }
    unsetenv("DYN_CPU");
    return 0;
}

static int close_devices(void **state)
{
    while (n_device)
        backend_close(&device[--n_device].b);
    return 0;
}

/* All nodes of a built case by the reference, each then by the kernel in every way that is to be tried. */
static void try_case(const OpCase *c, DType act, bool must, Arena *a)
{
    OpCase model = as_in_a_model(c);
    OpRun r = case_build(&model, act, a);
    case_differentiate(&r);
    case_allocate(&r);
    case_draw(&r);
    for (int i = 0; i < graph_n_nodes(r.g); i++) {
        Trial t = { .r = &r, .n = graph_node(r.g, i) };
        Tensor in[CASE_MAX * 4];
        if (t.n->kind != NODE_OP || t.n->n_in >= CASE_MAX * 4) continue;
        for (int k = 0; k < t.n->n_in; k++)
            t.in[k] = t.n->in[k].id ? copy_of(&r.t[t.n->in[k].id], a) : (Tensor) { .rank = -1 };
        RefCall call = node_call(&r, t.n, in, t.want);
        t.n->op->ref(&call);
        for (int way = 0; way < 4 * n_device; way++) {
            t.ranged = way & 1, t.constant = way & 2, t.b = device[way / 4].b, t.level = device[way / 4].level;
            if (try_node(&t)) continue;
            /* sum_to of equal types is a view: the planner runs nothing */
            if (must && !str_eq(t.n->op->name, "sum_to"))
                fail_msg("%s: no kernel takes %s at %s in %s", c->line, t.n->op->name, t.level, dtype_name(act));
            break;
        }
    }
    graph_free(&r.g);
}

static void try_lines(const OpDef *op, const char *text, bool must)
{
    for (int half = 0; half < 2; half++) {
        Arena *a = arena_new();
        OpCase c;
        for (const char *s = text; case_next(op, &s, a, &c);)
            try_case(&c, half ? BF16 : F32, must, a);
        arena_free(&a);
    }
}

static void operators_own_cases(void **state)
{
    const OpDef *op;
    for (int i = 0; (op = ops_at(i)); i++)
        try_lines(op, op->cases, false);
}

static void more_shapes(void **state)
{
    for (size_t i = 0; i < COUNT_OF(more); i++) {
        char name[64];
        bool must = more[i][0] == '!';
        const char *text = first_word(more[i] + must, name, sizeof name);
        const OpDef *op = ops_find(name);
        if (!op) fail_msg("no operator '%s'", name);
        try_lines(op, text, must);
    }
}

static void ref_level_claims_nothing(void **state)
{
    Backend *b;
    Arena *a = arena_new();
    OpCase c;
    const char *text = op_silu.cases;
    char why[64];
    Kernel k = { 0 };
    setenv("DYN_CPU", "ref", 1);
    assert_ok(backend_open("cpu", 1, NULL, &b, &err));
    assert_true(case_next(&op_silu, &text, a, &c));
    OpRun r = case_build(&c, F32, a);
    case_allocate(&r);
    const Node *n = value_node(r.g, r.out[0]);
    bool constant[1] = { false };
    KernelPlan plan = { .node = n, .in = &r.types[n->in[0].id], .out = &r.types[n->out.id], .in_const = constant };
    plan.threads = 1, plan.backend = b;
    assert_false(b->def->claim(b, &plan, &k, why, sizeof why));
    backend_close(&b);
    setenv("DYN_CPU", "mmx", 1);
    assert_fails(backend_open("cpu", 1, NULL, &b, &err), DYN_USAGE, "amx");
    unsetenv("DYN_CPU");
    graph_free(&r.g);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(operators_own_cases), cmocka_unit_test(more_shapes),
                                        cmocka_unit_test(ref_level_claims_nothing) };
    return cmocka_run_group_tests(tests, open_devices, close_devices);
}
