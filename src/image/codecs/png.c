/* SPDX-License-Identifier: Apache-2.0
 *
 * png - through libpng. 16 bits keep their upper 8, palettes and low depths are expanded, alpha and tRNS are dropped
 * without blending, as OpenCV's colour mode does. Orientation from an eXIf chunk before the pixels. Gamma and ICC
 * profiles are ignored. A damaged chunk after the pixels does no harm; one before or inside is an error. */
#include "image/codec.h"

#include <png.h>
#include <setjmp.h>
#include <string.h>

typedef struct Reader {
    const CodecInput *in;
    size_t at;
    bool ran_out;
    char text[128];
} Reader;

static void on_read(png_structp png, png_bytep data, png_size_t n)
{
    Reader *r = png_get_io_ptr(png);
    if (n > r->in->n - r->at) {
        r->ran_out = true;
        png_error(png, "the data ends too early");
    }
    memcpy(data, r->in->bytes + r->at, n);
    r->at += n;
}

static void on_error(png_structp png, png_const_charp text)
{
    Reader *r = png_get_error_ptr(png);
    snprintf(r->text, sizeof r->text, "%s", text);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
}

static bool sniff(const uint8_t *b, size_t n)
{
    return n >= 8 && memcmp(b, "\x89PNG\r\n\x1a\n", 8) == 0;
}

static Status header(const CodecInput *in, CodecHeader *h, Error *err)
{
    const uint8_t *b = in->bytes;
    if (in->n < 33 || memcmp(b + 12, "IHDR", 4) != 0) return fail(err, DYN_FORMAT, "PNG without a whole IHDR chunk");
    uint32_t w = be32(b + 16), hh = be32(b + 20);
    if (w > INT32_MAX || hh > INT32_MAX) return fail(err, DYN_FORMAT, "PNG says %u x %u pixels", w, hh);
    h->w = (int)w, h->h = (int)hh;
    for (size_t p = 8; in->n - p >= 12;) {
        uint32_t len = be32(b + p);
        if (len > in->n - p - 12 || memcmp(b + p + 4, "IDAT", 4) == 0) break;
        if (memcmp(b + p + 4, "eXIf", 4) == 0) h->orientation = exif_orientation(b + p + 8, len);
        p += 12 + (size_t)len;
    }
    return DYN_OK;
}

static void read_pixels(png_structp png, png_infop info, Image *out)
{
    png_set_strip_16(png);
    png_set_expand(png);
    png_set_gray_to_rgb(png);
    png_set_strip_alpha(png);
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    if (png_get_rowbytes(png, info) != (size_t)out->w * 3) png_error(png, "rows of an unexpected size");
    for (int pass = 0; pass < passes; pass++)
        for (int y = 0; y < out->h; y++)
            png_read_row(png, out->data + (size_t)y * (size_t)out->stride_bytes, NULL);
}

static Status decode(const CodecInput *in, const CodecHeader *h, Image *out, Error *err)
{
    Reader r = { .in = in };
    png_infop info = NULL;
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &r, on_error, on_warning);
    if (!png || !(info = png_create_info_struct(png))) {
        png_destroy_read_struct(&png, NULL, NULL);
        return fail_nomem(err, 0);
    }
    memset(out->data, 0, (size_t)out->h * (size_t)out->stride_bytes); /* what a tolerant caller sees of missing rows */
    Status s = DYN_OK;
    if (setjmp(png_jmpbuf(png))) {
        if (!(in->tolerant && r.ran_out)) s = fail(err, DYN_FORMAT, "PNG near byte %zu: %s", r.at, r.text);
    } else {
        png_set_read_fn(png, &r, on_read);
        png_set_user_limits(png, IMAGE_MAX_SIDE, IMAGE_MAX_SIDE);
        png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_WARN_DISCARD);
        png_read_info(png, info);
        read_pixels(png, info, out);
    }
    png_destroy_read_struct(&png, &info, NULL);
    return s;
}

const Codec codec_png = { .name = "png", .extensions = "png", .sniff = sniff, .header = header, .decode = decode };
