/* SPDX-License-Identifier: Apache-2.0
 *
 * flip - mirror a picture in place. */
#include "image/image.h"

#include <string.h>

void image_flip_lr(Image *im)
{
    for (int y = 0; y < im->h; y++) {
        uint8_t *a = im->data + (ptrdiff_t)y * im->stride_bytes, *b = a + 3 * (ptrdiff_t)(im->w - 1);
        for (; a < b; a += 3, b -= 3)
            for (int c = 0; c < 3; c++) {
                uint8_t t = a[c];
                a[c] = b[c], b[c] = t;
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
