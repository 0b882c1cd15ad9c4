/* SPDX-License-Identifier: Apache-2.0
 *
 * encode - JPEG and PNG files, written whole or not at all. Baseline JPEG with the standard tables, no metadata. */
#include "image/image.h"

#include <errno.h>
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
/* jpeglib wants size_t and FILE declared before it */
#include <jpeglib.h>

typedef struct JpegWriter {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr mgr;
    jmp_buf jump;
    char text[JMSG_LENGTH_MAX];
} JpegWriter;

static void on_jpeg_error(j_common_ptr c)
{
    JpegWriter *w = c->client_data;
    w->mgr.format_message(c, w->text);
    longjmp(w->jump, 1);
}

static void on_jpeg_message(j_common_ptr c, int level)
{
}

static void compress(JpegWriter *w, FILE *f, const Image *im, int quality, bool full_chroma)
{
    struct jpeg_compress_struct *j = &w->jpeg;
    jpeg_create_compress(j);
    jpeg_stdio_dest(j, f);
    j->image_width = (JDIMENSION)im->w, j->image_height = (JDIMENSION)im->h;
    j->input_components = 3, j->in_color_space = JCS_RGB;
    jpeg_set_defaults(j);
    jpeg_set_quality(j, CLAMP(quality, 1, 100), TRUE);
    j->comp_info[0].h_samp_factor = j->comp_info[0].v_samp_factor = full_chroma ? 1 : 2;
    jpeg_start_compress(j, TRUE);
    while (j->next_scanline < j->image_height) {
        JSAMPROW line = im->data + (ptrdiff_t)j->next_scanline * im->stride_bytes;
        jpeg_write_scanlines(j, &line, 1);
    }
    jpeg_finish_compress(j);
}

Status image_write_jpeg(const char *path, const Image *im, int quality, bool full_chroma, Error *err)
{
    FileWriter f;
    JpegWriter w = { 0 };
    bool ok;
    TRY(file_begin(&f, path, err));
    f.unsynced = true;
    w.jpeg.err = jpeg_std_error(&w.mgr);
    w.jpeg.client_data = &w;
    w.mgr.error_exit = on_jpeg_error;
    w.mgr.emit_message = on_jpeg_message;
    if (setjmp(w.jump) == 0) {
        compress(&w, f.f, im, quality, full_chroma);
        ok = true;
    } else {
        fail(err, DYN_IO, "cannot write '%s': %s", path, w.text);
        ok = false;
    }
    jpeg_destroy_compress(&w.jpeg);
    return file_end(&f, ok, err);
}

static void on_png_error(png_structp png, png_const_charp text)
{
    snprintf(png_get_error_ptr(png), 128, "%s", text);
    png_longjmp(png, 1);
}

static void on_png_warning(png_structp png, png_const_charp text)
{
}

static void write_png(png_structp png, png_infop info, FILE *f, const Image *im)
{
    png_init_io(png, f);
    png_set_IHDR(png, info, (png_uint_32)im->w, (png_uint_32)im->h, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int y = 0; y < im->h; y++)
        png_write_row(png, im->data + (ptrdiff_t)y * im->stride_bytes);
    png_write_end(png, info);
}

Status image_write_png(const char *path, const Image *im, Error *err)
{
    FileWriter f;
    char text[128] = "";
    bool ok;
    png_infop info = NULL;
    TRY(file_begin(&f, path, err));
    f.unsynced = true;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, text, on_png_error, on_png_warning);
    if (!png || !(info = png_create_info_struct(png))) {
        fail_nomem(err, 0);
        ok = false;
    } else if (setjmp(png_jmpbuf(png)) == 0) {
        write_png(png, info, f.f, im);
        ok = true;
    } else {
        fail(err, DYN_IO, "cannot write '%s': %s", path, text);
        ok = false;
    }
    png_destroy_write_struct(&png, &info);
    return file_end(&f, ok, err);
}
