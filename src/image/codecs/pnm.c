/* SPDX-License-Identifier: Apache-2.0
 *
 * pnm - the binary Netpbm formats P5 (grey) and P6 (RGB), 8 or 16 bits (netpbm.sourceforge.net/doc/ppm.html). Values
 * are scaled to 0..255 when the maximum is neither 255 nor 65535. Text and bitmap variants are refused. */
#include "image/codec.h"

#include <string.h>

typedef struct Pnm {
    int channels, max;
    size_t start; /* of the pixels */
} Pnm;

static bool sniff(const uint8_t *b, size_t n)
{
    return n >= 8 && b[0] == 'P' && b[1] >= '1' && b[1] <= '6' &&
           (b[2] == '\n' || b[2] == ' ' || b[2] == '\r' || b[2] == '\t');
}

static bool blank(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The next number; comments run from # to the end of the line. False at anything else. */
static bool number(const CodecInput *in, size_t *at, int *value)
{
    size_t p = *at;
    while (p < in->n && (blank(in->bytes[p]) || in->bytes[p] == '#'))
        if (in->bytes[p++] == '#')
            while (p < in->n && in->bytes[p] != '\n')
                p++;
    size_t first = p;
    for (*value = 0; p < in->n && p < first + 6 && in->bytes[p] >= '0' && in->bytes[p] <= '9'; p++)
        *value = *value * 10 + (in->bytes[p] - '0');
    *at = p;
    return p > first && p < in->n && blank(in->bytes[p]);
}

static Status read_header(const CodecInput *in, Pnm *m, CodecHeader *h, Error *err)
{
    size_t at = 2;
    if (in->bytes[1] < '5') return fail(err, DYN_UNSUPPORTED, "PNM of kind P%c; only P5 and P6 are read", in->bytes[1]);
    if (!number(in, &at, &h->w) || !number(in, &at, &h->h) || !number(in, &at, &m->max) || m->max < 1 || m->max > 65535)
        return fail(err, DYN_FORMAT, "PNM with a broken header near byte %zu", at);
    m->channels = in->bytes[1] == '6' ? 3 : 1;
    m->start = at + 1;
    return DYN_OK;
}

static Status header(const CodecInput *in, CodecHeader *h, Error *err)
{
    Pnm m;
    return read_header(in, &m, h, err);
}

static uint8_t to_byte(unsigned v, unsigned max)
{
    if (max == 255) return (uint8_t)v;
    if (max == 65535) return (uint8_t)(v >> 8);
    return (uint8_t)((MIN(v, max) * 255 + max / 2) / max);
}

static Status decode(const CodecInput *in, const CodecHeader *h, Image *out, Error *err)
{
    Pnm m;
    CodecHeader again;
    TRY(read_header(in, &m, &again, err));
    size_t n = (size_t)h->w * (size_t)h->h, wide = m.max > 255 ? 2 : 1, each = wide * (size_t)m.channels;
    if ((in->n - m.start) / each < n)
        return fail(err, DYN_FORMAT, "PNM is truncated: %zu bytes of pixels where %zu are needed", in->n - m.start,
                    n * each);
    const uint8_t *p = in->bytes + m.start;
    for (size_t i = 0; i < n; i++, p += each)
        for (size_t c = 0; c < 3; c++) {
            const uint8_t *q = p + (m.channels == 3 ? c * wide : 0);
            out->data[3 * i + c] = to_byte(wide == 2 ? be16(q) : q[0], (unsigned)m.max);
        }
    return DYN_OK;
}

const Codec codec_pnm = {
    .name = "pnm", .extensions = "ppm pgm pnm", .sniff = sniff, .header = header, .decode = decode
};
