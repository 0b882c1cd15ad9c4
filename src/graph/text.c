/* SPDX-License-Identifier: Apache-2.0
 *
 * One notation for dumps, cases and messages: `name: op x[1,3,640,640] w[16,3,3,3] stride=2 -> [1,16,320,320]`. */
#include "graph/graph_impl.h"

static const Type *type_of(const Graph *g, const Type *types, Value v)
{
    return types ? &types[v.id] : &g->value[v.id].type;
}

static char *add(Arena *a, char *text, const char *fmt, const char *x, const char *y)
{
    if (!text) return NULL;
    char *part = arena_printf(a, fmt, x, y);
    return part ? arena_printf(a, "%s%s", text, part) : NULL;
}

char *node_text(const Graph *g, const Node *n, const Type *types, Arena *a)
{
    char shape[128], number[64];
    char *text = arena_printf(a, "%s: %s", n->name,
                              n->kind == NODE_OP      ? n->op->name
                              : n->kind == NODE_INPUT ? "input"
                              : n->kind == NODE_PARAM ? "param"
                                                      : "const");
    for (int i = 0; i < n->n_in; i++) {
        if (!n->in[i].id) {
            text = add(a, text, " %s%s", "-", "");
            continue;
        }
        snprintf(number, sizeof number, "%%%d", n->in[i].id);
        text = add(a, text, " %s%s", number, shape_text(&type_of(g, types, n->in[i])->shape, shape, sizeof shape));
    }
    for (int i = 0; i < n->n_attr; i++) {
        const Attr *at = &n->attr[i];
        snprintf(number, sizeof number, "%lld", (long long)at->i);
        if (at->kind == ATTR_FLOAT) snprintf(number, sizeof number, "%.9g", at->f);
        text = add(a, text, " %s=%s", at->name, at->kind == ATTR_TEXT ? at->s : number);
    }
    for (int i = 0; i < n->n_out; i++) {
        const Type *t = type_of(g, types, value_at(n->out, i));
        snprintf(number, sizeof number, "%s%%%d:%s", i ? " " : " -> ", n->out.id + i, dtype_name(t->dtype));
        text = add(a, text, "%s%s", number, shape_text(&t->shape, shape, sizeof shape));
    }
    return text;
}

char *graph_text(const Graph *g, const Type *types, Arena *a)
{
    size_t total = 1, at = 0;
    char **line = ARENA_ARRAY(a, char *, g->n_node + 1), *text;
    if (!line) return NULL;
    for (size_t i = 0; i < g->n_node; i++) {
        if (!(line[i] = node_text(g, g->node[i], types, a))) return NULL;
        total += strlen(line[i]) + 1;
    }
    if (!(text = arena_alloc(a, total))) return NULL;
    for (size_t i = 0; i < g->n_node; i++)
        at += (size_t)sprintf(text + at, "%s\n", line[i]);
    return text;
}
