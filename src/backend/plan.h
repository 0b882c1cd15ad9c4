/* SPDX-License-Identifier: Apache-2.0
 *
 * plan - addresses: buffers with lifetimes are laid into one slab so that no two that live at the same step overlap. */
#ifndef PLAN_H
#define PLAN_H

#include "base/base.h"

typedef struct PlanBuffer {
    size_t bytes;
    int first, last; /* steps, inclusive */
    size_t offset;   /* result; a multiple of 64 */
} PlanBuffer;

typedef struct PlanResult {
    size_t bytes;     /* of the slab */
    size_t unshared;  /* sum of all buffers */
    int peak_step;    /* where the live bytes are highest */
    size_t peak_live; /* that sum: no plan can do with less */
} PlanResult;

/* Largest first, each at the lowest offset that is free during its life. */
Status plan_buffers(PlanBuffer *b, int n, int n_steps, Arena *a, PlanResult *out, Error *err);

#endif
