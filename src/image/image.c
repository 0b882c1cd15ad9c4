/* SPDX-License-Identifier: Apache-2.0
 *
 * image - pixel buffers: made, copied, viewed, filled, freed. */
#include "image/image.h"

#include <string.h>

Status image_new(Image *im, int w, int h, Error *err)
{
    *im = (Image) { 0 };
    if (w < 1 || h < 1 || w > IMAGE_MAX_SIDE || h > IMAGE_MAX_SIDE || (int64_t)w * h > IMAGE_MAX_PIXELS)
        return fail(err, DYN_FORMAT, "a picture of %d x %d pixels; 1 to %d a side and %lld in all are accepted", w, h,
                    IMAGE_MAX_SIDE, IMAGE_MAX_PIXELS);
    size_t bytes = (size_t)w * (size_t)h * 3;
    if (!(im->data = mem_alloc(bytes))) return fail_nomem(err, bytes);
    im->w = w, im->h = h, im->stride_bytes = 3 * w;
    return DYN_OK;
}

void image_free(Image *im)
{
    mem_free(im->data);
    *im = (Image) { 0 };
}

static uint8_t *row(const Image *im, int y)
{
    return im->data + (ptrdiff_t)y * im->stride_bytes;
}

Status image_copy(Image *dst, const Image *src, Error *err)
{
    TRY(image_new(dst, src->w, src->h, err));
    for (int y = 0; y < src->h; y++)
        memcpy(row(dst, y), row(src, y), (size_t)src->w * 3);
    return DYN_OK;
}

Image image_view(const Image *im, int x, int y, int w, int h)
{
    return (Image) { .w = w, .h = h, .stride_bytes = im->stride_bytes, .data = row(im, y) + 3 * (ptrdiff_t)x };
}

void image_fill(Image *im, uint8_t value)
{
    for (int y = 0; y < im->h; y++)
        memset(row(im, y), value, (size_t)im->w * 3);
}
