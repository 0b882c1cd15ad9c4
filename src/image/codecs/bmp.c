/* SPDX-License-Identifier: Apache-2.0
 *
 * bmp - Windows and OS/2 bitmaps: 1, 4, 8 bits with palette, RLE4 and RLE8, 16, 24, 32 bits with or without masks,
 * either row order. Written here because no decoder in Debian reads the run-length ones. Source: the BITMAPINFOHEADER
 * family as Microsoft documents it ([MS-WMF] 2.2.2.3, 2.2.2.9; "Bitmap Compression"). Alpha is dropped. Masked channels
 * are scaled to the full range, value * 255 / max, as Pillow does. Embedded JPEG and PNG are refused. */
#include "image/codec.h"

#include <string.h>

typedef struct Bitmap {
    const uint8_t *pixels, *end;
    int w, h, bits;
    bool top_down, rle;
    uint32_t mask[3]; /* R, G, B of 16 and 32 bits */
    uint8_t palette[256][3];
} Bitmap;

static bool sniff(const uint8_t *b, size_t n)
{
    return n >= 26 && b[0] == 'B' && b[1] == 'M' && (le32(b + 14) == 12 || (le32(b + 14) >= 16 && le32(b + 14) <= 256));
}

/* Size and sign of the height; both header families. */
static Status read_size(const CodecInput *in, Bitmap *m, Error *err)
{
    const uint8_t *b = in->bytes;
    if (le32(b + 14) == 12) {
        m->w = le16(b + 18), m->h = le16(b + 20);
        return DYN_OK;
    }
    int64_t w = (int32_t)le32(b + 18), h = (int32_t)le32(b + 22);
    m->top_down = h < 0;
    if (h < 0) h = -h;
    if (w < 1 || h < 1 || w > IMAGE_MAX_SIDE || h > IMAGE_MAX_SIDE)
        return fail(err, DYN_FORMAT, "BMP says %lld x %lld pixels; 1 to %d a side are accepted", (long long)w,
                    (long long)h, IMAGE_MAX_SIDE);
    m->w = (int)w, m->h = (int)h;
    return DYN_OK;
}

static Status header(const CodecInput *in, CodecHeader *h, Error *err)
{
    Bitmap m = { 0 };
    TRY(read_size(in, &m, err));
    h->w = m.w, h->h = m.h;
    return DYN_OK;
}

/* Compression: 0 none, 1 RLE8, 2 RLE4, 3 masks, 6 masks with alpha. */
static Status read_masks(const CodecInput *in, Bitmap *m, uint32_t size, uint32_t compression, Error *err)
{
    static const uint32_t plain16[3] = { 0x7c00, 0x03e0, 0x001f }, plain32[3] = { 0xff0000, 0xff00, 0xff };
    memcpy(m->mask, m->bits == 16 ? plain16 : plain32, sizeof m->mask);
    if (compression != 3 && compression != 6) return DYN_OK;
    if (m->bits != 16 && m->bits != 32) return fail(err, DYN_FORMAT, "BMP of %d bits with colour masks", m->bits);
    if (in->n < 66) return fail(err, DYN_FORMAT, "BMP ends inside its colour masks");
    for (int c = 0; c < 3; c++) {
        uint32_t mask = m->mask[c] =
            le32(in->bytes + 54 + 4 * c); /* the same place after a short and in a long header */
        uint32_t run = mask ? mask >> __builtin_ctz(mask) : 0;
        if (mask == 0 || (run & (run + 1)) != 0)
            return fail(err, DYN_FORMAT, "BMP with colour mask %08X, which is not one run of bits", (unsigned)mask);
    }
    return DYN_OK;
}

static Status read_palette(const CodecInput *in, Bitmap *m, uint32_t at, uint32_t used, int entry, Error *err)
{
    uint32_t n = 1u << m->bits;
    if (used > 0 && used < n) n = used;
    for (uint32_t i = 0; i < n; i++) {
        size_t p = at + (size_t)i * (size_t)entry;
        if (p + 3 > in->n) return fail(err, DYN_FORMAT, "BMP ends inside its palette, entry %u", (unsigned)i);
        for (int c = 0; c < 3; c++)
            m->palette[i][c] = in->bytes[p + 2 - (size_t)c];
    }
    return DYN_OK;
}

static Status read_bitmap(const CodecInput *in, Bitmap *m, Error *err)
{
    const uint8_t *b = in->bytes;
    uint32_t at = le32(b + 10), size = le32(b + 14), compression = 0, used = 0;
    TRY(read_size(in, m, err));
    if (in->n < 14 + (size_t)size) return fail(err, DYN_FORMAT, "BMP ends inside its header, at byte %zu", in->n);
    m->bits = le16(b + (size == 12 ? 24 : 28));
    if (size >= 40) compression = le32(b + 30), used = le32(b + 46);
    m->rle = (compression == 1 && m->bits == 8) || (compression == 2 && m->bits == 4);
    if (!m->rle && compression != 0 && compression != 3 && compression != 6)
        return fail(err, DYN_UNSUPPORTED, "BMP compression %u with %d bits", (unsigned)compression, m->bits);
    if (m->rle && m->top_down) return fail(err, DYN_FORMAT, "BMP that is run-length coded and top-down at once");
    TRY(read_masks(in, m, size, compression, err));
    if (m->bits == 1 || m->bits == 4 || m->bits == 8)
        TRY(read_palette(in, m, 14 + size, used, size == 12 ? 3 : 4, err));
    else if (m->bits != 16 && m->bits != 24 && m->bits != 32)
        return fail(err, DYN_UNSUPPORTED, "BMP of %d bits a pixel", m->bits);
    if (at > in->n)
        return fail(err, DYN_FORMAT, "BMP says that its pixels begin at byte %u of %zu", (unsigned)at, in->n);
    m->pixels = b + at, m->end = b + in->n;
    return DYN_OK;
}

