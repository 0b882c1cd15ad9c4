/* SPDX-License-Identifier: Apache-2.0
 *
 * train_mode - batchnorm takes batch statistics and updates the running ones, except where its weight is frozen;
 * drop_path drops. */
#include "ops/ops.h"
#include "passes/rewrite.h"

/* x times what chance says; the draw is an input "random:NAME" of one number a sample. */
static void drop(Rewrite *r, const Node *n)
{
    char name[512];
    snprintf(name, sizeof name, RANDOM_INPUT "%s", n->name);
    Value u = graph_input(r->dst, name, (Type) { .dtype = F32, .shape = SHAPE(DIM_BATCH, 1, 1, 1) });
    Value s = rewrite_emit(r, n, &op_drop_scale, INS(u), ATTRS(A_FLOAT("rate", attr_float(n, "rate"))));
    r->map[n->out.id] = rewrite_emit(r, n, &op_mul, INS(rewrite_in(r, n, 0), s), NO_ATTRS);
}

Status pass_train_mode(const Graph *in, Graph **out, Error *err)
{
    Rewrite r;
    TRY(rewrite_begin(&r, in, err));
    for (int i = 0; i < graph_n_nodes(in); i++) {
        const Node *n = graph_node(in, i);
        if (n->op == &op_drop_path) {
            drop(&r, n);
            continue;
        }
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
