/* SPDX-License-Identifier: Apache-2.0
 *
 * codec - what a file in codecs/ is: one still-picture format, known by being there. Private to the room. */
#ifndef IMAGE_CODEC_H
#define IMAGE_CODEC_H

#include "image/image.h"

typedef struct CodecInput {
    const uint8_t *bytes;
    size_t n;
    const char *name; /* for messages */
    bool tolerant;    /* truncated data: return what is there */
} CodecInput;

typedef struct CodecHeader {
    int w, h;        /* as stored */
    int orientation; /* EXIF 1..8 */
} CodecHeader;

typedef struct Codec {
    const char *name;                              /* file name of the codec = name of the format */
    const char *extensions;                        /* "jpg jpeg" */
    bool (*sniff)(const uint8_t *bytes, size_t n); /* by the first bytes */
    /* Needs no more of the file than the header; fails on what the prefix given does not hold. */
    Status (*header)(const CodecInput *in, CodecHeader *h, Error *err);
    /* Stored pixels, not yet turned, into out = image_new(header size), made by the caller. */
    Status (*decode)(const CodecInput *in, const CodecHeader *h, Image *out, Error *err);
} Codec;

/* Orientation of a TIFF-structured EXIF block ("II*\0..." or "MM\0*..."), 1 when absent or not in 1..8. */
int exif_orientation(const uint8_t *tiff, size_t n);

static inline uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}
static inline uint16_t be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}
static inline uint16_t le16(const uint8_t *p)
{
    return (uint16_t)(p[1] << 8 | p[0]);
}

#endif
