/* SPDX-License-Identifier: Apache-2.0
 *
 * Subnormal numbers as zeros. Below 1e-38 a processor takes a hundred cycles for what it else does in one; gradients
 * that fade and momenta of what no longer moves end there, and no result can tell them from zero. The mode belongs to a
 * thread: it is set on the calling thread and on the workers of parallel regions (0 threads: as many as such a region
 * has by itself) and put back on all of them to what the caller had, because host programs share those workers. */
#ifndef FLUSH_H
#define FLUSH_H

#include "base/base.h"

unsigned flush_begin(int threads);
void flush_end(int threads, unsigned before);

#endif
