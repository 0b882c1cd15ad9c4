/* SPDX-License-Identifier: Apache-2.0
 *
 * module_case - one YAML module by itself, for tests: a line such as
 *   x[2,4,9,6] train=1 args=[6, 3, {s: 2}]
 * becomes a graph with the module's nodes, its parameters are filled by a rule, and it runs in double through OpDef.ref
 * (module_walk), or as a program on a backend (module_run). Scaling of widths is off and `repeat=` is the row's
 * repeats.
 *
 * The fill rule is that of the modules' specification (section F): element e of tensor j is amp sin(1 + 0.7 j + 0.37
 * e). x is tensor 0 with amp 1; weights, norms and biases count from 1 in the order of the state dict, with amp= (0.5).
 * Then by kind:
 *   norms           weight 1 + fill, bias fill; with bn=plain 1 and 0, which still count
 *   running states  mean: fill with j = 100, 101, ...; var: 1 + such a fill; with bn=plain 0 and 1
 *   schedules       temperature=, where it is given
 * Everything else that is not trained keeps its initial value. A random input has fraction(0.37 n + 0.11) for sample n.
 * The loss is sum(y cos(0.11 e)). tools/golden_modules.py has the same rule. */
#ifndef MODULE_CASE_H
#define MODULE_CASE_H

#include "test.h"

#include "backend/backend.h"
#include "model/args.h"
#include "ops/ops.h"
#include "passes/passes.h"

#include <math.h>

typedef void ModuleEdit(const Graph *g, Slab *w);

typedef struct ModuleCase {
    const char *module, *line;
    Shape x;
    bool train, plain_norm;
    double amp, temperature; /* temperature 0: the initial one */
    double loose;            /* times the usual tolerance, for gradients that nearly cancel (1) */
    int64_t repeat;
    const char *args;  /* YAML */
    ModuleEdit *edit;  /* changes parameters after the fill, before a program runs; NULL */
    const char *nudge; /* module_walk: element nudge_at of this parameter, or of "x", is more by nudge_by; NULL */
    int64_t nudge_at;
    double nudge_by;
    int64_t x_from; /* x is filled as from this element on: sample n of a batch by itself */
} ModuleCase;

