/* SPDX-License-Identifier: Apache-2.0
 *
 * Test-time augmentation (spec 3.3): the batch as it is, at 0.83 mirrored, and at 0.67; predictions mapped back and
 * joined, without the largest-stride tail of the first pass and the smallest-stride head of the last. The reference
 * scales the float picture; here the scaled picture is rounded to bytes again, a difference of at most half a grey
 * level. */
#include "detect/detector.h"

#include <math.h>
#include <string.h>

enum { N_PASSES = 3, PAD_GREY = 114 };

typedef struct Pass {
    double scale;
    bool mirror;
} Pass;
static const Pass passes[N_PASSES] = { { 1, false }, { 0.83, true }, { 0.67, false } };

/* Bilinear, half-pixel centres, in float (not the fixed point of image_resize); dst lies in a canvas of row width
 * canvas_w. */
static void scale_picture(const uint8_t *src, int64_t h, int64_t w, bool mirror, uint8_t *dst, int64_t sh, int64_t sw,
                          int64_t canvas_w)
{
    for (int64_t y = 0; y < sh; y++) {
        double fy = MAX(((double)y + 0.5) * (double)h / (double)sh - 0.5, 0);
        int64_t y0 = (int64_t)fy, y1 = MIN(y0 + 1, h - 1);
        for (int64_t x = 0; x < sw; x++) {
            double fx = MAX(((double)x + 0.5) * (double)w / (double)sw - 0.5, 0);
            int64_t x0 = (int64_t)fx, x1 = MIN(x0 + 1, w - 1);
            double ax = fx - (double)x0, ay = fy - (double)y0;
            if (mirror) x0 = w - 1 - x0, x1 = w - 1 - x1;
            for (int c = 0; c < 3; c++) {
                double top = src[(y0 * w + x0) * 3 + c] * (1 - ax) + src[(y0 * w + x1) * 3 + c] * ax;
                double low = src[(y1 * w + x0) * 3 + c] * (1 - ax) + src[(y1 * w + x1) * 3 + c] * ax;
                dst[(y * canvas_w + x) * 3 + c] = (uint8_t)lrint(top * (1 - ay) + low * ay);
            }
        }
    }
}

/* Copies rows [lo, hi) of each image's predictions into the joined output from row `at` on, mapped back to the full
 * picture. */
static void take(const DetectorOutput *o, const Pass *p, int64_t lo, int64_t hi, int64_t w, float *y, float *score,
                 int64_t total, int64_t at)
{
    int64_t row = 4 + o->nc;
    for (int64_t i = 0; i < o->n; i++)
        for (int64_t k = lo; k < hi; k++) {
            const float *from = o->y + (i * o->n_anchors + k) * row;
            float *to = y + (i * total + at + k - lo) * row;
            memcpy(to, from, (size_t)row * sizeof *to);
            for (int d = 0; d < 4; d++)
                to[d] = (float)(to[d] / p->scale);
            if (p->mirror) to[0] = (float)w - to[0];
            score[i * total + at + k - lo] = o->score[i * o->n_anchors + k];
        }
}

Status detector_run_augmented(Detector *d, const uint8_t *rgb, int64_t n, int64_t h, int64_t w, int64_t stride,
                              DetectorOutput *out, Error *err)
{
    int64_t total = 0, at = 0, row = 0;
    float *y = NULL, *score = NULL;
    double compile_ms = 0;
    for (int k = 0; k < N_PASSES; k++) {
        DetectorOutput o;
        int64_t sh = (int64_t)((double)h * passes[k].scale), sw = (int64_t)((double)w * passes[k].scale);
        int64_t ch = (sh + stride - 1) / stride * stride, cw = (sw + stride - 1) / stride * stride;
        size_t bytes = (size_t)(n * ch * cw * 3);
        if (k == 0) {
            TRY(detector_run(d, rgb, n, h, w, &o, err));
            row = 4 + o.nc;
            total = o.n_anchors * N_PASSES; /* the other passes have fewer */
            TRY(detector_joined(d, (size_t)(n * total * row), (size_t)(n * total), &y, &score, err));
        } else {
            uint8_t *canvas = mem_alloc(bytes);
            if (!canvas) return fail_nomem(err, bytes);
            memset(canvas, PAD_GREY, bytes);
            for (int64_t i = 0; i < n; i++)
                scale_picture(rgb + i * h * w * 3, h, w, passes[k].mirror, canvas + i * ch * cw * 3, sh, sw, cw);
            Status s = detector_run(d, canvas, n, ch, cw, &o, err);
            mem_free(canvas);
            TRY(s);
        }
        int64_t part = o.n_anchors / 21, lo = k == 2 ? part * 16 : 0, hi = k == 0 ? o.n_anchors - part : o.n_anchors;
        take(&o, &passes[k], lo, hi, w, y, score, total, at);
        at += hi - lo;
        out->nc = o.nc;
        compile_ms += o.compile_ms;
    }
    for (int64_t i = 1; i < n; i++) { /* rows beyond what the passes gave are closed up */
        memmove(y + i * at * row, y + i * total * row, (size_t)(at * row) * sizeof *y);
        memmove(score + i * at, score + i * total, (size_t)at * sizeof *score);
    }
    *out =
        (DetectorOutput) { .y = y, .score = score, .n = n, .n_anchors = at, .nc = out->nc, .compile_ms = compile_ms };
    return DYN_OK;
}
