/* SPDX-License-Identifier: Apache-2.0
 *
 * image - 8-bit pictures: decode, resize, letterbox, warp, flip, HSV, encode. Knows nothing of boxes or tensors.
 *
 * Every picture is interleaved RGB. The reference holds BGR and swaps when it makes the network's input; nothing here
 * depends on the order of channels, so that the numbers are the same after the swap. The arithmetic is that of OpenCV
 * 4.6 (Debian's python3-opencv), bit for bit unless a function says otherwise: mAP moves when a resize rounds
 * otherwise.
 *
 * All functions are re-entrant, keep no state, use the calling thread only, and never print. */
#ifndef IMAGE_H
#define IMAGE_H

#include "base/base.h"

#define IMAGE_PAD 114                /* grey of letterbox borders and of what a warp finds outside */
#define IMAGE_MAX_PIXELS (1LL << 28) /* larger pictures are refused before anything is allocated for them */
#define IMAGE_MAX_SIDE 65535         /* of w and of h */
#define IMAGE_MAX_FILE ((size_t)1 << 30)

/* Pixel (x, y) channel c lies at data[y * stride_bytes + 3 * x + c], c = R, G, B; stride_bytes >= 3 * w. */
typedef struct Image {
    int w, h;
    int stride_bytes;
    uint8_t *data;
} Image;

/* Pixels undefined, rows packed (stride 3 * w). Fails with DYN_FORMAT when the size is beyond the limits above. */
Status image_new(Image *im, int w, int h, Error *err);
/* Gives back what image_new, a decoder or another function of this header allocated; *im becomes {0}. {0} is fine. */
void image_free(Image *im);
Status image_copy(Image *dst, const Image *src, Error *err); /* a packed copy, dst is overwritten, not freed */
/* A window [x, x+w) x [y, y+h) of im that shares its pixels; must lie inside. Never pass it to image_free. */
Image image_view(const Image *im, int x, int y, int w, int h);
void image_fill(Image *im, uint8_t value); /* every channel of every pixel */

/* ---- decode (decode.c, codecs/NAME.c) ------------------------------------------------------------------------- */
typedef struct ImageInfo {
    int w, h;           /* as image_decode returns them: after the EXIF orientation is applied */
    int orientation;    /* EXIF 1..8, 1 when there is none */
    const char *format; /* "jpeg", "png", ...; static */
} ImageInfo;

/* bytes[n] -> a new picture, which the caller frees. The format is recognised by content. EXIF orientation is applied,
 * grey becomes three equal channels, 16 bits are cut to their upper 8, alpha is dropped (not blended; TIFF: see there),
 * CMYK converted.
 * Of an animation the first frame. name is for messages only. Fails with DYN_FORMAT for broken or truncated data and
 * for sizes beyond the limits, DYN_UNSUPPORTED for unknown formats and variants, DYN_NOMEM. */
Status image_decode(const void *bytes, size_t n, const char *name, Image *out, Error *err);
/* The same, but of a truncated JPEG or PNG returns what is there: a JPEG's rest is grey, as cv2.imread gives it, a
 * PNG's black. */
Status image_decode_tolerant(const void *bytes, size_t n, const char *name, Image *out, Error *err);
Status image_read(const char *path, Image *out, Error *err); /* image_decode of a file; DYN_IO when it can't be read */

/* Size and format from the header alone; no pixel is decoded. A file is read to its first 64 KiB when that suffices. */
Status image_probe(const void *bytes, size_t n, const char *name, ImageInfo *info, Error *err);
Status image_probe_file(const char *path, ImageInfo *info, Error *err);

/* What the data-set scan wants to know of a file (spec 5.3). Nothing is written. */
typedef struct ImageFacts {
    ImageInfo info;
    bool too_small;        /* a side has fewer than 10 pixels: the reference drops the image */
    bool jpeg_end_missing; /* JPEG that does not end with FF D9: the reference re-encodes and keeps it */
} ImageFacts;
/* Header of every format; pixels too for all but JPEG (whose pixels the reference does not check either). A failure
 * means "drop this image": err says why. */
Status image_verify(const char *path, ImageFacts *facts, Error *err);

/* True for the extensions ("jpg", no dot, any case) of the formats that can be decoded. */
bool image_extension_known(const char *ext);

