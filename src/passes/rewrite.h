/* SPDX-License-Identifier: Apache-2.0
 *
 * What passes share: a walk over the old graph that fills a map from old values to new ones. */
#ifndef REWRITE_H
#define REWRITE_H

#include "passes/passes.h"

typedef struct Rewrite {
    const Graph *src;
    Graph *dst;
    Value *map;            /* new value of each old value id */
    int *uses;             /* how many inputs and outputs read each old value */
    const Type *elsewhere; /* rewrite_same_type: types of the old values at another binding, NULL: the graph has none */
    bool bound;            /* it was asked for */
    Arena *a;
} Rewrite;

Status rewrite_begin(Rewrite *r, const Graph *src, Error *err);
/* Copies node n with mapped inputs; sets the map of all its outputs. */
void rewrite_copy(Rewrite *r, const Node *n);
static inline Value rewrite_in(const Rewrite *r, const Node *n, int i)
{
    return i < n->n_in ? r->map[n->in[i].id] : (Value) { 0 };
}
/* Emits with old node n's name and origin. */
Value rewrite_emit(Rewrite *r, const Node *n, const OpDef *op, const Value *in, int n_in, const Attr *attr, int n_attr);
/* The attributes of n with another act (NULL: its own) into attr; how many. */
enum { MAX_ATTRS = 32 };
int rewrite_attrs(const Node *n, const char *act, Attr attr[MAX_ATTRS]);
/* Old values are of one type whatever the graph is bound to. */
bool rewrite_same_type(Rewrite *r, Value a, Value b);
/* Every number of a's dtype is one of b's, whatever the graph is bound to. */
bool rewrite_widens(Rewrite *r, Value a, Value b);
/* A copy of the new graph's node p with one of its inputs replaced. */
Value rewrite_with_input(Rewrite *r, const Node *p, int port, Value v);
/* Carries the outputs over and hands out the new graph, or frees it on failure. */
Status rewrite_end(Rewrite *r, Graph **out, Error *err);

#endif
