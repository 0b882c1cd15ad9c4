/* SPDX-License-Identifier: Apache-2.0
 *
 * ops_case - runs operators from case lines, for tests: a line `x[2,6,3,3] w[4,6,1,1] b[4]:pos stride=1 act=silu`
 * becomes a graph of one node, its gradient's nodes are appended, and everything is run through OpDef.ref by a walk
 * over the nodes. Independent of src/backend on purpose. Inputs are values in (-4, 4), distinct, and away from 0 and
 * from +-3, where operators have kinks. Marks behind an input, one or several: :pos    values in (0.3, 2)         :wide
 * never narrower than f32 :u8     bytes                      :param  row-major, as parameters lie (w always is) :i32
 * integers 1, 2, 3           :const  the gradient takes it for a constant, by design and `-` in place of an input
 * leaves it out. */
#ifndef OPS_CASE_H
#define OPS_CASE_H

#include "test.h"

#include "base/dtype.h"
#include "ops/ops.h"

enum { CASE_MAX = 16 };

typedef struct OpCase {
    const OpDef *op;
    const char *line;
    int n_in, n_attr;
    const char *name[CASE_MAX];
    enum { DRAW_ANY, DRAW_POSITIVE, DRAW_BYTES, DRAW_SMALL } draw[CASE_MAX];
    bool param[CASE_MAX], wide[CASE_MAX], constant[CASE_MAX];
    Shape shape[CASE_MAX]; /* rank -1: void */
    Attr attr[CASE_MAX];
} OpCase;

/* The graph of a case, its types, and a tensor for every value. */
typedef struct OpRun {
    Arena *a;
    Graph *g;
    const OpCase *c;
    DType act;
    Type *types;
    Tensor *t;           /* by value id */
    Value in[CASE_MAX];  /* of the node */
    Value out[CASE_MAX]; /* of the node */
    Value dy[CASE_MAX];  /* inputs: upstream gradients; void where none flows */
    Value dx[CASE_MAX];  /* void: zero */
    int n_out;
} OpRun;

static inline void case_marks(OpCase *c, int i, char *marks)
{
    char *save;
    c->param[i] = str_eq(c->name[i], "w");
    for (char *m = marks ? strtok_r(marks, ":", &save) : NULL; m; m = strtok_r(NULL, ":", &save)) {
        if (str_eq(m, "pos"))
            c->draw[i] = DRAW_POSITIVE;
        else if (str_eq(m, "u8"))
            c->draw[i] = DRAW_BYTES;
        else if (str_eq(m, "i32"))
            c->draw[i] = DRAW_SMALL;
        else if (str_eq(m, "wide"))
            c->wide[i] = true;
        else if (str_eq(m, "param"))
            c->param[i] = true;
        else if (str_eq(m, "const"))
            c->constant[i] = true;
        else
            fail_msg("%s: unknown mark '%s'", c->line, m);
    }
    c->constant[i] |= c->draw[i] == DRAW_BYTES || c->draw[i] == DRAW_SMALL || c->op->updates >> i & 1;
}

static inline void case_word(OpCase *c, Arena *a, char *word)
{
    char *bracket = strchr(word, '['), *eq = strchr(word, '=');
    assert_true(c->n_in < CASE_MAX && c->n_attr < CASE_MAX);
    if (str_eq(word, "-")) {
        c->name[c->n_in] = "none";
        c->shape[c->n_in++].rank = -1;
    } else if (bracket && !(eq && eq < bracket)) {
        int i = c->n_in++;
        Shape *s = &c->shape[i];
        *bracket = 0;
        c->name[i] = word;
        for (char *p = bracket + 1; *p && *p != ']'; p += *p == ',')
            s->dim[s->rank++] = strtoll(p, &p, 10);
        case_marks(c, i, strchr(bracket + 1, ':'));
    } else {
        if (!eq) fail_msg("%s: '%s' is no input and no attribute", c->line, word);
        Attr *at = &c->attr[c->n_attr++];
        *eq = 0;
        *at = (Attr) { .name = word, .kind = ATTR_TEXT, .s = eq + 1 };
        if (str_to_int(eq + 1, &at->i))
            at->kind = ATTR_INT;
        else if (str_to_double(eq + 1, &at->f))
            at->kind = ATTR_FLOAT;
    }
}

/* Reads the line that *text points at and moves *text to the next; false at the end. */
static inline bool case_next(const OpDef *op, const char **text, Arena *a, OpCase *c)
{
    if (!*text || !**text) return false;
    size_t len = strcspn(*text, "\n");
    *c = (OpCase) { .op = op, .line = arena_printf(a, "%s %.*s", op->name, (int)len, *text) };
    char *copy = arena_strndup(a, *text, len), *save;
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
        case_word(c, a, w);
    *text += len + ((*text)[len] == '\n');
    return true;
}

static inline DType case_dtype(const OpCase *c, int i, DType act)
{
    return c->draw[i] == DRAW_BYTES ? U8 : c->draw[i] == DRAW_SMALL ? I32 : c->wide[i] && act == BF16 ? F32 : act;
}

