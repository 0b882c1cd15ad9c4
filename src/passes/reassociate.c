/* SPDX-License-Identifier: Apache-2.0
 *
 * reassociate - moves 1x1 convolutions from all positions of an image to the few descriptors of an attention block,
 * where that is fewer products. With A = W x + b, and P whose channels each sum to 1 over space (softmax):
 *   pool_outer(W x + b, P) = W pool_outer(x, P) + b      convolution of an image of M pixels instead of H W
 * and with V whose channels sum to 1 at each position (softmax; without a bias any V):
 *   W mix_channels(G, V) + b = mix_channels(W G + b, V)
 * Exact but for rounding. Decided from channels alone: space is what both sides share, and M pixels are few. Neither
 * side's image of c_m channels is formed then. */
#include "ops/ops.h"
#include "passes/rewrite.h"

static const Node *producer(const Rewrite *r, Value v, const OpDef *op)
{
    const Node *n = v.id ? value_node(r->src, v) : NULL;
    return n && n->op == op && n->out.id == v.id ? n : NULL;
}

/* A convolution of each pixel for itself, without anything fused. */
static bool pointwise(const Rewrite *r, const Node *n)
{
    const Shape *w = &value_type(r->src, n->in[1])->shape;
    return w->dim[2] == 1 && w->dim[3] == 1 && attr_int(n, "stride") == 1 && attr_int(n, "pad") == 0 &&
           attr_int(n, "pad_w") <= 0 && attr_int(n, "groups") == 1 && attr_is(n, "act", "none") && !value_ok(n->in[3]);
}

static bool sums_to_one(const Rewrite *r, Value v, bool over_space)
{
    const Node *n = producer(r, v, &op_softmax);
    if (!n) return false;
    return over_space ? attr_int(n, "space") : !attr_int(n, "space") && attr_int(n, "dim") == 1;
}

static bool gather_first(Rewrite *r, const Node *n)
{
    if (n->op != &op_pool_outer || !sums_to_one(r, n->in[1], true)) return false;
    const Node *conv = producer(r, n->in[0], &op_conv2d);
    if (!conv || r->uses[conv->out.id] != 1 || !pointwise(r, conv)) return false;
    int64_t c = value_dim(r->src, conv->in[0], 1), m = value_dim(r->src, conv->out, 1);
    int64_t k = value_dim(r->src, n->in[1], 1);
    if (c * k >= c * m + m * k) return false;
    Value g = rewrite_emit(r, n, n->op, INS(rewrite_in(r, conv, 0), rewrite_in(r, n, 1)), NO_ATTRS);
    r->map[n->out.id] = rewrite_emit(r, conv, conv->op, INS(g, rewrite_in(r, conv, 1), rewrite_in(r, conv, 2)),
                                     conv->attr, conv->n_attr);
    return true;
}

static bool mix_last(Rewrite *r, const Node *n)
{
    if (n->op != &op_conv2d || !pointwise(r, n) || attr_is(n, "out", "f32")) return false;
    const Node *mix = producer(r, n->in[0], &op_mix_channels);
    if (!mix || r->uses[mix->out.id] != 1 || attr_int(mix, "t") || value_ok(mix->in[2]) || value_ok(mix->in[3]))
        return false;
    if (value_ok(n->in[2]) && !sums_to_one(r, mix->in[1], false)) return false;
    int64_t o = value_dim(r->src, n->out, 1), m = value_dim(r->src, mix->out, 1);
    int64_t k = value_dim(r->src, mix->in[1], 1);
    if (o * k >= m * k + m * o) return false;
    Value g = rewrite_emit(r, n, n->op, INS(rewrite_in(r, mix, 0), rewrite_in(r, n, 1), rewrite_in(r, n, 2)), n->attr,
                           n->n_attr);
    r->map[n->out.id] = rewrite_emit(r, mix, mix->op, INS(g, rewrite_in(r, mix, 1)), NO_ATTRS);
    return true;
}

Status pass_reassociate(const Graph *in, Graph **out, Error *err)
{
    Rewrite r;
    TRY(rewrite_begin(&r, in, err));
    for (int i = 0; i < graph_n_nodes(in); i++) {
        const Node *n = graph_node(in, i);
        if (n->kind != NODE_OP || !(gather_first(&r, n) || mix_last(&r, n)))
            rewrite_copy(&r, n); /* what was moved is left behind dead */
    }
    return rewrite_end(&r, out, err);
}
