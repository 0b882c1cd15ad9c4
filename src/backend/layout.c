/* SPDX-License-Identifier: Apache-2.0
 *
 * layout - which memory each value lies in. Splits along channels become views of the whole; inputs of a concat along
 * channels are placed inside the concat's result, so that their producers write them there. Whether a kernel can read
 * or write such a range is its own affair: the compiler inserts a copy where it cannot, which costs no more than the
 * split or concat would have. */
#include "backend/program_impl.h"

/* Union-find with an offset: a value lies in its parent from channel `at` on. */
typedef struct Link {
    int parent; /* value id; itself for a root */
    int64_t at;
    bool fixed; /* may not move into another value: inputs, constants, results */
} Link;

typedef struct Layout {
    const Program *p;
    const Graph *g;
    Link *link;
} Layout;

static int root_of(const Layout *l, int v, int64_t *at)
{
    *at = 0;
    for (; l->link[v].parent != v; v = l->link[v].parent)
        *at += l->link[v].at;
    return v;
}

static bool is_image(const Type *t)
{
    return t->shape.rank == 4 && !t->rowmajor;
}

/* Splits and slices: outputs become ranges of input 0, all of them or none. */
static void link_views(Layout *l, const Node *n)
{
    Type in[1];
    int64_t at[MAX_PORTS];
    if (!n->op->view || !n->in[0].id) return;
    in[0] = l->p->types[n->in[0].id];
    if (!is_image(&in[0])) return;
    for (int k = 0; k < n->n_out; k++) {
        at[k] = n->op->view(n, in, &l->p->types[n->out.id], k);
        if (at[k] < 0 || l->link[n->out.id + k].fixed) return;
    }
    for (int k = 0; k < n->n_out; k++)
        l->link[n->out.id + k] = (Link) { .parent = n->in[0].id, .at = at[k] };
}

/* May root r move into concat result `out` with its channel 0 at `shift`? Every input of the concat that touches the
 * range which r would cover must itself lie in r, at the same shift. */
static bool can_move(const Layout *l, const Node *n, int r, int64_t shift)
{
    const Type *t = l->p->types, *tr = &t[r], *to = &t[n->out.id];
    int64_t hi = shift + tr->shape.dim[1], at = 0, off;
    if (l->link[r].fixed || r == n->out.id || !is_image(tr) || tr->dtype != to->dtype || shift < 0 ||
        hi > to->shape.dim[1])
        return false;
    for (int d = 0; d < 4; d++)
        if (d != 1 && tr->shape.dim[d] != to->shape.dim[d]) return false;
    for (int i = 0; i < n->n_in; i++) {
        int64_t size = t[n->in[i].id].shape.dim[1];
        bool touches = at < hi && at + size > shift;
        if (touches && (root_of(l, n->in[i].id, &off) != r || at - off != shift)) return false;
        at += size;
    }
    return true;
}

static void link_gather(Layout *l, const Node *n)
{
    int64_t at = 0, off, unused;
    if (!(n->op->flags & OP_GATHER) || attr_int(n, "dim") != 1 || !is_image(&l->p->types[n->out.id])) return;
    /* The result itself lives in another value only by a later concat; here it is a root. */
    for (int i = 0; i < n->n_in; i++) {
        int r = root_of(l, n->in[i].id, &off);
        if (can_move(l, n, r, at - off) && root_of(l, n->out.id, &unused) != r)
            l->link[r] = (Link) { .parent = n->out.id, .at = at - off };
        at += l->p->types[n->in[i].id].shape.dim[1];
    }
}

int program_new_buffer(Program *p, size_t bytes)
{
    if (!arena_grow(p->a, &p->buffer, p->n_buffer, &p->cap_buffer, sizeof *p->buffer)) return -1;
    p->buffer[p->n_buffer] = (PlanBuffer) { .bytes = bytes, .first = INT32_MAX, .last = -1 };
    return (int)p->n_buffer++;
}

