/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse - activations into the batchnorm or convolution before them; a residual into what takes one.
 * Only where the intermediate has no other reader, so that nothing is computed twice. */
#include "ops/conv_util.h"
#include "passes/rewrite.h"

/* Operators without attributes that equal an act= of convolutions and batchnorm. */
static const char *activation(const Node *n)
{
    return n->kind == NODE_OP && n->n_in == 1 && n->n_attr == 0 && act_known(n->op->name) ? n->op->name : NULL;
}

static const ConvPorts *ports_of(const Node *n)
{
    return n->kind == NODE_OP ? conv_ports(n->op) : NULL;
}

/* The input of n that a residual is; -1: it takes none. */
static int residual_port(const Node *n)
{
    return ports_of(n) ? ports_of(n)->res : n->op == &op_mix_channels ? 2 : n->op == &op_batchnorm ? 5 : -1;
}

static bool has_residual(const Node *n)
{
    int port = residual_port(n);
    return port >= 0 && n->in[port].id;
}

/* The convolution or batchnorm that made v, its output 0 that nobody else reads, else NULL. */
static const Node *sole_producer(const Rewrite *r, Value v)
{
    const Node *n = v.id ? value_node(r->src, v) : NULL;
    bool known = n && (ports_of(n) || n->op == &op_batchnorm);
    return known && n->out.id == v.id && r->uses[v.id] == 1 ? n : NULL;
}

/* The new graph's producer is what may already carry a fused activation, so patterns are matched there for a residual.
 */
static bool fuse_activation(Rewrite *r, const Node *n)
{
    const char *act = activation(n);
    if (!act) return false;
    const Node *p = sole_producer(r, n->in[0]);
    if (!p || !attr_is(p, "act", "none") || has_residual(p)) return false;
    Value in[MAX_CONV_IN];
    Attr attr[MAX_ATTRS];
    for (int i = 0; i < p->n_in; i++)
        in[i] = rewrite_in(r, p, i);
    Value v = rewrite_emit(r, p, p->op, in, p->n_in, attr, rewrite_attrs(p, act, attr));
    r->map[n->out.id] = v;
    for (int k = 1; k < p->n_out; k++)
        r->map[p->out.id + k] = value_at(v, k);
    return true;
}

/* In training only batchnorm: what else takes a residual has no gradient with one. */
static bool fuse_residual(Rewrite *r, const Node *n, bool training)
{
    if (n->op != &op_add) return false;
    for (int side = 0; side < 2; side++) {
        Value branch = n->in[1 - side], other = n->in[side];
        if (r->uses[branch.id] != 1) continue;
        const Node *p = r->map[branch.id].id ? value_node(r->dst, r->map[branch.id]) : NULL;
        int port = p && p->out.id == r->map[branch.id].id ? residual_port(p) : -1;
        if (port < 0 || p->in[port].id || (training && p->op != &op_batchnorm)) continue;
        if (!rewrite_same_type(r, branch, other)) continue;
        r->map[n->out.id] = rewrite_with_input(r, p, port, r->map[other.id]);
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
    bool training = any_training(in); /* a convolution has no gradient with a fused epilogue */
    for (int i = 0; i < graph_n_nodes(in); i++) {
        const Node *n = graph_node(in, i);
        bool conv_below = n->n_in && n->in[0].id && ports_of(value_node(in, n->in[0]));
        if (!(training && conv_below) && fuse_activation(&r, n)) continue;
        if (fuse_residual(&r, n, training)) continue;
        rewrite_copy(&r, n);
    }
    return rewrite_end(&r, out, err);
}
