/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <stdatomic.h>
#include <stdlib.h>

static atomic_long fail_countdown; /* 0: off; 1: the next allocation fails, and every one after it */

void mem_fail_after(long n)
{
    atomic_store(&fail_countdown, n);
}

static bool must_fail(void)
{
    long n = atomic_load(&fail_countdown);
    while (n > 1)
        if (atomic_compare_exchange_weak(&fail_countdown, &n, n - 1)) return false;
    return n == 1;
}

void *mem_alloc(size_t bytes)
{
    if (bytes > SIZE_MAX - 64 || must_fail()) return NULL;
    return aligned_alloc(64, bytes ? (bytes + 63) / 64 * 64 : 64);
}

void mem_free(void *p)
{
    free(p);
}
