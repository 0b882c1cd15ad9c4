/* SPDX-License-Identifier: Apache-2.0
 *
 * fold_batchnorm - an inference batchnorm after a convolution that nobody else reads goes into the convolution's
 * weights. The folded weights are one node over parameters (fold_conv), so that the graph stays valid when parameters
 * change. */
#include "ops/ops.h"
#include "passes/rewrite.h"

/* The convolution under batchnorm n when it can take it, else NULL. */
static const Node *foldable(const Rewrite *r, const Node *n)
{
    if (n->op != &op_batchnorm || attr_int(n, "train") || r->uses[n->out.id + 1] || r->uses[n->out.id + 2]) return NULL;
    const Node *conv = value_node(r->src, n->in[0]);
    bool plain = conv->op == &op_conv2d && r->uses[conv->out.id] == 1 && attr_is(conv, "act", "none") &&
                 !(conv->n_in > 3 && conv->in[3].id);
    return plain ? conv : NULL;
}

static void fold(Rewrite *r, const Node *bn, const Node *conv)
{
    Value w = rewrite_in(r, conv, 1), b = rewrite_in(r, conv, 2);
    Value folded =
        rewrite_emit(r, bn, &op_fold_conv,
                     INS(w, rewrite_in(r, bn, 1), rewrite_in(r, bn, 2), rewrite_in(r, bn, 3), rewrite_in(r, bn, 4), b),
                     ATTRS(A_FLOAT("eps", attr_float(bn, "eps"))));
    Attr attr[32];
    int n_attr = MIN(conv->n_attr, (int)COUNT_OF(attr));
    for (int i = 0; i < n_attr; i++) {
        attr[i] = conv->attr[i];
        if (str_eq(attr[i].name, "act")) attr[i].s = attr_text(bn, "act");
    }
    r->map[bn->out.id] =
        rewrite_emit(r, conv, &op_conv2d, INS(rewrite_in(r, conv, 0), folded, value_at(folded, 1)), attr, n_attr);
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
