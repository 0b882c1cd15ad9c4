/* SPDX-License-Identifier: Apache-2.0
 *
 * Moments of columns from sums of f32 over a block of rows (Chan, Golub & LeVeque, 1979). */
#ifndef ISA_MOMENTS_H
#define ISA_MOMENTS_H

#include <stdint.h>

/* (mean, m2) of `before` rows merged with `count` rows, of which the sums of distances from `near` and of their squares
 * are known. */
static inline void moments_merge(double *restrict mean, double *restrict m2, const float *near, const float *sum,
                                 const float *square, int n, int64_t before, int64_t count)
{
    double each = 1 / (double)count, part = (double)count / (double)(before + count), cross = (double)before * part;
    for (int i = 0; i < n; i++) {
        double s = (double)sum[i], d = (double)near[i] + s * each - mean[i];
        m2[i] += (double)square[i] - s * s * each + d * d * cross;
        mean[i] += d * part;
    }
}

#endif
