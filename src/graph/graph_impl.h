/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GRAPH_IMPL_H
#define GRAPH_IMPL_H

#include "graph/graph.h"

typedef struct ValueInfo {
    int node, index;
    Type type; /* nominal */
} ValueInfo;

typedef struct NamedValue {
    const char *name;
    Value v;
} NamedValue;

struct Graph {
    Arena *a;
    Error err; /* sticky: status DYN_OK while all is well */
    Binding nominal;
    Origin origin;
    const char *scope;
    const char *text_file; /* that it was read from; NULL */
    Node **node;
    size_t n_node, cap_node;
    ValueInfo *value; /* value[0] is void */
    size_t n_value, cap_value;
    ParamSpec **param;
    size_t n_param, cap_param;
    int *slot; /* [n_slot], a power of two or 0: open addressing by name, index + 1 of a parameter, 0 is free */
    size_t n_slot;
    int64_t slab_n;
    NamedValue *output;
    size_t n_output, cap_output;
};

extern const char *const param_kind_names[N_PARAM_KIND], *const init_kind_names[N_INIT_KIND];
/* Adds to the parameter list, without a value; name must be new and live in the graph's arena. NULL: the graph failed.
 */
ParamSpec *graph_declare(Graph *g, const char *name, ParamKind kind, Shape shape, Init init);
/* A node for parameter `index` of the list. */
Value graph_param_leaf(Graph *g, int index);
/* A copy of the name in the graph's arena. */
const char *graph_name(Graph *g, const char *name);

/* Fills n->attr with op's attributes in declared order: the given ones, else the defaults. */
bool attrs_complete(Graph *g, Node *n, const OpDef *op, const Attr *given, int n_given);
/* Resolves symbols of a leaf's type for a binding. */
Type leaf_type(const Node *n, const Binding *b);
/* Runs n's infer on the given input types. */
Status node_infer(const Graph *g, const Node *n, const Binding *b, const Type *in, Type *out, Error *err);

#endif
