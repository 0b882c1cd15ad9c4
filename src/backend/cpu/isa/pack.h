/* SPDX-License-Identifier: Apache-2.0
 *
 * What packing of a convolution's weights is to the vector code of pack.c. */
#ifndef ISA_PACK_H
#define ISA_PACK_H

#include "backend/cpu/isa/conv.h"

/* The weight of output o, input i and packed tap k is w[o * output + i * input + tap[k]]. */
typedef struct PackJob {
    const float *w;
    char *to; /* in the order of conv.h, or, `inside`, with the taps of a step side by side */
    int64_t O, C, output, input;
    int64_t taps, plain_taps; /* packed ones; those that lie side by side in w */
    uint8_t tap[CONV_MAX_TAPS];
    ConvForm form;
    bool inside, winograd; /* winograd: 3x3 taps become 16 */
} PackJob;

static inline int64_t conv_steps(int64_t C, ConvForm f)
{
    return f.pairs ? (C + 1) / 2 : C;
}

#endif
