/* SPDX-License-Identifier: Apache-2.0
 *
 * Shape inference: symbolic arithmetic over the nodes, never a forward pass. */
#include "graph/graph_impl.h"

Type leaf_type(const Node *n, const Binding *b)
{
    Type t = n->leaf;
    for (int d = 0; d < t.shape.rank; d++) {
        int64_t *dim = &t.shape.dim[d];
        switch (*dim) {
        case DIM_BATCH: *dim = b->batch; break;
        case DIM_HEIGHT: *dim = b->height; break;
        case DIM_WIDTH: *dim = b->width; break;
        case DIM_TARGETS: *dim = b->targets; break;
        default: break;
        }
    }
    return t;
}

Status infer_fail(Infer *c, const char *fmt, ...)
{
    const Node *n = c->n;
    char what[512], where[256] = "";
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (n->origin.file && n->origin.row >= 0)
        snprintf(where, sizeof where, " (%s:%d, row %d)", n->origin.file, n->origin.line, n->origin.row);
    return fail(c->err, DYN_SHAPE, "%s '%s'%s: %s", n->op->name, n->name, where, what);
}

Status node_infer(const Graph *g, const Node *n, const Binding *b, const Type *in, Type *out, Error *err)
{
    Infer c = { .n = n, .bind = b, .in = in, .out = out, .err = err };
    for (int i = 0; i < n->n_out; i++)
        out[i] = (Type) { .shape.rank = 0 };
    TRY(n->op->infer(&c));
    for (int i = 0; i < n->n_out; i++) {
        for (int d = 0; d < out[i].shape.rank; d++)
            if (out[i].shape.dim[d] <= 0) {
                char text[128];
                return infer_fail(&c, "the result would be empty: %s; the input is too small",
                                  shape_text(&out[i].shape, text, sizeof text));
            }
        if (shape_count(&out[i].shape) < 0 || shape_count(&out[i].shape) > (int64_t)1 << 40)
            return infer_fail(&c, "the result would be too large");
    }
    return DYN_OK;
}

Status graph_bind(const Graph *g, const Binding *b, Arena *a, Type **types, Error *err)
{
    Type in[64], *t = ARENA_ARRAY(a, Type, g->n_value);
    TRY(graph_status(g, err));
    if (!t) return fail_nomem(err, g->n_value * sizeof *t);
    for (size_t i = 0; i < g->n_node; i++) {
        const Node *n = g->node[i];
        if (n->kind != NODE_OP) {
            t[n->out.id] = leaf_type(n, b);
            continue;
        }
        for (int k = 0; k < n->n_in; k++)
            in[k] = n->in[k].id ? t[n->in[k].id] : (Type) { .shape.rank = -1 };
        TRY(node_infer(g, n, b, in, &t[n->out.id], err));
    }
    *types = t;
    return DYN_OK;
}
