/* SPDX-License-Identifier: Apache-2.0
 *
 * sort - stable order of confidences, best first: a radix sort of (key, index) pairs in three passes of eleven bits.
 *
 * The bits of a float, sign folded in, order like the float itself. Not for NaN. */
#include "eval/sort.h"

#include <string.h>

enum { RADIX_BITS = 11, RADIX = 1 << RADIX_BITS, PASSES = 3 };

static uint32_t falling_key(float f)
{
    uint32_t u;
    f += 0.f; /* -0 orders as 0 */
    memcpy(&u, &f, 4);
    return u >> 31 ? u : ~(u | 0x80000000u);
}

void sort_falling(const float *score, uint32_t *order, size_t n, uint64_t *pair)
{
    uint32_t count[PASSES][RADIX] = { { 0 } };
    uint64_t *from = pair, *to = pair + n;
    for (size_t i = 0; i < n; i++) {
        uint32_t key = falling_key(score[i]);
        from[i] = (uint64_t)key << 32 | (uint32_t)i;
        for (int p = 0; p < PASSES; p++)
            count[p][key >> p * RADIX_BITS & (RADIX - 1)]++;
    }
    for (int p = 0; p < PASSES; p++) {
        uint32_t at = 0;
        for (int d = 0; d < RADIX; d++) {
            uint32_t c = count[p][d];
            count[p][d] = at;
            at += c;
        }
        for (size_t i = 0; i < n; i++)
            to[count[p][from[i] >> (32 + p * RADIX_BITS) & (RADIX - 1)]++] = from[i];
        uint64_t *t = from;
        from = to, to = t;
    }
    for (size_t i = 0; i < n; i++)
        order[i] = (uint32_t)from[i];
}
