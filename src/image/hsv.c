/* SPDX-License-Identifier: Apache-2.0
 *
 * hsv - 8-bit RGB <-> HSV as OpenCV converts it, and the colour augmentation of spec 6.5. Hue is in 0..179 (two degrees
 * a step). Forth in 12-bit fixed point with reciprocal tables, back in float, in the order of operations that
 * OpenCV 4.6's AVX2 code has. */
#include "image/image.h"

#include <math.h>

enum { SHIFT = 12, HALF = 1 << (SHIFT - 1) };

/* Reciprocals of 1..255: 255 / v and 30 / d in 12-bit fixed point. */
typedef struct Reciprocals {
    int32_t sat[256], hue[256];
} Reciprocals;

static void make_reciprocals(Reciprocals *r)
{
    r->sat[0] = r->hue[0] = 0;
    for (int i = 1; i < 256; i++) {
        r->sat[i] = (int32_t)lrint((255 << SHIFT) / (double)i);
        r->hue[i] = (int32_t)lrint((180 << SHIFT) / (6.0 * i));
    }
}

static inline void to_hsv(const Reciprocals *k, const uint8_t *rgb, uint8_t *hsv)
{
    int r = rgb[0], g = rgb[1], b = rgb[2];
    int v = MAX(r, MAX(g, b)), d = v - MIN(r, MIN(g, b));
    int h = v == r ? g - b : v == g ? b - r + 2 * d : r - g + 4 * d;
    h = (h * k->hue[d] + HALF) >> SHIFT;
    hsv[0] = (uint8_t)(h < 0 ? h + 180 : h);
    hsv[1] = (uint8_t)((d * k->sat[v] + HALF) >> SHIFT);
    hsv[2] = (uint8_t)v;
}

/* 1 - a * b, rounded once: what a fused multiply-add gives. The double product of two floats is exact. */
static inline float one_minus(float a, float b)
{
    return (float)(1.0 - (double)a * (double)b);
}

/* Truncated, not rounded: so does OpenCV's vector code, which does all but the last width % 32 pixels of a row there.
 * Here a pixel's value does not depend on its place. */
static inline uint8_t to_byte(float x)
{
    return (uint8_t)(int)(x * 255.f);
}

static inline void to_rgb(const uint8_t *hsv, uint8_t *rgb)
{
    static const uint8_t pick[6][3] = { { 0, 3, 1 }, { 2, 0, 1 }, { 1, 0, 3 }, { 1, 2, 0 }, { 3, 1, 0 }, { 0, 1, 2 } };
    float h = hsv[0] * (6.f / 180.f), s = hsv[1] * (1.f / 255.f), v = hsv[2] * (1.f / 255.f);
    int sector = (int)h;
    float f = h - (float)sector;
    const uint8_t level[4] = { to_byte(v), to_byte(v * (1.f - s)), to_byte(v * one_minus(s, f)),
                               to_byte(v * one_minus(s, 1.f - f)) };
    const uint8_t *c = pick[sector % 6];
    rgb[0] = level[c[0]], rgb[1] = level[c[1]], rgb[2] = level[c[2]];
}

void rgb_to_hsv(const uint8_t *rgb, uint8_t *hsv, size_t pixels)
{
    Reciprocals k;
    make_reciprocals(&k);
    for (size_t i = 0; i < pixels; i++)
        to_hsv(&k, rgb + 3 * i, hsv + 3 * i);
}

void hsv_to_rgb(const uint8_t *hsv, uint8_t *rgb, size_t pixels)
{
    for (size_t i = 0; i < pixels; i++)
        to_rgb(hsv + 3 * i, rgb + 3 * i);
}

void hsv_tables(HsvTables *t, double g_h, double g_s, double g_v)
{
    for (int x = 0; x < 256; x++) {
        double h = fmod(x + 180 * g_h, 180);
        t->h[x] = (uint8_t)(h < 0 ? h + 180 : h); /* the remainder has the divisor's sign, as in Python */
        t->s[x] = (uint8_t)CLAMP(x * (1 + g_s), 0, 255);
        t->v[x] = (uint8_t)CLAMP(x * (1 + g_v), 0, 255);
    }
    t->s[0] = 0;
}

void image_hsv(Image *im, const HsvTables *t)
{
    Reciprocals k;
    make_reciprocals(&k);
    for (int y = 0; y < im->h; y++) {
        uint8_t *p = im->data + (ptrdiff_t)y * im->stride_bytes;
        for (int x = 0; x < im->w; x++, p += 3) {
            uint8_t c[3];
            to_hsv(&k, p, c);
            c[0] = t->h[c[0]], c[1] = t->s[c[1]], c[2] = t->v[c[2]];
            to_rgb(c, p);
        }
    }
}
