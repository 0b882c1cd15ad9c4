/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse_grads - what the backward pass leaves to be joined. The gradient of a value with several readers is a sum: where
 * its last term is a convolution's input gradient, that takes the sum of the others for its residual, instead of one
 * more walk over three maps. And a gradient that is cast to a wider type and back again is what it was. */
#include "ops/conv_util.h"
#include "passes/rewrite.h"

/* n is the sum of some other value and a conv2d_dx that nobody else reads and that comes later, so that it is computed
 * no later than it would be, and lives no longer. */
static bool join_sum(Rewrite *r, const Node *n)
{
    if (n->op != &op_add) return false;
    for (int side = 0; side < 2; side++) {
        Value term = n->in[1 - side], other = n->in[side];
        const Node *p = value_node(r->src, term);
        if (!r->map[term.id].id) continue; /* building failed */
        if (p->op != op_conv2d.also || p->in[CONV_DX_RES].id || r->uses[term.id] != 1) continue;
        if (value_node(r->src, other)->id > p->id || !rewrite_same_type(r, term, other)) continue;
        r->map[n->out.id] = rewrite_with_input(r, value_node(r->dst, r->map[term.id]), CONV_DX_RES, r->map[other.id]);
        return true;
    }
    return false;
}

/* Of what may be cast to what without loss: from the dtype of activations to f32. */
static bool skip_casts(Rewrite *r, const Node *n)
{
    if (n->op != &op_cast) return false;
    Value from = n->in[0];
    const Node *p = value_node(r->src, from);
    if (p->op == &op_cast && rewrite_widens(r, p->in[0], from)) from = p->in[0];
    if (!rewrite_same_type(r, from, n->out)) return false;
    r->map[n->out.id] = r->map[from.id];
    return true;
}

Status pass_fuse_grads(const Graph *in, Graph **out, Error *err)
{
    Rewrite r;
    TRY(rewrite_begin(&r, in, err));
    for (int i = 0; i < graph_n_nodes(in); i++) {
        const Node *n = graph_node(in, i);
        if (!join_sum(&r, n) && !skip_casts(&r, n)) rewrite_copy(&r, n);
    }
    return rewrite_end(&r, out, err);
}
