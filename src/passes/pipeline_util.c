/* SPDX-License-Identifier: Apache-2.0
 *
 * The pipelines of passes, and the check that runs after each of them in debug builds. */
#include "passes/passes.h"

typedef Status PassFn(const Graph *in, Graph **out, Error *err);

static Status verify_all(const Graph *g, Error *err)
{
#ifdef NDEBUG
    return DYN_OK;
#else
    return graph_verify(g, err);
#endif
}

/* Runs one pass on *g and puts its result in place; the old graph is freed unless it is the caller's. */
static Status step(PassFn *pass, const Graph *original, Graph **g, Error *err)
{
    Graph *next;
    Status s = pass(*g ? *g : original, &next, err);
    if (s == DYN_OK) {
        graph_free(g);
        *g = next;
        s = verify_all(next, err);
    }
    if (s != DYN_OK) graph_free(g);
    return s;
}

static Status run(PassFn *const *pass, const Graph *in, Graph **out, Error *err)
{
    *out = NULL;
    for (; *pass; pass++)
        TRY(step(*pass, in, out, err));
    return DYN_OK;
}

Status passes_inference(const Graph *in, Graph **out, Error *err)
{
    static PassFn *const list[] = { pass_fold_batchnorm, pass_reassociate, pass_dce, pass_fuse, pass_dce, NULL };
    return run(list, in, out, err);
}

Status passes_training(const Graph *in, const char *loss, Graph **out, Error *err)
{
    static PassFn *const before[] = { pass_train_mode, pass_reassociate, pass_dce, pass_fuse, pass_dce, NULL };
    Graph *forward;
    TRY(run(before, in, &forward, err));
    Status s = pass_autodiff(forward, loss, out, err);
    graph_free(&forward);
    static PassFn *const after[] = { pass_dce, pass_fuse_grads, pass_dce, NULL };
    for (PassFn *const *pass = after; *pass && s == DYN_OK; pass++)
        s = step(*pass, NULL, out, err);
    return s;
}

/* An image of fixed size among the inputs: the graph fits its nominal sizes only, for which types were inferred when
 * its nodes were emitted. */
static bool fixed_size(const Graph *g)
{
    for (int i = 0; i < graph_n_nodes(g); i++) {
        const Node *n = graph_node(g, i);
        const int64_t *d = n->leaf.shape.dim;
        if (n->kind == NODE_INPUT && n->leaf.shape.rank == 4 && d[0] > 0 && d[2] > 0 && d[3] > 0) return true;
    }
    return false;
}

Status graph_verify(const Graph *g, Error *err)
{
    Type *types;
    Arena *a = arena_new();
    Status s = DYN_OK;
    if (!a) return fail_nomem(err, 1);
    for (int i = 0; i < graph_n_nodes(g) && s == DYN_OK; i++) {
        const Node *n = graph_node(g, i);
        for (int k = 0; k < n->n_in && s == DYN_OK; k++)
            if (n->in[k].id && value_node(g, n->in[k])->id >= i)
                s = fail(err, DYN_SHAPE, "graph: node %d reads a later node", i);
    }
    if (s == DYN_OK && !fixed_size(g)) s = graph_bind(g, &(Binding) { 2, 640, 640, 64, F32 }, a, &types, err);
    arena_free(&a);
    return s;
}
