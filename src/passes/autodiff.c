/* SPDX-License-Identifier: Apache-2.0
 *
 * autodiff - reverse mode as a graph pass: each operator's grad emits nodes. Walks the nodes backwards once; a value
 * read several times sums its gradients in the order of that walk, so the result does not depend on threads. */
#include "ops/ops.h"
#include "passes/rewrite.h"

typedef struct Sweep {
    Graph *g;
    bool *need;  /* value id: the loss's gradient with respect to it is wanted */
    Value *grad; /* value id: gradient so far, void for none */
} Sweep;

static void add_gradient(Sweep *s, Value v, Value d)
{
    if (!d.id) return;
    Value *sum = &s->grad[v.id];
    *sum = sum->id ? EMIT(s->g, add, INS(*sum, d), NO_ATTRS) : d;
}

static void back(Sweep *s, const Node *n)
{
    Value dy[MAX_RANK * 12] = { 0 }, dx[64] = { 0 };
    bool need[64], any_need = false, any_dy = false;
    for (int k = 0; k < n->n_out; k++) {
        dy[k] = s->grad[n->out.id + k];
        any_dy |= dy[k].id != 0;
    }
    for (int k = 0; k < n->n_in; k++)
        any_need |= need[k] = s->need[n->in[k].id] && !(n->op->shape_only >> MIN(k, 31) & 1);
    if (!any_dy || !any_need || !n->op->grad) return;
    Value out[64];
    for (int k = 0; k < n->n_out; k++)
        out[k] = value_at(n->out, k);
    const char *old = graph_push(s->g, "%s", n->name);
    graph_set_origin(s->g, n->origin);
    n->op->grad(&(Grad) { .g = s->g, .n = n, .in = n->in, .out = out, .dy = dy, .dx = dx, .need = need });
    graph_pop(s->g, old);
    for (int k = 0; k < n->n_in; k++)
        if (need[k]) add_gradient(s, n->in[k], dx[k]);
}

static Status differentiate(const Graph *in, const char *loss, bool wrt_inputs, Graph **out, Error *err)
{
    Rewrite r;
    Sweep s;
    TRY(rewrite_begin(&r, in, err));
    for (int i = 0; i < graph_n_nodes(in); i++)
        rewrite_copy(&r, graph_node(in, i));
    Value l = graph_find_output(in, loss).id ? r.map[graph_find_output(in, loss).id] : (Value) { 0 };
    if (!l.id) graph_fail(r.dst, DYN_USAGE, "the graph has no output '%s' to differentiate", loss);
    int n_nodes = graph_n_nodes(r.dst), n_values = graph_n_values(r.dst) + 1;
    s = (Sweep) { r.dst, ARENA_ARRAY(r.a, bool, n_values), ARENA_ARRAY(r.a, Value, n_values) };
    if (!s.need || !s.grad) {
        graph_fail(r.dst, DYN_NOMEM, "out of memory");
        return rewrite_end(&r, out, err);
    }
    if (graph_status(r.dst, err) != DYN_OK) return rewrite_end(&r, out, err);
    for (int i = 0; i < n_nodes; i++) {
        const Node *n = graph_node(r.dst, i);
        bool need = n->kind == NODE_PARAM   ? !wrt_inputs && graph_param_spec(r.dst, n->param)->trainable
                    : n->kind == NODE_INPUT ? wrt_inputs && (n->leaf.dtype == F32 || n->leaf.dtype == F64)
                                            : false;
        for (int k = 0; n->kind == NODE_OP && n->op->grad && k < n->n_in; k++)
            need |= n->in[k].id && s.need[n->in[k].id];
        for (int k = 0; k < n->n_out; k++)
            s.need[n->out.id + k] = need;
    }
    const Type *lt = value_type(r.dst, l);
    if (lt->dtype == F64)
        s.grad[l.id] = graph_const(r.dst, *lt, &(double) { 1 });
    else
        s.grad[l.id] = graph_const(r.dst, *lt, &(float) { 1 });
    for (int i = n_nodes - 1; i >= 0 && graph_status(r.dst, err) == DYN_OK; i--)
        if (graph_node(r.dst, i)->kind == NODE_OP) back(&s, graph_node(r.dst, i));
    for (int i = 0; i < n_nodes; i++) {
        const Node *n = graph_node(r.dst, i);
        char name[512];
        if (n->kind == NODE_OP || n->kind == NODE_CONST || !s.grad[n->out.id].id) continue;
        snprintf(name, sizeof name, "grad:%s", n->name);
        graph_output(r.dst, name, s.grad[n->out.id]);
    }
    return rewrite_end(&r, out, err);
}

Status pass_autodiff(const Graph *in, const char *loss, Graph **out, Error *err)
{
    return differentiate(in, loss, false, out, err);
}

Status pass_autodiff_inputs(const Graph *in, const char *loss, Graph **out, Error *err)
{
    return differentiate(in, loss, true, out, err);
}
