/* SPDX-License-Identifier: Apache-2.0
 *
 * resize - bilinear resampling of uint8 RGB with the arithmetic of OpenCV's INTER_LINEAR (spec 5.6).
 *
 * Separable: each source row is resampled horizontally once into int16 (value * 2048 / 16), the last two such rows are
 * kept, and each output row is a weighted sum of two. Weights have 11 bits. What is dropped where decides the bits:
 *   across  v = (p0 * a0 + p1 * a1) >> 4                        a in 0..2048, v in 0..32640
 *   down    y = (((v0 * b0) >> 16) + ((v1 * b1) >> 16) + 2) >> 2
 * Exactly half size on both axes is the rounded mean of 2 x 2 instead, which is OpenCV's substitution. */
#include "image/image.h"

#include <float.h>
#include <math.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { WEIGHT_BITS = 11, WEIGHT_ONE = 1 << WEIGHT_BITS };

/* Output sample i = source samples at[i] and at[i] + 1 (kept inside by whoever reads) with weights w0, w1. */
typedef struct Tap {
    int32_t at;
    int16_t w0, w1;
} Tap;

static int16_t weight(float f)
{
    return (int16_t)lrintf(f * WEIGHT_ONE);
}

/* OpenCV computes the scale through its inverse, the position in double and the fraction in float. Across, positions
 * outside are clamped with weight one; down, the row is clamped and the weights stay, which gives the same sum. */
static void make_taps(Tap *tap, int n_src, int n_dst, bool clamp)
{
    double scale = 1.0 / ((double)n_dst / n_src);
    for (int i = 0; i < n_dst; i++) {
        float f = (float)((i + 0.5) * scale - 0.5);
        int at = (int)floorf(f);
        f -= (float)at;
        if (clamp && at < 0) at = 0, f = 0;
        if (clamp && at >= n_src - 1) at = n_src - 1, f = 0;
        tap[i] = (Tap) { .at = at, .w0 = weight(1.f - f), .w1 = weight(f) };
    }
}

static void across_plain(const uint8_t *src, int16_t *v, const Tap *tap, int from, int to, int n_src)
{
    for (int i = from; i < to; i++) {
        const uint8_t *p = src + 3 * (ptrdiff_t)tap[i].at, *q = tap[i].at + 1 < n_src ? p + 3 : p;
        for (int c = 0; c < 3; c++)
            v[3 * i + c] = (int16_t)((p[c] * tap[i].w0 + q[c] * tap[i].w1) >> 4);
    }
}

/* v has room for one value more than 3 * n: a pixel is stored as four lanes. wide: samples [0, wide) have eight
 * readable bytes at their place. */
static void across(const uint8_t *src, int16_t *v, const Tap *tap, int n, int wide, int n_src)
{
    int i = 0;
#ifdef __SSE2__
    for (; i < wide; i++) {
        __m128i p = _mm_loadl_epi64((const __m128i *)(const void *)(src + 3 * (ptrdiff_t)tap[i].at));
        __m128i pair = _mm_unpacklo_epi8(p, _mm_srli_si128(p, 3)); /* r0 r1 g0 g1 b0 b1 */
        __m128i w = _mm_set1_epi32((int32_t)((uint32_t)(uint16_t)tap[i].w0 | (uint32_t)(uint16_t)tap[i].w1 << 16));
        __m128i sum = _mm_madd_epi16(_mm_unpacklo_epi8(pair, _mm_setzero_si128()), w);
        sum = _mm_srai_epi32(sum, 4);
        _mm_storel_epi64((__m128i *)(void *)(v + 3 * i), _mm_packs_epi32(sum, sum));
    }
#endif
    across_plain(src, v, tap, i, n, n_src);
}

/* n values. The high halves of the products are what the machine's multiply gives. */
static void down(const int16_t *v0, const int16_t *v1, Tap t, uint8_t *dst, int n)
{
    int i = 0;
#ifdef __SSE2__
    const __m128i b0 = _mm_set1_epi16(t.w0), b1 = _mm_set1_epi16(t.w1), two = _mm_set1_epi16(2);
    for (; i + 16 <= n; i += 16) {
        const __m128i *p = (const __m128i *)(const void *)(v0 + i), *q = (const __m128i *)(const void *)(v1 + i);
        __m128i lo = _mm_add_epi16(_mm_mulhi_epi16(_mm_loadu_si128(p), b0), _mm_mulhi_epi16(_mm_loadu_si128(q), b1));
        __m128i hi =
            _mm_add_epi16(_mm_mulhi_epi16(_mm_loadu_si128(p + 1), b0), _mm_mulhi_epi16(_mm_loadu_si128(q + 1), b1));
        lo = _mm_srai_epi16(_mm_add_epi16(lo, two), 2), hi = _mm_srai_epi16(_mm_add_epi16(hi, two), 2);
        _mm_storeu_si128((__m128i *)(void *)(dst + i), _mm_packus_epi16(lo, hi));
    }
#endif
    for (; i < n; i++)
        dst[i] = (uint8_t)((((v0[i] * t.w0) >> 16) + ((v1[i] * t.w1) >> 16) + 2) >> 2);
}

