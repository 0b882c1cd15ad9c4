/* SPDX-License-Identifier: Apache-2.0
 *
 * What a 1x1 convolution of sub-pixels (operator subpixel_linear) is to the vector code of subpixel.c: pixels of C * S
 * channels become pixels of O * S, channel c * S + s being input c at position s of S = scale^2. */
#ifndef ISA_SUBPIXEL_H
#define ISA_SUBPIXEL_H

typedef struct SubpixelJob {
    int64_t C, O, S;
    const float *w;    /* [O][C] */
    const float *wide; /* [O][C * S]: every weight S times, where subpixel_wide says so */
    const float *bias; /* [O], NULL: none */
} SubpixelJob;

/* Positions repeat within a vector of any level, and a pixel's results fit where the code keeps them. */
enum { SUBPIXEL_MAX_OUT = 64 };
static inline bool subpixel_wide(int64_t O, int64_t S)
{
    return (S == 1 || S == 4) && O <= SUBPIXEL_MAX_OUT;
}

#endif
