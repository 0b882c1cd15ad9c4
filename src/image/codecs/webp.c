/* SPDX-License-Identifier: Apache-2.0
 *
 * webp - through libwebp: lossy and lossless; of an animation the first frame, on its canvas. Alpha is dropped without
 * blending. Orientation from the EXIF chunk (WebP container specification, "Metadata"). */
#include "image/codec.h"

#include <string.h>
#include <webp/decode.h>
#include <webp/demux.h>

static bool sniff(const uint8_t *b, size_t n)
{
    return n >= 16 && memcmp(b, "RIFF", 4) == 0 && memcmp(b + 8, "WEBPVP8", 7) == 0;
}

static Status header(const CodecInput *in, CodecHeader *h, Error *err)
{
    WebPBitstreamFeatures f;
    if (WebPGetFeatures(in->bytes, in->n, &f) != VP8_STATUS_OK)
        return fail(err, DYN_FORMAT, "WebP with a broken header");
    h->w = f.width, h->h = f.height;
    if (memcmp(in->bytes + 12, "VP8X", 4) != 0 || in->n < 21 || !(in->bytes[20] & 8)) return DYN_OK; /* bit 3: EXIF */
    size_t end = (size_t)le32(in->bytes + 4) + 8;
    if (end > in->n) return fail(err, DYN_FORMAT, "WebP ends at byte %zu of %zu", in->n, end);
    for (size_t p = 12; p + 8 <= end;) {
        size_t len = le32(in->bytes + p + 4);
        if (len > end - p - 8) break;
        const uint8_t *body = in->bytes + p + 8;
        if (memcmp(in->bytes + p, "EXIF", 4) == 0) {
            size_t skip = len > 6 && memcmp(body, "Exif\0", 5) == 0 ? 6 : 0; /* some writers copy JPEG's prefix */
            h->orientation = exif_orientation(body + skip, len - skip);
            break;
        }
        p += 8 + len + (len & 1);
    }
    return DYN_OK;
}

static Status decode_animation(const CodecInput *in, Image *out, Error *err)
{
    WebPData data = { .bytes = in->bytes, .size = in->n };
    WebPAnimDecoderOptions opt;
    uint8_t *rgba = NULL;
    int when;
    if (!WebPAnimDecoderOptionsInit(&opt)) return fail(err, DYN_UNSUPPORTED, "libwebpdemux of another version");
    opt.color_mode = MODE_RGBA;
    WebPAnimDecoder *d = WebPAnimDecoderNew(&data, &opt);
    WebPAnimInfo info;
    if (!d || !WebPAnimDecoderGetInfo(d, &info) || info.canvas_width != (uint32_t)out->w ||
        info.canvas_height != (uint32_t)out->h || !WebPAnimDecoderGetNext(d, &rgba, &when)) {
        WebPAnimDecoderDelete(d);
        return fail(err, DYN_FORMAT, "WebP animation without a whole first frame");
    }
    for (size_t i = 0, n = (size_t)out->w * (size_t)out->h; i < n; i++)
        memcpy(out->data + 3 * i, rgba + 4 * i, 3);
    WebPAnimDecoderDelete(d);
    return DYN_OK;
}

static Status decode(const CodecInput *in, const CodecHeader *h, Image *out, Error *err)
{
    WebPDecoderConfig c;
    if (!WebPInitDecoderConfig(&c)) return fail(err, DYN_UNSUPPORTED, "libwebp of another version");
    if (WebPGetFeatures(in->bytes, in->n, &c.input) != VP8_STATUS_OK)
        return fail(err, DYN_FORMAT, "WebP with a broken header");
    if (c.input.has_animation) return decode_animation(in, out, err);
    c.output.colorspace = MODE_RGB;
    c.output.is_external_memory = 1;
    c.output.u.RGBA.rgba = out->data;
    c.output.u.RGBA.stride = out->stride_bytes;
    c.output.u.RGBA.size = (size_t)out->stride_bytes * (size_t)out->h;
    VP8StatusCode s = WebPDecode(in->bytes, in->n, &c);
    WebPFreeDecBuffer(&c.output);
    if (s == VP8_STATUS_OUT_OF_MEMORY) return fail_nomem(err, c.output.u.RGBA.size);
    if (s == VP8_STATUS_NOT_ENOUGH_DATA) return fail(err, DYN_FORMAT, "WebP is truncated at byte %zu", in->n);
    return s == VP8_STATUS_OK ? DYN_OK : fail(err, DYN_FORMAT, "WebP with broken data (libwebp status %d)", (int)s);
}

const Codec codec_webp = { .name = "webp", .extensions = "webp", .sniff = sniff, .header = header, .decode = decode };