/* One output row from two source rows. */
static void halve_row(const uint8_t *a, const uint8_t *b, uint8_t *d, int n)
{
    int x = 0;
#ifdef __SSE2__
    const __m128i zero = _mm_setzero_si128(), two = _mm_set1_epi16(2);
    for (; x + 1 < n; x++, a += 6, b += 6, d += 3) { /* reads eight bytes and writes four, hence not the last pixel */
        __m128i p = _mm_unpacklo_epi8(_mm_loadl_epi64((const __m128i *)(const void *)a), zero);
        __m128i q = _mm_unpacklo_epi8(_mm_loadl_epi64((const __m128i *)(const void *)b), zero);
        __m128i sum = _mm_add_epi16(p, q);
        sum = _mm_srli_epi16(_mm_add_epi16(_mm_add_epi16(sum, _mm_srli_si128(sum, 6)), two), 2);
        int32_t four = _mm_cvtsi128_si32(_mm_packus_epi16(sum, sum));
        memcpy(d, &four, 4);
    }
#endif
    for (; x < n; x++, a += 6, b += 6, d += 3)
        for (int c = 0; c < 3; c++)
            d[c] = (uint8_t)((a[c] + a[c + 3] + b[c] + b[c + 3] + 2) >> 2);
}

static void halve(const Image *src, Image *dst)
{
    for (int y = 0; y < dst->h; y++) {
        const uint8_t *a = src->data + (ptrdiff_t)(2 * y) * src->stride_bytes;
        halve_row(a, a + src->stride_bytes, dst->data + (ptrdiff_t)y * dst->stride_bytes, dst->w);
    }
}

static void resample(const Image *src, Image *dst, const Tap *tx, const Tap *ty, int16_t *v0, int16_t *v1)
{
    int wide = dst->w, row0 = -1, row1 = -1; /* source rows that v0 and v1 hold */
    while (wide > 0 && tx[wide - 1].at + 3 > src->w)
        wide--;
    for (int y = 0; y < dst->h; y++) {
        int want0 = CLAMP(ty[y].at, 0, src->h - 1), want1 = CLAMP(ty[y].at + 1, 0, src->h - 1);
        if (row0 != want0 && row1 == want0) {
            int16_t *t = v0;
            v0 = v1, v1 = t;
            row0 = want0, row1 = -1;
        }
        if (row0 != want0) across(src->data + (ptrdiff_t)want0 * src->stride_bytes, v0, tx, dst->w, wide, src->w);
        row0 = want0;
        if (row1 != want1 && want1 != want0)
            across(src->data + (ptrdiff_t)want1 * src->stride_bytes, v1, tx, dst->w, wide, src->w), row1 = want1;
        down(v0, want1 == want0 ? v0 : v1, ty[y], dst->data + (ptrdiff_t)y * dst->stride_bytes, 3 * dst->w);
    }
}

Status image_resize_into(const Image *src, Image *dst, Error *err)
{
    if (src->w < 1 || src->h < 1 || dst->w < 1 || dst->h < 1)
        return fail(err, DYN_SHAPE, "resize from %d x %d to %d x %d pixels", src->w, src->h, dst->w, dst->h);
    if (src->w == dst->w && src->h == dst->h) {
        for (int y = 0; y < src->h; y++)
            memcpy(dst->data + (ptrdiff_t)y * dst->stride_bytes, src->data + (ptrdiff_t)y * src->stride_bytes,
                   (size_t)src->w * 3);
        return DYN_OK;
    }
    if (src->w == 2 * dst->w && src->h == 2 * dst->h) {
        halve(src, dst);
        return DYN_OK;
    }
    size_t taps = ((size_t)dst->w + (size_t)dst->h) * sizeof(Tap), line = (size_t)dst->w * 3 + 8;
    uint8_t *mem = mem_alloc(taps + 2 * line * sizeof(int16_t));
    if (!mem) return fail_nomem(err, taps + 2 * line * sizeof(int16_t));
    Tap *tx = (Tap *)(void *)mem, *ty = tx + dst->w;
    int16_t *v = (int16_t *)(void *)(mem + taps);
    make_taps(tx, src->w, dst->w, true);
    make_taps(ty, src->h, dst->h, false);
    resample(src, dst, tx, ty, v, v + line);
    mem_free(mem);
    return DYN_OK;
}

Status image_resize(const Image *src, int w, int h, Image *dst, Error *err)
{
    TRY(image_new(dst, w, h, err));
    Status s = image_resize_into(src, dst, err);
    if (s != DYN_OK) image_free(dst);
    return s;
}

void image_fit_size(int w, int h, int imgsz, int *fit_w, int *fit_h)
{
    double r = (double)imgsz / MAX(w, h);
    *fit_w = w, *fit_h = h;
    if (r == 1) return;
    *fit_w = MIN((int)ceil(w * r), imgsz);
    *fit_h = MIN((int)ceil(h * r), imgsz);
}
