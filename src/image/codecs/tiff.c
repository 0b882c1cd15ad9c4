/* SPDX-License-Identifier: Apache-2.0
 *
 * tiff - the first directory, through libtiff's RGBA interface, which knows every photometric and compression that the
 * library does with 1 to 16 integer bits (16 are rounded to 8 by it, unassociated alpha is multiplied in, both as
 * OpenCV's colour mode has it). Floating-point samples are refused, except LogLuv, whose tones the library maps.
 * Orientation as the tag says. */
#include "image/codec.h"

#include <string.h>
#include <tiffio.h>

typedef struct Reader {
    const CodecInput *in;
    toff_t at;
    char text[160]; /* the library's first complaint */
} Reader;

static tmsize_t on_read(thandle_t user, void *buf, tmsize_t n)
{
    Reader *r = user;
    if (n <= 0 || r->at >= r->in->n) return 0;
    size_t got = MIN((size_t)n, r->in->n - (size_t)r->at);
    memcpy(buf, r->in->bytes + r->at, got);
    r->at += got;
    return (tmsize_t)got;
}

static tmsize_t on_write(thandle_t user, void *buf, tmsize_t n)
{
    return 0;
}

static toff_t on_seek(thandle_t user, toff_t off, int whence)
{
    Reader *r = user;
    return r->at = off + (whence == SEEK_CUR ? r->at : whence == SEEK_END ? r->in->n : 0);
}

static int on_close(thandle_t user)
{
    return 0;
}

static toff_t on_size(thandle_t user)
{
    return ((Reader *)user)->in->n;
}

static int on_map(thandle_t user, void **base, toff_t *size)
{
    Reader *r = user;
    *base = (void *)(uintptr_t)r->in->bytes; /* opened for reading: the library does not write there */
    *size = r->in->n;
    return 1;
}

static void on_unmap(thandle_t user, void *base, toff_t size)
{
}

PRINTF_LIKE(4, 0) static int on_error(TIFF *t, void *user, const char *module, const char *fmt, va_list args)
{
    Reader *r = user;
    if (!r->text[0]) vsnprintf(r->text, sizeof r->text, fmt, args);
    return 1; /* handled: the process-wide handler, which prints, is not asked */
}

PRINTF_LIKE(4, 0) static int on_warning(TIFF *t, void *user, const char *module, const char *fmt, va_list args)
{
    return 1;
}

static TIFF *open_tiff(Reader *r)
{
    TIFFOpenOptions *o = TIFFOpenOptionsAlloc();
    if (!o) return NULL;
    TIFFOpenOptionsSetErrorHandlerExtR(o, on_error, r);
    TIFFOpenOptionsSetWarningHandlerExtR(o, on_warning, r);
    TIFFOpenOptionsSetMaxSingleMemAlloc(o, (tmsize_t)1 << 30);
    TIFF *t = TIFFClientOpenExt("memory", "r", r, on_read, on_write, on_seek, on_close, on_size, on_map, on_unmap, o);
    TIFFOpenOptionsFree(o);
    return t;
}

static const char *complaint(const Reader *r)
{
    return r->text[0] ? r->text : "no reason given";
}

static bool sniff(const uint8_t *b, size_t n)
{
    static const char magic[4][4] = { "II*\0", "MM\0*", "II+\0", "MM\0+" };
    for (size_t i = 0; n >= 8 && i < COUNT_OF(magic); i++)
        if (memcmp(b, magic[i], 4) == 0) return true;
    return false;
}

static Status header(const CodecInput *in, CodecHeader *h, Error *err)
{
    Reader r = { .in = in };
    uint32_t w = 0, hh = 0;
    uint16_t o = 1;
    TIFF *t = open_tiff(&r);
    if (!t) return fail(err, DYN_FORMAT, "TIFF: %s", complaint(&r));
    bool ok = TIFFGetField(t, TIFFTAG_IMAGEWIDTH, &w) && TIFFGetField(t, TIFFTAG_IMAGELENGTH, &hh);
    TIFFGetFieldDefaulted(t, TIFFTAG_ORIENTATION, &o);
    TIFFClose(t);
    if (!ok || w > INT32_MAX || hh > INT32_MAX) return fail(err, DYN_FORMAT, "TIFF says %u x %u pixels", w, hh);
    h->w = (int)w, h->h = (int)hh, h->orientation = o >= 1 && o <= 8 ? o : 1;
    return DYN_OK;
}

static Status read_raster(TIFF *t, Reader *r, Image *out, Error *err)
{
    TIFFRGBAImage img;
    char why[1024] = "";
    size_t pixels = (size_t)out->w * (size_t)out->h;
    if (!TIFFRGBAImageOK(t, why)) return fail(err, DYN_UNSUPPORTED, "TIFF: %s", why);
    if (!TIFFRGBAImageBegin(&img, t, 1, why)) return fail(err, DYN_FORMAT, "TIFF: %s", why);
    img.orientation = img.req_orientation = ORIENTATION_TOPLEFT; /* rows as stored: the caller turns them */
    uint32_t *raster = mem_alloc(pixels * 4);
    Status s = raster ? DYN_OK : fail_nomem(err, pixels * 4);
    if (s == DYN_OK && !TIFFRGBAImageGet(&img, raster, (uint32_t)out->w, (uint32_t)out->h))
        s = fail(err, DYN_FORMAT, "TIFF: %s", complaint(r));
    for (size_t i = 0; s == DYN_OK && i < pixels; i++) {
        out->data[3 * i] = (uint8_t)TIFFGetR(raster[i]);
        out->data[3 * i + 1] = (uint8_t)TIFFGetG(raster[i]);
        out->data[3 * i + 2] = (uint8_t)TIFFGetB(raster[i]);
    }
    mem_free(raster);
    TIFFRGBAImageEnd(&img);
    return s;
}

static Status decode(const CodecInput *in, const CodecHeader *h, Image *out, Error *err)
{
    Reader r = { .in = in };
    TIFF *t = open_tiff(&r);
    if (!t) return fail(err, DYN_FORMAT, "TIFF: %s", complaint(&r));
    Status s = read_raster(t, &r, out, err);
    TIFFClose(t);
    return s;
}

const Codec codec_tiff = {
    .name = "tiff", .extensions = "tif tiff", .sniff = sniff, .header = header, .decode = decode
};
