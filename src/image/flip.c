/* SPDX-License-Identifier: Apache-2.0
 *
 * flip - mirror a picture in place. */
#include "image/image.h"

#include <string.h>

/* A run of n pixels backwards into `to`, which does not overlap it: four bytes at a time, of which the next pixel
 * overwrites the last; the first one has nothing behind it to read. */
static void reverse(const uint8_t *from, int n, uint8_t *to)
{
    uint32_t v;
    memcpy(to, from + 3 * (ptrdiff_t)(n - 1), 3);
    for (int i = 1; i < n - 1; i++) {
        memcpy(&v, from + 3 * (ptrdiff_t)(n - 1 - i), 4);
        memcpy(to + 3 * (ptrdiff_t)i, &v, 4);
    }
    memcpy(to + 3 * (ptrdiff_t)(n - 1), from, 3);
}

void image_flip_lr(Image *im)
{
    enum { RUN = 128 };
    uint8_t left[3 * RUN], right[3 * RUN];
    for (int y = 0; y < im->h; y++) {
        uint8_t *a = im->data + (ptrdiff_t)y * im->stride_bytes, *b = a + 3 * (ptrdiff_t)im->w;
        for (ptrdiff_t pixels = im->w; pixels > 1;) {
            int n = (int)MIN(pixels / 2, RUN);
            b -= 3 * n;
            reverse(a, n, left);
            reverse(b, n, right);
            memcpy(a, right, (size_t)n * 3);
            memcpy(b, left, (size_t)n * 3);
            a += 3 * n, pixels -= 2 * n;
        }
    }
}

void image_flip_ud(Image *im)
{
    uint8_t part[512];
    for (int y = 0; y < im->h / 2; y++) {
        uint8_t *a = im->data + (ptrdiff_t)y * im->stride_bytes;
        uint8_t *b = im->data + (ptrdiff_t)(im->h - 1 - y) * im->stride_bytes;
        for (size_t left = (size_t)im->w * 3, n; left > 0; left -= n, a += n, b += n) {
            n = MIN(left, sizeof part);
            memcpy(part, a, n);
            memcpy(a, b, n);
            memcpy(b, part, n);
        }
    }
}