/* One forward node; act is the dtype of activations. */
static inline OpRun case_build(const OpCase *c, DType act, Arena *a)
{
    OpRun r = { .a = a, .c = c, .act = act };
    Error err;
    assert_ok(graph_new(&r.g, &err));
    graph_nominal(r.g, &(Binding) { 1, 32, 32, 1, act });
    for (int i = 0; i < c->n_in; i++) {
        if (c->shape[i].rank < 0) continue;
        Type t = { .dtype = case_dtype(c, i, act), .rowmajor = c->param[i], .shape = c->shape[i] };
        r.in[i] = graph_input(r.g, c->name[i], t);
    }
    Value y = graph_emit(r.g, c->op, r.in, c->n_in, c->attr, c->n_attr);
    if (graph_status(r.g, &err) != DYN_OK) fail_msg("%s: %s", c->line, err.text);
    r.n_out = value_node(r.g, y)->n_out;
    assert_true(r.n_out <= CASE_MAX);
    for (int k = 0; k < r.n_out; k++)
        r.out[k] = value_at(y, k);
    return r;
}

/* Appends the gradient's nodes. Upstream gradients reach output 0, and all of them where there are any number ("y*").
 * False where this case has none (an operator without gradient, a fused node). */
static inline bool case_differentiate(OpRun *r)
{
    bool need[CASE_MAX], all = str_ends(r->c->op->out, "*");
    Error err;
    if (!r->c->op->grad) return false;
    for (int k = 0; k < (all ? r->n_out : 1); k++)
        r->dy[k] = graph_input(r->g, "dy", *value_type(r->g, r->out[k]));
    for (int i = 0; i < r->c->n_in; i++)
        need[i] = r->in[i].id && !r->c->constant[i] && !(r->c->op->shape_only >> i & 1);
    const Node *n = value_node(r->g, r->out[0]);
    r->c->op->grad(&(Grad) { .g = r->g, .n = n, .in = n->in, .out = r->out, .dy = r->dy, .dx = r->dx, .need = need });
    Status s = graph_status(r->g, &err);
    if (s != DYN_OK && s != DYN_UNSUPPORTED) fail_msg("%s: gradient: %s", r->c->line, err.text);
    if (s == DYN_OK) return true;
    graph_free(&r->g); /* a failure sticks to the graph */
    *r = case_build(r->c, r->act, r->a);
    return false;
}

static inline void case_allocate(OpRun *r)
{
    Error err;
    assert_ok(graph_bind(r->g, &(Binding) { 1, 32, 32, 1, r->act }, r->a, &r->types, &err));
    r->t = ARENA_ARRAY(r->a, Tensor, graph_n_values(r->g) + 1);
    for (int v = 1; v <= graph_n_values(r->g); v++)
        r->t[v] = tensor_view(arena_alloc(r->a, type_bytes(&r->types[v])), &r->types[v]);
}

/* Fills t with a shuffled grid: distinct values whatever the seed. */
static inline void tensor_draw(const Tensor *t, int draw, uint64_t seed)
{
    Rng rng = rng_at(seed, 0, 0, 0);
    int64_t n = tensor_count(t), *order = test_malloc((size_t)n * sizeof *order);
    for (int64_t i = 0; i < n; i++) {
        int64_t k = rng_int(&rng, i + 1);
        order[i] = order[k];
        order[k] = i;
    }
    for (int64_t i = 0; i < n; i++) {
        /* This offset keeps the grid off 0 and off +-3 by an eighth of a step or more. */
        double unit = ((double)order[i] + (n % 2 ? 0.25 : 0.5)) / (double)n;
        tensor_set(t, i,
                   draw == DRAW_BYTES      ? (double)rng_int(&rng, 256)
                   : draw == DRAW_SMALL    ? (double)(1 + rng_int(&rng, 3))
                   : draw == DRAW_POSITIVE ? 0.3 + 1.7 * unit
                                           : 8 * unit - 4);
    }
    test_free(order);
}

static inline void case_draw(OpRun *r)
{
    for (int i = 0; i < r->c->n_in; i++)
        if (r->in[i].id) tensor_draw(&r->t[r->in[i].id], r->c->draw[i], (uint64_t)i + 1);
    for (int k = 0; k < r->n_out; k++)
        if (r->dy[k].id) tensor_draw(&r->t[r->dy[k].id], DRAW_ANY, 100 + (uint64_t)k);
}

static inline RefCall node_call(const OpRun *r, const Node *n, Tensor *in, Tensor *out)
{
    for (int i = 0; i < n->n_in; i++)
        in[i] = n->in[i].id ? r->t[n->in[i].id] : (Tensor) { .rank = -1 };
    in[n->n_in] = (Tensor) { .rank = -1 }; /* an optional input left out at the end, as a program has it */
    for (int k = 0; k < n->n_out; k++)
        out[k] = r->t[n->out.id + k];
    return (RefCall) { n, in, out };
}

/* Runs all nodes, or with only_forward just the operator itself. */
static inline void case_run(const OpRun *r, bool only_forward)
{
    for (int i = 0; i < graph_n_nodes(r->g); i++) {
        const Node *n = graph_node(r->g, i);
        Tensor in[64], out[64];
        if (n->kind != NODE_OP) continue;
        RefCall call = node_call(r, n, in, out);
        n->op->ref(&call);
        if (only_forward) return;
    }
}

#endif
