/* SPDX-License-Identifier: Apache-2.0
 *
 * ops - the operators: what each computes (shapes, gradient, plain C reference), never how fast. One file per operator;
 * the folder is the registry, companions (an operator's gradient) hang on OpDef.also. */
#ifndef OPS_H
#define OPS_H

#include "graph/graph.h"

#define X(name) extern const OpDef op_##name;
#include <ops.gen.h>
#undef X

/* All operators, companions included. */
int ops_count(void);
const OpDef *ops_at(int i);
const OpDef *ops_find(const char *name); /* NULL when there is none */

/* Is it one of the activations that conv2d and batchnorm know as act=? (A unary operator of that name computes the
 * same.) */
bool act_known(const char *act);

/* graph_emit by name: EMIT(g, conv2d, INS(x, w), ATTRS(A_INT("stride", 2))) */
#define EMIT(g, name, ...) graph_emit(g, &op_##name, __VA_ARGS__)

#endif
