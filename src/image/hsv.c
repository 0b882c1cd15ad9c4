/* SPDX-License-Identifier: Apache-2.0
 *
 * hsv - 8-bit RGB <-> HSV as OpenCV converts it, and the colour augmentation of spec 6.5. Hue is in 0..179 (two degrees
 * a step). Forth in 12-bit fixed point with reciprocal tables, back in float, in the order of operations that
 * OpenCV 4.6's AVX2 code has. */
#include "image/hsv.h"

#include <math.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

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

typedef struct Hsv {
    int h, s, v;
} Hsv;

/* Branches would be guesses: which channel is the largest changes from pixel to pixel. */
static inline Hsv to_hsv(const Reciprocals *k, const uint8_t *rgb)
{
    int r = rgb[0], g = rgb[1], b = rgb[2];
    int v = MAX(r, MAX(g, b)), d = v - MIN(r, MIN(g, b));
    int is_r = -(v == r), is_g = -(v == g);
    int h = (is_r & (g - b)) | (~is_r & ((is_g & (b - r + 2 * d)) | (~is_g & (r - g + 4 * d))));
    h = (h * k->hue[d] + HALF) >> SHIFT;
    return (Hsv) { .h = h + ((h >> 31) & 180), .s = (d * k->sat[v] + HALF) >> SHIFT, .v = v };
}

/* What the way back needs of each value of H, S and V. A channel is v (1 - s k) with k of the hue: 0 for the largest
 * channel, 1 for the smallest, and the hue's place within its sixth of the circle, rising or falling, for the third. */
typedef struct Levels {
    HsvLevels of;
    float k[256][4]; /* R, G, B, and a lane that nobody reads */
} Levels;

static void make_levels(Levels *l, const HsvTables *t)
{
    static const uint8_t pick[6][3] = { { 0, 3, 1 }, { 2, 0, 1 }, { 1, 0, 3 }, { 1, 2, 0 }, { 3, 1, 0 }, { 0, 1, 2 } };
    for (int i = 0; i < 256; i++) {
        float h = (float)(t ? t->h[i] : i) * (6.f / 180.f), place = h - (float)(int)h;
        const float kinds[4] = { 0, 1, place, 1.f - place };
        l->of.h[i] = h;
        l->of.s[i] = (float)(t ? t->s[i] : i) * (1.f / 255.f), l->of.v[i] = (float)(t ? t->v[i] : i) * (1.f / 255.f);
        for (int c = 0; c < 3; c++)
            l->k[i][c] = kinds[pick[(int)h % 6][c]];
        l->k[i][3] = 0;
    }
}

/* 1 - s k is rounded once, as a fused multiply-add does: the double product of two floats is exact. The result is
 * truncated, as OpenCV's vector code has it, which does all but the last width % 32 pixels of a row there; here a
 * pixel's value does not depend on its place. */
static inline void to_rgb(const Levels *l, Hsv from, uint8_t *rgb)
{
    const float *k = l->k[from.h], s = l->of.s[from.s], v = l->of.v[from.v];
#ifdef __SSE2__
    __m128 k4 = _mm_loadu_ps(k), v4 = _mm_set1_ps(v);
    __m128d s2 = _mm_set1_pd((double)s), one = _mm_set1_pd(1.0);
    __m128d rg = _mm_sub_pd(one, _mm_mul_pd(s2, _mm_cvtps_pd(k4)));
    __m128d b = _mm_sub_pd(one, _mm_mul_pd(s2, _mm_cvtps_pd(_mm_movehl_ps(k4, k4))));
    __m128 x = _mm_mul_ps(v4, _mm_movelh_ps(_mm_cvtpd_ps(rg), _mm_cvtpd_ps(b)));
    __m128i n = _mm_cvttps_epi32(_mm_mul_ps(x, _mm_set1_ps(255.f)));
    n = _mm_packs_epi32(n, n);
    uint32_t four = (uint32_t)_mm_cvtsi128_si32(_mm_packus_epi16(n, n));
    memcpy(rgb, &four, 3);
#else
    for (int c = 0; c < 3; c++)
        rgb[c] = (uint8_t)(int)(v * (float)(1.0 - (double)s * (double)k[c]) * 255.f);
#endif
}

void rgb_to_hsv(const uint8_t *rgb, uint8_t *hsv, size_t pixels)
{
    Reciprocals k;
    make_reciprocals(&k);
    for (size_t i = 0; i < pixels; i++) {
        Hsv x = to_hsv(&k, rgb + 3 * i);
        hsv[3 * i] = (uint8_t)x.h, hsv[3 * i + 1] = (uint8_t)x.s, hsv[3 * i + 2] = (uint8_t)x.v;
    }
}

void hsv_to_rgb(const uint8_t *hsv, uint8_t *rgb, size_t pixels)
{
    Levels l;
    make_levels(&l, NULL);
    for (size_t i = 0; i < pixels; i++)
        to_rgb(&l, (Hsv) { hsv[3 * i], hsv[3 * i + 1], hsv[3 * i + 2] }, rgb + 3 * i);
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
    Levels l;
    make_reciprocals(&k);
    make_levels(&l, t);
    for (int y = 0; y < im->h; y++) {
        uint8_t *p = im->data + (ptrdiff_t)y * im->stride_bytes;
        for (int x = hsv_row_avx2(p, im->w, &l.of); x < im->w; x++)
            to_rgb(&l, to_hsv(&k, p + 3 * (ptrdiff_t)x), p + 3 * (ptrdiff_t)x);
    }
}
