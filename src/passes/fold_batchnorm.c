/* SPDX-License-Identifier: Apache-2.0
 *
 * fold_batchnorm - an inference batchnorm after a convolution that nobody else reads goes into the convolution's
 * weights: its scale into the weight, or into every kernel and bias of a bank, its shift into a bias that is added once
 * whatever the kernels are mixed to (spec A.7, B.8, D.10). The folded weights are one node over parameters (fold_conv),
 * so that the graph stays valid when parameters change. */
#include "ops/conv_util.h"
#include "passes/rewrite.h"

/* The convolution under batchnorm n when it can take it, else NULL. */
static const Node *foldable(const Rewrite *r, const Node *n)
{
    if (n->op != &op_batchnorm || attr_int(n, "train") || r->uses[n->out.id + 1] || r->uses[n->out.id + 2] ||
        n->in[5].id)
        return NULL;
    const Node *conv = value_node(r->src, n->in[0]);
    const ConvPorts *p = conv->kind == NODE_OP ? conv_ports(conv->op) : NULL;
    bool plain = p && r->uses[conv->out.id] == 1 && attr_is(conv, "act", "none") && !conv->in[p->res].id;
    return plain ? conv : NULL;
}

/* Weight w (and bias b, void or not) of a convolution folded with bn: two outputs. */
static Value fold_into(Rewrite *r, const Node *bn, Value w, Value b, int dim)
{
    return rewrite_emit(
        r, bn, &op_fold_conv,
        INS(w, rewrite_in(r, bn, 1), rewrite_in(r, bn, 2), rewrite_in(r, bn, 3), rewrite_in(r, bn, 4), b),
        ATTRS(A_FLOAT("eps", attr_float(bn, "eps")), A_INT("dim", dim)));
}

static void fold(Rewrite *r, const Node *bn, const Node *conv)
{
    const ConvPorts *p = conv_ports(conv->op);
    Value in[MAX_CONV_IN] = { 0 };
    for (int i = 0; i < conv->n_in; i++)
        in[i] = rewrite_in(r, conv, i);
    Value folded = fold_into(r, bn, in[p->w], in[p->b], p->out_dim);
    in[p->w] = folded;
    in[p->b] = value_at(folded, 1);
    if (p->bias_bank >= 0 && in[p->bias_bank].id)
        in[p->bias_bank] = fold_into(r, bn, in[p->bias_bank], (Value) { 0 }, p->out_dim);
    Attr attr[MAX_ATTRS];
    int n_attr = rewrite_attrs(conv, attr_text(bn, "act"), attr);
    r->map[bn->out.id] = rewrite_emit(r, conv, conv->op, in, conv->n_in, attr, n_attr);
}

Status pass_fold_batchnorm(const Graph *in, Graph **out, Error *err)
{
    Rewrite r;
    TRY(rewrite_begin(&r, in, err));
    for (int i = 0; i < graph_n_nodes(in); i++) {
        const Node *n = graph_node(in, i), *conv = foldable(&r, n);
        if (conv)
            fold(&r, n, conv);
        else
            rewrite_copy(&r, n); /* a convolution that was folded is left behind dead */
    }
    return rewrite_end(&r, out, err);
}
