/* SPDX-License-Identifier: Apache-2.0
 *
 * hsv - what the plain and the vector code of the colour augmentation share. */
#ifndef IMAGE_HSV_H
#define IMAGE_HSV_H

#include "image/image.h"

/* Hue in sixths of the circle, saturation and value in 0..1, of each 8-bit value, after a table where there is one. */
typedef struct HsvLevels {
    float h[256], s[256], v[256];
} HsvLevels;

/* image_hsv of the first pixels of a row, with AVX2 and FMA: returns how many it did, 0 where the processor has
 * neither. The same bits as the plain code. */
int hsv_row_avx2(uint8_t *rgb, int n, const HsvLevels *l);

#endif
