/* SPDX-License-Identifier: Apache-2.0
 *
 * exif - the orientation tag (0x0112) in the first directory of a TIFF-structured block (EXIF 2.3, section 4.6), and
 * the turning that it asks for. All other tags are ignored. */
#include "image/codec.h"

#include <string.h>

int exif_orientation(const uint8_t *t, size_t n)
{
    bool little = n >= 8 && memcmp(t, "II*\0", 4) == 0;
    if (!little && (n < 8 || memcmp(t, "MM\0*", 4) != 0)) return 1;
    uint32_t at = little ? le32(t + 4) : be32(t + 4);
    if (at > n || n - at < 2) return 1;
    unsigned entries = little ? le16(t + at) : be16(t + at);
    for (size_t e = at + 2; entries > 0 && e + 12 <= n; entries--, e += 12) {
        if ((little ? le16(t + e) : be16(t + e)) != 0x0112) continue;
        int o = little ? le16(t + e + 8) : be16(t + e + 8);
        return o >= 1 && o <= 8 ? o : 1;
    }
    return 1;
}

/* dst(x, y) = src(y, x). Tiles keep both pictures' lines in the first cache level. */
static void transpose(const Image *src, Image *dst)
{
    enum { TILE = 32 };
    for (int ty = 0; ty < dst->h; ty += TILE)
        for (int tx = 0; tx < dst->w; tx += TILE)
            for (int y = ty; y < MIN(ty + TILE, dst->h); y++) {
                uint8_t *d = dst->data + (ptrdiff_t)y * dst->stride_bytes;
                for (int x = tx; x < MIN(tx + TILE, dst->w); x++)
                    memcpy(d + 3 * x, src->data + (ptrdiff_t)x * src->stride_bytes + 3 * (ptrdiff_t)y, 3);
            }
}

Status image_orient(Image *im, int orientation, Error *err)
{
    if (orientation >= 5 && orientation <= 8) { /* 5 transpose, 6 clockwise, 7 transverse, 8 counter-clockwise */
        Image t;
        TRY(image_new(&t, im->h, im->w, err));
        transpose(im, &t);
        image_free(im);
        *im = t;
    }
    if (orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7) image_flip_lr(im);
    if (orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8) image_flip_ud(im);
    return DYN_OK;
}
