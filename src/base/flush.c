/* SPDX-License-Identifier: Apache-2.0 */
#include "base/flush.h"

#include <immintrin.h>

/* Results flushed to zero (FTZ), operands taken as zero (DAZ). */
enum { FLUSH = 0x8040 };

static void set_here(unsigned mode)
{
    _mm_setcsr((_mm_getcsr() & ~(unsigned)FLUSH) | mode);
}

static void set_all(int threads, unsigned mode)
{
    set_here(mode); /* first: a worker that is started inherits it */
    if (threads == 1) return;
    if (threads > 0) {
#pragma omp parallel num_threads(threads)
        set_here(mode);
    } else {
#pragma omp parallel
        set_here(mode);
    }
}

unsigned flush_begin(int threads)
{
    unsigned before = _mm_getcsr() & FLUSH;
    set_all(threads, FLUSH);
    return before;
}

void flush_end(int threads, unsigned before)
{
    set_all(threads, before);
}
