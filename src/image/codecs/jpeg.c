/* SPDX-License-Identifier: Apache-2.0
 *
 * jpeg - through libjpeg-turbo with its accurate integer DCT and smooth chroma upsampling, as OpenCV and Pillow use it,
 * so that pixels are equal to theirs. Scaled decoding is not used: it would change them. CMYK and YCCK become RGB by
 * OpenCV's rule. Orientation from the first EXIF block. Lossless and 12-bit files are refused by the library.
 *
 * Truncation: the library invents an end marker and grey pixels. A file that lacks only its last marker is complete;
 * one whose data stops inside a scan is an error unless the caller is tolerant. Damaged codes inside complete data
 * pass, as with both references. */
#include "image/codec.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
/* jpeglib wants size_t and FILE declared before it */
#include <jpeglib.h>
#include <jerror.h>

enum { MAX_SCANS = 200 }; /* encoders write about ten */

typedef struct Decoder {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr mgr;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    char text[JMSG_LENGTH_MAX];
    uint8_t *cmyk;      /* one line of four channels, for such files */
    bool ran_out;       /* the data ended before the end marker */
    bool pixels_lacked; /* and a scan wanted more of it */
} Decoder;

static void on_error(j_common_ptr c)
{
    Decoder *d = c->client_data;
    d->mgr.format_message(c, d->text);
    longjmp(d->jump, 1);
}

static void on_message(j_common_ptr c, int level)
{
    Decoder *d = c->client_data;
    if (level >= 0) return;
    if (c->err->msg_code == JWRN_JPEG_EOF) d->ran_out = true;
    if (c->err->msg_code == JWRN_HIT_MARKER && d->ran_out) d->pixels_lacked = true;
}

/* A progressive file of a few bytes may hold thousands of scans, each of which walks the whole picture. */
static void on_progress(j_common_ptr c)
{
    Decoder *d = c->client_data;
    if (d->jpeg.input_scan_number <= MAX_SCANS) return;
    snprintf(d->text, sizeof d->text, "more than %d scans", MAX_SCANS);
    longjmp(d->jump, 1);
}

static bool sniff(const uint8_t *b, size_t n)
{
    return n >= 3 && b[0] == 0xff && b[1] == 0xd8 && b[2] == 0xff;
}

/* Walks the segments up to the frame header (ITU T.81, B.1 and B.2). */
static Status header(const CodecInput *in, CodecHeader *h, Error *err)
{
    const uint8_t *b = in->bytes;
    size_t n = in->n, p = 2;
    bool exif_seen = false;
    while (p + 4 <= n) {
        if (b[p] != 0xff || b[p + 1] == 0xff || b[p + 1] == 0) { /* fill bytes and strays: to the next marker */
            p++;
            continue;
        }
        int marker = b[p + 1];
        if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8)) { /* markers without a segment */
            p += 2;
            continue;
        }
        if (marker == 0xd9 || marker == 0xda) return fail(err, DYN_FORMAT, "JPEG without a frame header");
        size_t len = be16(b + p + 2);
        if (len < 2) return fail(err, DYN_FORMAT, "JPEG segment %02X at byte %zu has length %zu", marker, p, len);
        bool frame = marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
        if (frame && p + 9 <= n) {
            h->h = be16(b + p + 5), h->w = be16(b + p + 7);
            return DYN_OK;
        }
        if (marker == 0xe1 && !exif_seen && len >= 8 && p + 2 + len <= n && memcmp(b + p + 4, "Exif\0", 5) == 0) {
            h->orientation = exif_orientation(b + p + 10, len - 8);
            exif_seen = true;
        }
        p += 2 + len;
    }
    return fail(err, DYN_FORMAT, "JPEG ends before its frame header (%zu bytes)", n);
}

/* OpenCV's rule for inverted CMYK, which is how Adobe writes it: each colour scaled by black, 8-bit shift. */
static void cmyk_to_rgb(const uint8_t *cmyk, uint8_t *rgb, int w)
{
    for (int x = 0; x < w; x++, cmyk += 4, rgb += 3)
        for (int c = 0; c < 3; c++)
            rgb[c] = (uint8_t)(cmyk[3] - ((255 - cmyk[c]) * cmyk[3] >> 8));
}

static Status read_all(Decoder *d, const CodecInput *in, const CodecHeader *h, Image *out, Error *err)
{
    struct jpeg_decompress_struct *j = &d->jpeg;
    jpeg_create_decompress(j);
    d->progress.progress_monitor = on_progress;
    j->progress = &d->progress;
    jpeg_mem_src(j, in->bytes, in->n);
    jpeg_read_header(j, TRUE);
    if ((int)j->image_width != h->w || (int)j->image_height != h->h)
        return fail(err, DYN_FORMAT, "JPEG with two frame headers of different size");
    bool four = j->num_components == 4;
    j->out_color_space = four ? JCS_CMYK : JCS_RGB;
    j->dct_method = JDCT_ISLOW;
    if (four && !(d->cmyk = mem_alloc((size_t)h->w * 4))) return fail_nomem(err, (size_t)h->w * 4);
    jpeg_start_decompress(j);
    while (j->output_scanline < j->output_height) {
        uint8_t *dst = out->data + (size_t)j->output_scanline * (size_t)out->stride_bytes;
        JSAMPROW line = four ? d->cmyk : dst;
        jpeg_read_scanlines(j, &line, 1);
        if (four) cmyk_to_rgb(d->cmyk, dst, out->w);
    }
    if ((d->pixels_lacked || (d->ran_out && jpeg_has_multiple_scans(j))) && !in->tolerant)
        return fail(err, DYN_FORMAT, "JPEG is truncated: the data ends at byte %zu, before the last pixels", in->n);
    return DYN_OK;
}

static Status decode(const CodecInput *in, const CodecHeader *h, Image *out, Error *err)
{
    Decoder d = { 0 };
    Status s;
    d.jpeg.err = jpeg_std_error(&d.mgr);
    d.jpeg.client_data = &d;
    d.mgr.error_exit = on_error;
    d.mgr.emit_message = on_message;
    if (setjmp(d.jump) == 0)
        s = read_all(&d, in, h, out, err);
    else if (d.mgr.msg_code == JERR_OUT_OF_MEMORY)
        s = fail_nomem(err, (size_t)h->w * (size_t)h->h * 3);
    else
        s = fail(err, DYN_FORMAT, "JPEG: %s", d.text);
    jpeg_destroy_decompress(&d.jpeg);
    mem_free(d.cmyk);
    return s;
}

const Codec codec_jpeg = {
    .name = "jpeg", .extensions = "jpg jpeg jpe jfif mpo", .sniff = sniff, .header = header, .decode = decode
};