static uint8_t *row(const Bitmap *m, const Image *out, int y)
{
    return out->data + (size_t)(m->top_down ? y : m->h - 1 - y) * (size_t)out->stride_bytes;
}

static uint8_t channel(uint32_t pixel, uint32_t mask)
{
    int shift = __builtin_ctz(mask);
    uint64_t max = mask >> shift;
    return (uint8_t)(((pixel & mask) >> shift) * 255ull / max);
}

static void unpack_row(const Bitmap *m, const uint8_t *p, uint8_t *rgb)
{
    for (int x = 0; x < m->w; x++, rgb += 3) {
        if (m->bits <= 8) {
            int per = 8 / m->bits, index = p[x / per] >> (8 - m->bits - x % per * m->bits) & ((1 << m->bits) - 1);
            memcpy(rgb, m->palette[index], 3);
        } else if (m->bits == 24) {
            for (int c = 0; c < 3; c++)
                rgb[c] = p[3 * x + 2 - c];
        } else {
            uint32_t v = m->bits == 16 ? le16(p + 2 * x) : le32(p + 4 * x);
            for (int c = 0; c < 3; c++)
                rgb[c] = channel(v, m->mask[c]);
        }
    }
}

static Status unpack(const Bitmap *m, Image *out, Error *err)
{
    size_t line = ((size_t)m->w * (size_t)m->bits + 31) / 32 * 4, whole = ((size_t)m->w * (size_t)m->bits + 7) / 8;
    size_t have = (size_t)(m->end - m->pixels), want = line * (size_t)(m->h - 1) + whole; /* last padding may lack */
    if (have < want)
        return fail(err, DYN_FORMAT, "BMP is truncated: %zu bytes of pixels where %zu are needed", have, want);
    for (int y = 0; y < m->h; y++)
        unpack_row(m, m->pixels + line * (size_t)y, row(m, out, y));
    return DYN_OK;
}

/* n pixels at (x, y): run colours alternate between the two nibbles of RLE4; a literal takes them one after another. */
static void put(const Bitmap *m, Image *out, int x, int y, int n, const uint8_t *from, bool literal)
{
    for (int i = 0; i < n; i++, x++) {
        int k = literal ? i : i & 1;
        int index = m->bits == 8 ? from[literal ? i : 0] : k & 1 ? from[k / 2] & 15 : from[k / 2] >> 4;
        memcpy(row(m, out, y) + 3 * (size_t)x, m->palette[index], 3);
    }
}

/* Pairs (n, v): n > 0 a run; (0, 0) end of line, (0, 1) end of picture, (0, 2) jump by the next two bytes, (0, n) n
 * literals, padded to 16 bits. Pixels that are jumped over keep palette entry 0. */
static Status unpack_rle(const Bitmap *m, Image *out, Error *err)
{
    const uint8_t *p = m->pixels;
    int x = 0, y = 0;
    for (int r = 0; r < m->h; r++)
        for (int i = 0; i < m->w; i++)
            memcpy(row(m, out, r) + 3 * (size_t)i, m->palette[0], 3);
    while (m->end - p >= 2) {
        int n = p[0], v = p[1];
        bool literal = n == 0 && v > 2;
        if (n == 0 && v == 1) return DYN_OK;
        p += 2;
        if (n == 0 && v == 0) {
            x = 0, y++;
        } else if (n == 0 && v == 2) {
            if (m->end - p < 2) break;
            x += p[0], y += p[1], p += 2;
        } else {
            int count = literal ? v : n, bytes = literal ? (m->bits == 8 ? v : (v + 1) / 2) : 0;
            if (m->end - p < bytes) break;
            if (y >= m->h || count > m->w - x)
                return fail(err, DYN_FORMAT, "BMP: a run of %d pixels at (%d, %d) leaves the picture", count, x, y);
            put(m, out, x, y, count, literal ? p : p - 1, literal);
            x += count, p += MIN((bytes + 1) & ~1, (int)(m->end - p));
        }
        if (x > m->w || y > m->h) return fail(err, DYN_FORMAT, "BMP: a jump to (%d, %d) leaves the picture", x, y);
    }
    if (y >= m->h - 1 && x == m->w) return DYN_OK; /* all there but the end code */
    return fail(err, DYN_FORMAT, "BMP is truncated: its run-length data ends at (%d, %d)", x, y);
}

static Status decode(const CodecInput *in, const CodecHeader *h, Image *out, Error *err)
{
    Bitmap m = { 0 };
    TRY(read_bitmap(in, &m, err));
    return m.rle ? unpack_rle(&m, out, err) : unpack(&m, out, err);
}

const Codec codec_bmp = { .name = "bmp", .extensions = "bmp dib", .sniff = sniff, .header = header, .decode = decode };