static inline ModuleCase module_case(Arena *a, const char *module, const char *line)
{
    ModuleCase c = {
        .module = module, .line = line, .amp = 0.5, .loose = 1, .repeat = 1, .args = strstr(line, "args=")
    };
    if (!c.args) fail_msg("%s: %s: has no args=", module, line);
    char *save, *head = arena_strndup(a, line, (size_t)(c.args - line));
    c.args += strlen("args=");
    for (char *w = strtok_r(head, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        long long i;
        if (str_starts(w, "x["))
            for (char *p = w + 2; *p && *p != ']'; p += *p == ',')
                c.x.dim[c.x.rank++] = strtoll(p, &p, 10);
        else if (sscanf(w, "train=%lld", &i) == 1)
            c.train = i != 0;
        else if (sscanf(w, "repeat=%lld", &i) == 1)
            c.repeat = i;
        else if (str_eq(w, "bn=plain"))
            c.plain_norm = true;
        else if (sscanf(w, "temperature=%lf", &c.temperature) == 1)
            continue;
        else if (sscanf(w, "loose=%lf", &c.loose) == 1)
            continue;
        else if (sscanf(w, "amp=%lf", &c.amp) != 1)
            fail_msg("%s: %s: what is '%s'?", module, line, w);
    }
    assert_int_equal(c.x.rank, 4);
    return c;
}

static inline Binding module_binding(const ModuleCase *c, DType act)
{
    return (Binding) { .batch = c->x.dim[0], .height = c->x.dim[2], .width = c->x.dim[3], .targets = 1, .act = act };
}

/* A builder for g as a model's row has it. */
static inline Builder module_builder(Graph *g)
{
    return (Builder) { .g = g,
                       .act = { ACT_OP, "silu", 0 },
                       .bn_eps = 1e-3,
                       .bn_momentum = 0.03,
                       .nc = 80,
                       .reg_max = 16,
                       .nominal = 640 };
}

/* The graph of a case: input x, output y; loss: also input dy, output loss, which makes it one of fixed size. NULL with
 * e filled when arguments or shapes are refused. */
static inline Graph *module_build(const ModuleCase *c, DType act, bool loss, Arena *a, Error *e)
{
    ArgContext context = { .a = a, .def = modules_find(c->module), .nc = 80, .repeat = c->repeat };
    Binding bind = module_binding(c, act);
    const ModuleArgs *args;
    const Yaml *yaml;
    Graph *g;
    if (!context.def) fail_msg("no module '%s'", c->module);
    assert_int_equal(yaml_parse(a, "args", c->args, strlen(c->args), &yaml, e), DYN_OK);
    if (args_bind(&context, yaml, &args, e) != DYN_OK) return NULL;
    assert_int_equal(graph_new(&g, e), DYN_OK);
    graph_nominal(g, &bind);
    Builder b = module_builder(g);
    DType wide = act == F64 ? F64 : F32;
    Value x = graph_input(g, "x", (Type) { wide, false, SHAPE(DIM_BATCH, c->x.dim[1], DIM_HEIGHT, DIM_WIDTH) });
    if (act != wide) /* differentiable inputs are f32 */
        x = EMIT(g, cast, INS(x, graph_input(g, "like", (Type) { act, false, SHAPE(1) })), NO_ATTRS);
    Value y = context.def->build(&b, &x, 1, args);
    graph_output(g, "y", y);
    if (loss && value_ok(y)) {
        Type t = *value_type(g, y);
        t.dtype = wide;
        Value dy = graph_input(g, "dy", t);
        Value each = EMIT(g, mul, INS(EMIT(g, cast, INS(y, dy), NO_ATTRS), dy), NO_ATTRS);
        graph_output(g, "loss", EMIT(g, reduce_sum, INS(each), ATTRS(A_TEXT("dims", "0,1,2,3"))));
    }
    if (graph_status(g, e) != DYN_OK) graph_free(&g);
    return g;
}

static inline Graph *module_try(const ModuleCase *c, DType act, Arena *a, Error *e)
{
    return module_build(c, act, true, a, e);
}

static inline Graph *module_graph(const ModuleCase *c, DType act, Arena *a)
{
    Error err;
    Graph *g = module_build(c, act, true, a, &err);
    if (!g) fail_msg("%s: %s: %s", c->module, c->line, err.text);
    return g;
}

/* What prediction runs: BatchNorm folded, fused; only y. */
static inline Graph *module_fused(const ModuleCase *c, DType act, Arena *a)
{
    Error err;
    Graph *g = module_build(c, act, false, a, &err), *fused;
    if (!g) fail_msg("%s: %s: %s", c->module, c->line, err.text);
    assert_ok(passes_inference(g, &fused, &err));
    graph_free(&g);
    return fused;
}

/* ---- the fill rule ----------------------------------------------------------------------------------------------- */

static inline double module_fill(double amp, int64_t j, int64_t e)
{
    return amp * sin(1 + 0.7 * (double)j + 0.37 * (double)e);
}

/* Element e of parameter i; keeps is set when it stays at its initial value. */
static inline double module_param(const ModuleCase *c, const Graph *g, int i, int64_t e, bool *keeps)
{
    int64_t j = 1, state = 100;
    const ParamSpec *p = graph_param_spec(g, i);
    for (int k = 0; k < i; k++) {
        ParamKind kind = graph_param_spec(g, k)->kind;
        j += kind == PARAM_WEIGHT || kind == PARAM_NORM || kind == PARAM_BIAS;
        state += kind == PARAM_STATE;
    }
    bool norm_bias = p->kind == PARAM_BIAS && i && graph_param_spec(g, i - 1)->kind == PARAM_NORM;
    *keeps = false;
    if (p->kind == PARAM_SCHEDULE && c->temperature > 0) return c->temperature;
    if (p->kind == PARAM_STATE && c->plain_norm) return str_ends(p->name, "running_var");
    if (p->kind == PARAM_STATE) return str_ends(p->name, "running_var") + module_fill(c->amp, state, e);
    if (c->plain_norm && (p->kind == PARAM_NORM || norm_bias)) return p->kind == PARAM_NORM;
    if (p->kind == PARAM_NORM) return 1 + module_fill(c->amp, j, e);
    *keeps = p->kind != PARAM_WEIGHT && p->kind != PARAM_BIAS;
    return module_fill(c->amp, j, e);
}

static inline void module_fill_slab(const ModuleCase *c, const Graph *g, Slab *w)
{
    slab_init(g, w, 0);
    for (int i = 0; i < graph_n_params(g); i++) {
        const ParamSpec *p = graph_param_spec(g, i);
        bool keeps = p->kind == PARAM_COUNT;
        for (int64_t e = 0; !keeps && e < shape_count(&p->shape); e++) {
            double v = module_param(c, g, i, e, &keeps);
            if (!keeps) w->data[p->offset + e] = (float)v;
        }
    }
}

static inline void module_fill_input(const ModuleCase *c, const char *name, const Tensor *t)
{
    for (int64_t e = 0; e < tensor_count(t); e++)
        dtype_store(t->data, t->dtype, tensor_offset(t, e),
                    str_eq(name, "x")                ? module_fill(1, 0, c->x_from + e)
                    : str_starts(name, RANDOM_INPUT) ? fmod(0.37 * (double)e + 0.11, 1)
                                                     : cos(0.11 * (double)e));
}

/* ---- running ------------------------------------------------------------------------------------------------------
 */

/* Results by name: "y", "loss", "grad:x", "grad:NAME". Backed by the arena. */
typedef struct ModuleRun {
    Arena *a;
    const char *name[512];
    Tensor t[512];
    int n;
} ModuleRun;

/* data NULL when there is none: no gradient flows there. */
static inline Tensor module_result(const ModuleRun *r, const char *name)
{
    for (int i = 0; i < r->n; i++)
        if (str_eq(r->name[i], name)) return r->t[i];
    return (Tensor) { 0 };
}

static inline void module_keep(ModuleRun *r, const char *name, const Tensor *t)
{
    int64_t n = tensor_count(t);
    double *copy = ARENA_ARRAY(r->a, double, n);
    Type type = { F64, true, shape_make(t->dim, t->rank) };
    assert_true(r->n < (int)COUNT_OF(r->t));
    for (int64_t e = 0; e < n; e++)
        copy[e] = tensor_get(t, e);
    r->name[r->n] = arena_strdup(r->a, name);
    r->t[r->n++] = tensor_view(copy, &type);
}

static inline void module_nudge(const ModuleCase *c, const Node *n, Tensor *t)
{
    if (!c->nudge || !str_eq(c->nudge, n->name)) return;
    int64_t at = tensor_offset(t, c->nudge_at);
    dtype_store(t->data, t->dtype, at, dtype_load(t->data, t->dtype, at) + c->nudge_by);
}

/* Runs every node of g in double by its reference; g's leaves become F64. */
static inline void module_walk_graph(const ModuleCase *c, Graph *g, ModuleRun *r)
{
    Error err;
    Type *types;
    Slab w;
    Binding bind = module_binding(c, F64);
    for (int i = 0; i < graph_n_nodes(g); i++) {
        Node *n = (Node *)(uintptr_t)graph_node(g, i);
        if (n->kind == NODE_PARAM) n->leaf.dtype = F64;
    }
    assert_ok(graph_bind(g, &bind, r->a, &types, &err));
    assert_ok(slab_new(g, &w, &err));
    slab_init(g, &w, 0);
    Tensor *t = ARENA_ARRAY(r->a, Tensor, graph_n_values(g) + 1);
    for (int v = 1; v <= graph_n_values(g); v++)
        t[v] = tensor_view(arena_alloc(r->a, type_bytes(&types[v])), &types[v]);
    for (int i = 0; i < graph_n_nodes(g); i++) {
        const Node *n = graph_node(g, i);
        Tensor *out = &t[n->out.id], in[65], results[64];
        if (n->kind == NODE_INPUT) module_fill_input(c, n->name, out);
        if (n->kind == NODE_CONST) memcpy(out->data, n->data, type_bytes(&types[n->out.id]));
        if (n->kind == NODE_PARAM)
            for (int64_t e = 0; e < tensor_count(out); e++) {
                bool keeps;
                double v = module_param(c, g, n->param, e, &keeps);
                ((double *)out->data)[e] = keeps ? w.data[graph_param_spec(g, n->param)->offset + e] : v;
            }
        if (n->kind == NODE_INPUT || n->kind == NODE_PARAM) module_nudge(c, n, out);
        if (n->kind != NODE_OP) continue;
        for (int k = 0; k < n->n_in; k++)
            in[k] = n->in[k].id ? t[n->in[k].id] : (Tensor) { .rank = -1 };
        in[n->n_in] = (Tensor) { .rank = -1 };
        memcpy(results, out, (size_t)n->n_out * sizeof *out);
        n->op->ref(&(RefCall) { n, in, results });
    }
    for (int i = 0; i < graph_n_outputs(g); i++)
        module_keep(r, graph_output_name(g, i), &t[graph_output_value(g, i).id]);
    slab_free(&w);
}

/* The loss of a case in double. */
static inline double module_loss(const ModuleCase *c, Arena *a)
{
    ModuleRun r = { .a = a };
    Error err;
    Graph *g = module_graph(c, F64, a), *mode = NULL;
    if (c->train) assert_ok(pass_train_mode(g, &mode, &err));
    module_walk_graph(c, mode ? mode : g, &r);
    graph_free(&mode);
    graph_free(&g);
    Tensor loss = module_result(&r, "loss");
    return tensor_get(&loss, 0);
}

/* Value and every gradient, in double. */
static inline ModuleRun module_walk(const ModuleCase *c, Arena *a)
{
    ModuleRun r = { .a = a };
    Error err;
    for (int wrt_input = 0; wrt_input < 2; wrt_input++) {
        Graph *g = module_graph(c, F64, a), *mode = NULL, *both;
        if (c->train) assert_ok(pass_train_mode(g, &mode, &err));
        assert_ok((wrt_input ? pass_autodiff_inputs : pass_autodiff)(mode ? mode : g, "loss", &both, &err));
        module_walk_graph(c, both, &r);
        graph_free(&both);
        graph_free(&mode);
        graph_free(&g);
    }
    return r;
}

/* Compiles g for the backend, runs it once, and keeps every output. grads may be NULL. */
static inline void module_run_graph(const ModuleCase *c, const Graph *g, DType act, const char *device, bool fold,
                                    ModuleRun *r)
{
    Error err;
    Backend *b;
    Program *p;
    Slab w, grads;
    assert_ok(slab_new(g, &w, &err));
    assert_ok(slab_new(g, &grads, &err));
    module_fill_slab(c, g, &w);
    if (c->edit) c->edit(g, &w);
    assert_ok(backend_open(device, 2, NULL, &b, &err));
    ProgramSpec spec = {
        .graph = g, .bind = module_binding(c, act), .backend = b, .params = &w, .grads = &grads, .fold = fold
    };
    assert_ok(program_compile(&spec, &p, &err));
    assert_ok(program_load(p, &err));
    for (int i = 0; i < graph_n_nodes(g); i++) {
        const Node *n = graph_node(g, i);
        Tensor t = program_input(p, n->name);
        if (n->kind == NODE_INPUT && t.data) module_fill_input(c, n->name, &t);
    }
    assert_ok(program_run(p, &err));
    for (int i = 0; i < graph_n_outputs(g); i++) {
        const char *name = graph_output_name(g, i);
        Tensor t = program_output(p, name);
        int param = str_starts(name, "grad:") ? graph_find_param(g, name + strlen("grad:")) : -1;
        if (param >= 0) {
            const ParamSpec *s = graph_param_spec(g, param);
            t = tensor_view(grads.data + s->offset, &(Type) { F32, true, s->shape });
        }
        if (t.data) module_keep(r, name, &t);
    }
    program_free(&p);
    backend_close(&b);
    slab_free(&grads);
    slab_free(&w);
}

/* The training step of a case on the processor: value and every gradient. */
static inline ModuleRun module_run(const ModuleCase *c, DType act, Arena *a)
{
    ModuleRun r = { .a = a };
    Error err;
    for (int wrt_input = 0; wrt_input < 2; wrt_input++) {
        Graph *g = module_graph(c, act, a), *mode = NULL, *both;
        if (c->train) assert_ok(pass_train_mode(g, &mode, &err));
        assert_ok((wrt_input ? pass_autodiff_inputs : pass_autodiff)(mode ? mode : g, "loss", &both, &err));
        module_run_graph(c, both, act, "cpu", false, &r);
        graph_free(&both);
        graph_free(&mode);
        graph_free(&g);
    }
    return r;
}

static inline ModuleRun module_infer(const ModuleCase *c, DType act, Arena *a)
{
    ModuleRun r = { .a = a };
    Graph *fused = module_fused(c, act, a);
    module_run_graph(c, fused, act, "cpu", true, &r);
    graph_free(&fused);
    return r;
}

/* ---- golden vectors of the specification (section F), printed with nine digits ------------------------------------
 */

typedef struct ModuleSums {
    const char *name;
    double sum, size; /* of the values and of their magnitudes; NAN: not stated */
} ModuleSums;

static inline void module_check_sums(const ModuleRun *r, const ModuleSums *want)
{
    Tensor t = module_result(r, want->name);
    double sum = 0, size = 0;
    if (!t.data) fail_msg("no %s", want->name);
    for (int64_t e = 0; e < tensor_count(&t); e++) {
        sum += tensor_get(&t, e);
        size += fabs(tensor_get(&t, e));
    }
    if (!isnan(want->sum) && !(fabs(sum - want->sum) <= 1e-8 * fabs(want->sum) + 1e-14 * MAX(size, 1)))
        fail_msg("%s: sum %.12g, wanted %.12g", want->name, sum, want->sum);
    if (!isnan(want->size) && !(fabs(size - want->size) <= 1e-8 * want->size))
        fail_msg("%s: sum of magnitudes %.12g, wanted %.12g", want->name, size, want->size);
}

/* The first four numbers of y, then sums up to one without a name. */
static inline void module_check_vector(const ModuleRun *r, const double first[4], const ModuleSums *want)
{
    Tensor y = module_result(r, "y");
    for (int e = 0; e < 4; e++)
        assert_near(tensor_get(&y, e), first[e], 1e-8 * fabs(first[e]) + 1e-12);
    for (; want->name; want++)
        module_check_sums(r, want);
}

#endif
