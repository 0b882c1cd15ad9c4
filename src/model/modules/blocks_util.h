/* SPDX-License-Identifier: Apache-2.0
 *
 * What the composite blocks share. */
#ifndef MODULES_BLOCKS_UTIL_H
#define MODULES_BLOCKS_UTIL_H

#include "model/builder.h"

typedef struct BottleneckOpt {
    int64_t c_out, hidden;
    int64_t k0, k1, groups; /* groups of the second convolution */
    bool shortcut;          /* adds the input when the channels agree */
} BottleneckOpt;

/* cv1 (k0), cv2 (k1), and the shortcut; x [N,C,H,W] -> [N,c_out,H,W]. */
Value block_bottleneck(Builder *b, const char *name, Value x, BottleneckOpt o);
/* m.0, m.1, ...: n bottlenecks one after another. out[i], when out is not NULL, is the result of the i-th. */
Value block_bottlenecks(Builder *b, Value x, int64_t n, BottleneckOpt o, Value *out);
/* int(c * e), at least 1: the hidden width of a block. */
int64_t block_hidden(int64_t c, double e);

#endif
