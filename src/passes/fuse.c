/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse - activations into the batchnorm or convolution before them; a residual into a convolution's epilogue. Only
 * where the intermediate has no other reader, so that nothing is computed twice. */
#include "ops/ops.h"
#include "passes/rewrite.h"

/* Operators without attributes that equal an act= of conv2d and batchnorm. */
static const char *activation(const Node *n)
{
    return n->kind == NODE_OP && n->n_in == 1 && n->n_attr == 0 && act_known(n->op->name) ? n->op->name : NULL;
}

/* The node that made v, when it is op, v is its output 0 and nobody else reads it. */
static const Node *sole_producer(const Rewrite *r, Value v, const OpDef *op)
{
    const Node *n = v.id ? value_node(r->src, v) : NULL;
    return n && n->op == op && n->out.id == v.id && r->uses[v.id] == 1 ? n : NULL;
}

static Value again(Rewrite *r, const Node *n, const Value *in, int n_in, const char *act)
{
    Attr attr[32];
    int n_attr = MIN(n->n_attr, (int)COUNT_OF(attr));
    for (int i = 0; i < n_attr; i++) {
        attr[i] = n->attr[i];
        if (act && str_eq(attr[i].name, "act")) attr[i].s = act;
    }
    return rewrite_emit(r, n, n->op, in, n_in, attr, n_attr);
}

/* The new graph's producer is what may already carry a fused activation, so patterns are matched there for a residual.
 */
static bool fuse_activation(Rewrite *r, const Node *n)
{
    const char *act = activation(n);
    if (!act) return false;
    const Node *p = sole_producer(r, n->in[0], &op_conv2d);
    if (!p) p = sole_producer(r, n->in[0], &op_batchnorm);
    if (!p || !attr_is(p, "act", "none") || (p->op == &op_conv2d && p->n_in > 3 && p->in[3].id)) return false;
    Value in[8];
    for (int i = 0; i < p->n_in; i++)
        in[i] = rewrite_in(r, p, i);
    Value v = again(r, p, in, p->n_in, act);
    r->map[n->out.id] = v;
    for (int k = 1; k < p->n_out; k++)
        r->map[p->out.id + k] = value_at(v, k);
    return true;
}

static bool fuse_residual(Rewrite *r, const Node *n)
{
    if (n->op != &op_add) return false;
    for (int side = 0; side < 2; side++) {
        Value branch = n->in[1 - side], other = n->in[side];
        if (r->uses[branch.id] != 1) continue;
        const Node *p = r->map[branch.id].id ? value_node(r->dst, r->map[branch.id]) : NULL;
        if (!p || p->op != &op_conv2d || (p->n_in > 3 && p->in[3].id)) continue;
        if (!shape_eq(&value_type(r->src, branch)->shape, &value_type(r->src, other)->shape)) continue;
        Value in[4] = { p->in[0], p->in[1], p->n_in > 2 ? p->in[2] : (Value) { 0 }, r->map[other.id] };
        Value v = graph_copy(r->dst,
                             &(Node) { .kind = NODE_OP,
                                       .op = p->op,
                                       .n_in = 4,
                                       .attr = p->attr,
                                       .n_attr = p->n_attr,
                                       .name = p->name,
                                       .origin = p->origin },
                             in);
        r->map[n->out.id] = v;
        return true;
    }
    return false;
}

static bool any_training(const Graph *g)
{
    for (int i = 0; i < graph_n_nodes(g); i++)
        if (graph_node(g, i)->op == &op_batchnorm && attr_int(graph_node(g, i), "train")) return true;
    return false;
}

Status pass_fuse(const Graph *in, Graph **out, Error *err)
{
    Rewrite r;
    TRY(rewrite_begin(&r, in, err));
    bool training = any_training(in); /* conv2d has no gradient with a fused epilogue */
    for (int i = 0; i < graph_n_nodes(in); i++) {
        const Node *n = graph_node(in, i);
        bool conv_below = n->n_in && n->in[0].id && value_node(in, n->in[0])->op == &op_conv2d;
        if (!(training && conv_below) && fuse_activation(&r, n)) continue;
        if (!training && fuse_residual(&r, n)) continue;
        rewrite_copy(&r, n);
    }
    return rewrite_end(&r, out, err);
}
