/* SPDX-License-Identifier: Apache-2.0
 *
 * sort - stable order of confidences, best first. Private to eval. */
#ifndef EVAL_SORT_H
#define EVAL_SORT_H

#include "base/base.h"

/* order [n] becomes the indices of score [n] by falling value, equal values in index order. pair has room for 2*n. */
void sort_falling(const float *score, uint32_t *order, size_t n, uint64_t *pair);

#endif
