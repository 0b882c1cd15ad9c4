/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two ways of conv_amx.c share: rows of an image copied with zeros around them, and where results go. */
#ifndef CONV_BAND_H
#define CONV_BAND_H

#include "backend/cpu/isa/isa.h"

#if defined(__AMX_BF16__)
/* Row h of image `image`, from the padding on: `cols` pixels, zeros where there is none, to pixels of `pixel` bytes,
 * up to 63 more than it has, which become zero. */
void conv_band_row(const ConvJob *j, int64_t pixel, int64_t cols, int64_t image, int64_t h, char *to);

/* Pairs of channels. */
static inline int64_t conv_pixel_steps(const ConvJob *j)
{
    return (j->C + 1) / 2;
}

/* The pixel of y where row h of the result of an image begins. */
static inline int64_t conv_result_row(const ConvJob *j, int64_t image, int64_t h)
{
    return (image * j->y_high + h * j->y_every + j->y_top) * j->y_wide + j->y_left;
}
#endif

#endif