/* ---- resize (resize.c) ----------------------------------------------------------------------------------------- */
/* Bilinear, half-pixel centres, 11-bit fixed point; exactly 2x down is a 2x2 mean; same size is a copy. Equal to
 * cv2.resize(INTER_LINEAR) on uint8. dst is the caller's: its w, h, stride_bytes and data say where to write. Must not
 * overlap src. Fails only with DYN_NOMEM (row tables) and DYN_SHAPE (an empty side). */
Status image_resize_into(const Image *src, Image *dst, Error *err);
Status image_resize(const Image *src, int w, int h, Image *dst, Error *err); /* into a new picture */

/* The data set's first resize (spec 5.6): long side becomes imgsz, the other is rounded up. */
void image_fit_size(int w, int h, int imgsz, int *fit_w, int *fit_h);

/* ---- letterbox (letterbox.c), spec 5.8 -------------------------------------------------------------------------- */
typedef struct Letterbox {
    int w, h; /* target */
    bool auto_pad, scale_fill, scaleup, center;
    int stride; /* of auto_pad */
    uint8_t pad;
} Letterbox;
#define LETTERBOX(W, H)                                                                                                \
    ((Letterbox) { .w = (W), .h = (H), .scaleup = true, .center = true, .stride = 32, .pad = IMAGE_PAD })

/* Where the picture comes to lie: output is out_w x out_h, the picture resized to w x h stands at (left, top).
 * A point (x, y) of the source becomes (x * ratio_w + left, y * ratio_h + top). */
typedef struct LetterboxPlan {
    int out_w, out_h, w, h, left, top, right, bottom;
    double ratio_w, ratio_h;
} LetterboxPlan;
/* Fails with DYN_SHAPE when a size is not positive or the output would exceed the limits. */
Status letterbox_plan(const Letterbox *lb, int w, int h, LetterboxPlan *plan, Error *err);
/* Resizes and pads src (the size that the plan was made for) into out, uint8 [out_h, out_w, 3], packed, the caller's.
 */
Status letterbox_into(const LetterboxPlan *plan, uint8_t pad, const Image *src, uint8_t *out, Error *err);

/* ---- geometry (warp.c, flip.c) ---------------------------------------------------------------------------------- */
/* M is row-major and maps source pixels to dst pixels, as cv2.warpAffine / cv2.warpPerspective take it (INTER_LINEAR,
 * constant border). Coordinates are rounded to 1/32 pixel, as there. dst is the caller's and must not overlap src;
 * sides of src up to 32767. A singular M gives what OpenCV gives: every pixel from the same place. DYN_NOMEM only. */
Status image_warp_affine(const Image *src, const double M[6], uint8_t border, Image *dst, Error *err);
/* The same of a canvas of the border's grey on which pictures lie, without drawing it; im's pixel (0, 0) is at (x, y).
 * The patches must not overlap. Pixel for pixel what a warp of the drawn canvas gives, however large that would be. */
typedef struct ImagePatch {
    Image im;
    int x, y;
} ImagePatch;
Status image_warp_patches(const ImagePatch *patch, int n, const double M[6], uint8_t border, Image *dst, Error *err);
Status image_warp_perspective(const Image *src, const double M[9], uint8_t border, Image *dst, Error *err);
void image_flip_lr(Image *im); /* in place, as is the next */
void image_flip_ud(Image *im);
/* What EXIF orientation 1..8 asks for; im is replaced when its sides swap. */
Status image_orient(Image *im, int orientation, Error *err);

/* ---- colour (hsv.c) --------------------------------------------------------------------------------------------- */
/* In place: to 8-bit HSV (H 0..179), each channel through its table, back. Equal to cv2.cvtColor and cv2.LUT. */
typedef struct HsvTables {
    uint8_t h[256], s[256], v[256];
} HsvTables;
/* Spec 6.5 (>= 8.3.83): h = (x + 180 g_h) mod 180, s and v = clip(x (1 + g), 0, 255), s[0] = 0; truncated. */
void hsv_tables(HsvTables *t, double g_h, double g_s, double g_v);
void image_hsv(Image *im, const HsvTables *t);
void rgb_to_hsv(const uint8_t *rgb, uint8_t *hsv, size_t pixels); /* hsv may be rgb */
void hsv_to_rgb(const uint8_t *hsv, uint8_t *rgb, size_t pixels);

/* ---- encode (encode.c) ------------------------------------------------------------------------------------------ */
/* To a file, whole or not at all. quality 1..100; full_chroma: 4:4:4, else 4:2:0. */
Status image_write_jpeg(const char *path, const Image *im, int quality, bool full_chroma, Error *err);
Status image_write_png(const char *path, const Image *im, Error *err);

#endif
