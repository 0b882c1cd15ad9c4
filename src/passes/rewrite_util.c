/* SPDX-License-Identifier: Apache-2.0 */
#include "passes/rewrite.h"

Status rewrite_begin(Rewrite *r, const Graph *src, Error *err)
{
    size_t n = (size_t)graph_n_values(src) + 1;
    *r = (Rewrite) { .src = src };
    TRY(graph_status(src, err));
    TRY(graph_new_like(src, &r->dst, err));
    r->a = arena_new();
    if (!r->a || !(r->map = ARENA_ARRAY(r->a, Value, n)) || !(r->uses = ARENA_ARRAY(r->a, int, n))) {
        graph_free(&r->dst);
        if (r->a) arena_free(&r->a);
        return fail_nomem(err, n * sizeof(Value));
    }
    for (int i = 0; i < graph_n_nodes(src); i++) {
        const Node *node = graph_node(src, i);
        for (int k = 0; k < node->n_in; k++)
            r->uses[node->in[k].id]++;
    }
    for (int i = 0; i < graph_n_outputs(src); i++)
        r->uses[graph_output_value(src, i).id]++;
    return DYN_OK;
}

static void map_outputs(Rewrite *r, const Node *n, Value v)
{
    for (int k = 0; k < n->n_out; k++)
        r->map[n->out.id + k] = value_at(v, k);
}

void rewrite_copy(Rewrite *r, const Node *n)
{
    Value in[64];
    for (int k = 0; k < n->n_in; k++)
        in[k] = r->map[n->in[k].id];
    map_outputs(r, n, graph_copy(r->dst, n, in));
}

Value rewrite_emit(Rewrite *r, const Node *n, const OpDef *op, const Value *in, int n_in, const Attr *attr, int n_attr)
{
    const char *old = graph_push(r->dst, "%s", n->name);
    graph_set_origin(r->dst, n->origin);
    Value v = graph_emit(r->dst, op, in, n_in, attr, n_attr);
    graph_pop(r->dst, old);
    return v;
}

int rewrite_attrs(const Node *n, const char *act, Attr attr[MAX_ATTRS])
{
    int n_attr = MIN(n->n_attr, MAX_ATTRS);
    for (int i = 0; i < n_attr; i++) {
        attr[i] = n->attr[i];
        if (act && str_eq(attr[i].name, "act")) attr[i].s = act;
    }
    return n_attr;
}

/* Types at a binding that shares no size and no precision with the nominal one: what is equal in both is equal in all,
 * a batch of one or a map that is repeated over the batch do not pass for the other. NULL: the graph does not bind. */
static const Type *types_elsewhere(const Graph *g, Arena *a)
{
    Error unused;
    Type *types;
    Binding b = { .batch = 2, .height = 704, .width = 768, .targets = 64, .act = BF16 };
    return graph_bind(g, &b, a, &types, &unused) == DYN_OK ? types : NULL;
}

static bool same_type(const Type *a, const Type *b)
{
    return a->dtype == b->dtype && a->rowmajor == b->rowmajor && shape_eq(&a->shape, &b->shape);
}

/* At the nominal binding and at another. */
static bool hold_everywhere(Rewrite *r, bool (*holds)(const Type *, const Type *), Value a, Value b)
{
    if (!r->bound) r->elsewhere = types_elsewhere(r->src, r->a), r->bound = true;
    return r->elsewhere && holds(value_type(r->src, a), value_type(r->src, b)) &&
           holds(&r->elsewhere[a.id], &r->elsewhere[b.id]);
}

bool rewrite_same_type(Rewrite *r, Value a, Value b)
{
    return hold_everywhere(r, same_type, a, b);
}

static bool widens(const Type *a, const Type *b)
{
    return a->dtype == b->dtype || (a->dtype == BF16 && b->dtype == F32);
}

bool rewrite_widens(Rewrite *r, Value a, Value b)
{
    return hold_everywhere(r, widens, a, b);
}

Value rewrite_with_input(Rewrite *r, const Node *p, int port, Value v)
{
    Value in[64];
    for (int i = 0; i < p->n_in; i++)
        in[i] = i == port ? v : p->in[i];
    return graph_copy(r->dst, p, in);
}

Status rewrite_end(Rewrite *r, Graph **out, Error *err)
{
    for (int i = 0; i < graph_n_outputs(r->src); i++)
        graph_output(r->dst, graph_output_name(r->src, i), r->map[graph_output_value(r->src, i).id]);
    Status s = graph_status(r->dst, err);
    arena_free(&r->a);
    if (s != DYN_OK)
        graph_free(&r->dst);
    else
        *out = r->dst;
    return s;
}
