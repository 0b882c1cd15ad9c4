/* SPDX-License-Identifier: Apache-2.0
 *
 * gif - the first frame, through stb_image (Debian's libstb-dev), compiled here with GIF alone. Transparent pixels show
 * the colour that their palette entry has, black where no frame draws. */
#include "image/codec.h"

#include <limits.h>
#include <string.h>

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_GIF
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-function" /* told at the end of this file, hence before the push */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#endif
#include <stb/stb_image.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

static bool sniff(const uint8_t *b, size_t n)
{
    return n >= 10 && (memcmp(b, "GIF87a", 6) == 0 || memcmp(b, "GIF89a", 6) == 0);
}

static Status header(const CodecInput *in, CodecHeader *h, Error *err)
{
    h->w = le16(in->bytes + 6), h->h = le16(in->bytes + 8);
    return DYN_OK;
}

static Status decode(const CodecInput *in, const CodecHeader *h, Image *out, Error *err)
{
    int w, hh, channels;
    if (in->n > INT_MAX) return fail(err, DYN_UNSUPPORTED, "GIF of %zu bytes", in->n);
    uint8_t *rgba = stbi_load_from_memory(in->bytes, (int)in->n, &w, &hh, &channels, 4);
    if (!rgba) return fail(err, DYN_FORMAT, "GIF: %s", stbi_failure_reason());
    Status s = DYN_OK;
    if (w != h->w || hh != h->h) s = fail(err, DYN_FORMAT, "GIF with frames of an unexpected size");
    for (size_t i = 0, n = (size_t)h->w * (size_t)h->h; s == DYN_OK && i < n; i++)
        memcpy(out->data + 3 * i, rgba + 4 * i, 3);
    stbi_image_free(rgba);
    return s;
}

const Codec codec_gif = { .name = "gif", .extensions = "gif", .sniff = sniff, .header = header, .decode = decode };