static Place fixed_place(Program *p, const Node *n, int v, const bool *is_const, const int *grad_of)
{
    if (n->kind == NODE_PARAM) return (Place) { BASE_PARAM, n->param, 0, 0 };
    if (grad_of[v] >= 0) return (Place) { BASE_GRAD, grad_of[v], 0, 0 };
    if (n->kind == NODE_INPUT) {
        if (!arena_grow(p->a, &p->input, p->n_input, &p->cap_input, sizeof *p->input)) return (Place) { 0 };
        p->input[p->n_input] = (ProgramInput) { .name = n->name, .type = p->types[v] };
        return (Place) { BASE_INPUT, (int)p->n_input++, 0, 0 };
    }
    if (is_const[v]) {
        if (!arena_grow(p->a, &p->constant, p->n_constant, &p->cap_constant, sizeof *p->constant)) return (Place) { 0 };
        p->constant[p->n_constant] = (Constant) { .value = v, .given = n->data };
        return (Place) { BASE_CONST, (int)p->n_constant++, 0, 0 };
    }
    return (Place) { 0 };
}

/* Parameter whose gradient value v is, -1 for none. The first output of that name wins; others are copied. */
static int *find_grads(const Program *p)
{
    const Graph *g = p->spec.graph;
    int n = graph_n_values(g) + 1, *grad_of = ARENA_ARRAY(p->a, int, n);
    for (int v = 0; grad_of && v < n; v++)
        grad_of[v] = -1;
    for (int i = 0; grad_of && i < graph_n_outputs(g); i++) {
        const char *name = graph_output_name(g, i);
        int v = graph_output_value(g, i).id, param = str_starts(name, "grad:") ? graph_find_param(g, name + 5) : -1;
        if (p->spec.grads && param >= 0 && grad_of[v] < 0) grad_of[v] = param;
    }
    return grad_of;
}

Status program_layout(Program *p, const bool *is_const, Error *err)
{
    const Graph *g = p->spec.graph;
    int n_values = graph_n_values(g) + 1;
    Layout l = { p, g, ARENA_ARRAY(p->a, Link, n_values) };
    int *grad_of = find_grads(p);
    p->place = ARENA_ARRAY(p->a, Place, n_values);
    if (!l.link || !grad_of || !p->place) return fail_nomem(err, (size_t)n_values * sizeof *l.link);
    for (int v = 0; v < n_values; v++)
        l.link[v] = (Link) { .parent = v };
    for (int i = 0; i < graph_n_outputs(g); i++)
        l.link[graph_output_value(g, i).id].fixed = true;
    for (int i = 0; i < graph_n_nodes(g); i++) {
        const Node *n = graph_node(g, i);
        for (int k = 0; k < n->n_out; k++)
            l.link[n->out.id + k].fixed |= n->kind != NODE_OP || is_const[n->out.id + k];
    }
    for (int i = 0; i < graph_n_nodes(g); i++) {
        const Node *n = graph_node(g, i);
        if (n->kind == NODE_OP && !is_const[n->out.id]) link_views(&l, n);
    }
    for (int i = 0; i < graph_n_nodes(g); i++) {
        const Node *n = graph_node(g, i);
        if (n->kind == NODE_OP && !is_const[n->out.id]) link_gather(&l, n);
    }
    for (int v = 1; v < n_values; v++) { /* roots first: they own the memory */
        if (l.link[v].parent != v) continue;
        p->place[v] = fixed_place(p, value_node(g, (Value) { v }), v, is_const, grad_of);
        if (p->place[v].base == BASE_NONE)
            p->place[v] = (Place) { BASE_SLAB, program_new_buffer(p, type_bytes(&p->types[v])), 0, 0 };
        if (p->place[v].index < 0) return fail_nomem(err, sizeof(PlanBuffer));
    }
    for (int v = 1; v < n_values; v++) {
        int64_t at;
        int r = root_of(&l, v, &at);
        if (r == v) continue;
        p->place[v] = p->place[r];
        if (p->types[r].shape.dim[1] == p->types[v].shape.dim[1]) continue; /* the whole: dense */
        p->place[v].channel = at;
        p->place[v].channels = p->types[r].shape.dim[1];
    }
    return DYN_OK;
}
