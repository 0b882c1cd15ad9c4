/* SPDX-License-Identifier: Apache-2.0
 *
 * train_mode - batchnorm takes batch statistics and updates the running ones, except where its weight is frozen. */
#include "ops/ops.h"
#include "passes/rewrite.h"

Status pass_train_mode(const Graph *in, Graph **out, Error *err)
{
    Rewrite r;
    TRY(rewrite_begin(&r, in, err));
    for (int i = 0; i < graph_n_nodes(in); i++) {
        const Node *n = graph_node(in, i);
        rewrite_copy(&r, n);
        if (n->op != &op_batchnorm) continue;
        const Node *gamma = value_node(in, n->in[1]);
        if (gamma->kind == NODE_PARAM && !graph_param_spec(in, gamma->param)->trainable) continue;
        Value copy = r.map[n->out.id];
        if (!copy.id) break;
        Node *made = (Node *)value_node(r.dst, copy);
        for (int k = 0; k < made->n_attr; k++)
            if (str_eq(made->attr[k].name, "train")) made->attr[k].i = 1;
    }
    return rewrite_end(&r, out, err);
}
