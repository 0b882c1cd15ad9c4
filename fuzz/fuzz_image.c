/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a picture: the content picks the codec. A picture that decodes must have the size that the probe told,
 * and the warp and the resize must stay within it. Corpus: tests/data/image. */
#include "image/image.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t n, size_t max);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const double turn[6] = { 0.9, 0.3, -2, -0.2, 1.1, 1 };
    Error err;
    ImageInfo info;
    Image im, small = { 0 };
    uint8_t out[3 * 16 * 16];
    if (image_probe(bytes, n, "fuzz", &info, &err) != DYN_OK) return 0;
    if ((int64_t)info.w * info.h > 1 << 16) return 0; /* for speed; larger ones differ in nothing */
    if (image_decode(bytes, n, "fuzz", &im, &err) == DYN_OK) {
        if (im.w != info.w || im.h != info.h) abort();
        small = (Image) { .w = 16, .h = 16, .stride_bytes = 48, .data = out };
        if (image_resize_into(&im, &small, &err) != DYN_OK) abort();
        if (image_warp_affine(&im, turn, IMAGE_PAD, &small, &err) != DYN_OK) abort();
        image_free(&im);
    } else if (strlen(err.text) < 10) {
        abort();
    }
    if (image_decode_tolerant(bytes, n, "fuzz", &im, &err) == DYN_OK) image_free(&im);
    return 0;
}

/* The checksum of every chunk of a PNG, which would else keep a mutation from being read. */
static void mend_png(uint8_t *b, size_t n)
{
    if (n < 8 || memcmp(b, "\x89PNG\r\n\x1a\n", 8) != 0) return;
    for (size_t p = 8; n - p >= 12;) {
        size_t len = (size_t)b[p] << 24 | (size_t)b[p + 1] << 16 | (size_t)b[p + 2] << 8 | b[p + 3];
        if (len > n - p - 12) return;
        uint32_t crc = (uint32_t)crc32(0, b + p + 4, (uInt)len + 4);
        for (int i = 0; i < 4; i++)
            b[p + 8 + len + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
        p += 12 + len;
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t max, unsigned seed)
{
    n = LLVMFuzzerMutate(bytes, n, max);
    if (seed % 8) mend_png(bytes, n);
    return n;
}
