/* SPDX-License-Identifier: Apache-2.0
 *
 * dce - drops what no output needs. A training batchnorm is kept by its output; nothing runs for its side effect alone.
 */
#include "passes/rewrite.h"

Status pass_dce(const Graph *in, Graph **out, Error *err)
{
    Rewrite r;
    TRY(rewrite_begin(&r, in, err));
    int n = graph_n_nodes(in);
    bool *live = ARENA_ARRAY(r.a, bool, n + 1);
    if (!live) {
        graph_fail(r.dst, DYN_NOMEM, "out of memory");
        return rewrite_end(&r, out, err);
    }
    for (int i = 0; i < graph_n_outputs(in); i++)
        live[value_node(in, graph_output_value(in, i))->id] = true;
    for (int i = n - 1; i >= 0; i--) {
        const Node *node = graph_node(in, i);
        for (int k = 0; live[i] && k < node->n_in; k++)
            if (node->in[k].id) live[value_node(in, node->in[k])->id] = true;
    }
    for (int i = 0; i < n; i++)
        if (live[i]) rewrite_copy(&r, graph_node(in, i));
    return rewrite_end(&r, out, err);
}
