/* SPDX-License-Identifier: Apache-2.0
 *
 * build - between model.c, build.c and lint.c. */
#ifndef MODEL_BUILD_H
#define MODEL_BUILD_H

#include "model/rows.h"

/* Fills m's graph (empty, made by the caller), rows, strides and counts. */
Status model_build_graph(Model *m, const Description *d, const ModelOptions *o, Error *err);
/* Warns of what the rows of a built model say and seldom mean. */
void model_lint(Model *m);

#endif
