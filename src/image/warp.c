/* SPDX-License-Identifier: Apache-2.0
 *
 * warp - resample a picture through an affine or projective map, bilinear, constant border; the arithmetic of OpenCV's
 * warpAffine and warpPerspective: source coordinates in 1/32 pixel, then an exactly rounded weighted sum of four
 * pixels.
 *
 * The training data path spends most of its time here. Along an output row the source coordinates of an affine map are
 * monotone, so that binary search finds three spans: nothing of the source, part of the four pixels, all of them; the
 * last is a loop without tests. A projective map tests each pixel. */
#include "image/image.h"

#include <math.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { FRACTION_BITS = 5, FRACTION = 1 << FRACTION_BITS, FINE_BITS = 10, FINE = 1 << FINE_BITS, CHUNK = 64 };

typedef struct Span {
    int from, to; /* [from, to) */
} Span;

/* Nearest integer, half to even; out of range and NaN become INT32_MIN, as the x86 conversion has it. */
static int32_t to_int(double x)
{
#ifdef __SSE2__
    return _mm_cvtsd_si32(_mm_set_sd(x));
#else
    return x > -2147483648.5 && x < 2147483647.5 ? (int32_t)lrint(x) : INT32_MIN;
#endif
}

typedef struct Canvas {
    const ImagePatch *patch;
    int n;
    uint8_t border;
} Canvas;

/* NULL where there is no patch. */
static const uint8_t *canvas_pixel(const Canvas *c, int x, int y)
{
    for (const ImagePatch *p = c->patch; p < c->patch + c->n; p++)
        if (x >= p->x && x - p->x < p->im.w && y >= p->y && y - p->y < p->im.h)
            return p->im.data + (ptrdiff_t)(y - p->y) * p->im.stride_bytes + 3 * (ptrdiff_t)(x - p->x);
    return NULL;
}

/* Four pixels, of which some may lie outside. (sx, sy) is the upper left one, fx and fy in 1/32 pixel. */
static void sample_edge(const Canvas *c, int sx, int sy, int fx, int fy, uint8_t *d)
{
    int sum[3] = { 512, 512, 512 };
    for (int k = 0; k < 4; k++) {
        int weight = (k & 1 ? fx : FRACTION - fx) * (k >> 1 ? fy : FRACTION - fy);
        const uint8_t *p = canvas_pixel(c, sx + (k & 1), sy + (k >> 1));
        for (int i = 0; i < 3; i++)
            sum[i] += weight * (p ? p[i] : c->border);
    }
    for (int i = 0; i < 3; i++)
        d[i] = (uint8_t)(sum[i] >> 10);
}

#ifdef __SSE2__
/* p: upper left of four pixels that are all there, eight bytes readable in both rows. The fourth byte is junk. */
static inline uint32_t sample_inside(const uint8_t *p, ptrdiff_t stride, int fx, int fy)
{
    const __m128i zero = _mm_setzero_si128();
    __m128i wx = _mm_set1_epi32((FRACTION - fx) | fx << 16), wy = _mm_set1_epi32((FRACTION - fy) | fy << 16);
    __m128i a = _mm_loadl_epi64((const __m128i *)(const void *)p);
    __m128i b = _mm_loadl_epi64((const __m128i *)(const void *)(p + stride));
    a = _mm_unpacklo_epi8(a, _mm_srli_si128(a, 3)); /* r0 r1 g0 g1 b0 b1 */
    b = _mm_unpacklo_epi8(b, _mm_srli_si128(b, 3));
    a = _mm_madd_epi16(_mm_unpacklo_epi8(a, zero), wx);
    b = _mm_madd_epi16(_mm_unpacklo_epi8(b, zero), wx);
    a = _mm_or_si128(a, _mm_slli_epi32(b, 16)); /* sums reach 255 * 32: upper and lower row in one lane */
    a = _mm_srli_epi32(_mm_add_epi32(_mm_madd_epi16(a, wy), _mm_set1_epi32(512)), 10);
    a = _mm_packs_epi32(a, a);
    return (uint32_t)_mm_cvtsi128_si32(_mm_packus_epi16(a, a));
}
#else
static inline uint32_t sample_inside(const uint8_t *p, ptrdiff_t stride, int fx, int fy)
{
    uint8_t d[4] = { 0 };
    for (int c = 0; c < 3; c++) {
        int a = p[c] * (FRACTION - fx) + p[c + 3] * fx, b = p[stride + c] * (FRACTION - fx) + p[stride + c + 3] * fx;
        d[c] = (uint8_t)((a * (FRACTION - fy) + b * fy + 512) >> 10);
    }
    uint32_t v;
    memcpy(&v, d, 4);
    return v;
}
#endif

/* First x in [0, n) whose coordinate (origin + delta[x]) >> 10 is at least bound, in a table that does not fall. */
static int first_at_least(const int32_t *delta, int n, int64_t origin, int64_t bound)
{
    int lo = 0, hi = n;
    while (lo < hi) {
        int mid = lo + (hi - lo) / 2;
        if ((origin + delta[mid]) >> FINE_BITS >= bound)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

/* The same for a table that does not rise: first x whose coordinate is below bound. */
static int first_below(const int32_t *delta, int n, int64_t origin, int64_t bound)
{
    int lo = 0, hi = n;
    while (lo < hi) {
        int mid = lo + (hi - lo) / 2;
        if ((origin + delta[mid]) >> FINE_BITS < bound)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

/* Where lo <= coordinate <= hi holds. */
static Span span_of(const int32_t *delta, int n, int64_t origin, int64_t lo, int64_t hi)
{
    if (delta[n - 1] == delta[0]) { /* all the same */
        int64_t at = (origin + delta[0]) >> FINE_BITS;
        return (Span) { 0, at >= lo && at <= hi ? n : 0 };
    }
    if (delta[n - 1] > delta[0])
        return (Span) { first_at_least(delta, n, origin, lo), first_at_least(delta, n, origin, hi + 1) };
    return (Span) { first_below(delta, n, origin, hi + 1), first_below(delta, n, origin, lo) };
}

static Span meet(Span a, Span b)
{
    Span s = { MAX(a.from, b.from), MIN(a.to, b.to) };
    if (s.to < s.from) s.to = s.from;
    return s;
}

/* One affine output row: source coordinate of column x = (origin + delta[x]) in 1/1024 pixel. */
typedef struct AffineRow {
    const int32_t *dx, *dy;
    int64_t x0, y0;
} AffineRow;

static void edge_pixels(const Canvas *c, const AffineRow *r, Span s, uint8_t *d)
{
    for (int i = s.from; i < s.to; i++) {
        int64_t x = (r->x0 + r->dx[i]) >> FRACTION_BITS, y = (r->y0 + r->dy[i]) >> FRACTION_BITS;
        sample_edge(c, (int)(x >> FRACTION_BITS), (int)(y >> FRACTION_BITS), (int)(x & (FRACTION - 1)),
                    (int)(y & (FRACTION - 1)), d + 3 * (ptrdiff_t)i);
    }
}

/* level: y is the same all along, as it is without rotation and shear, so that its part of the work is done once. Four
 * bytes are stored, of which the next pixel overwrites the last; the last pixel has none after it. */
static inline void inside_run(Image src, const AffineRow *r, Span s, uint8_t *d, bool level)
{
    const uint32_t x0 = (uint32_t)r->x0, y0 = (uint32_t)r->y0; /* either may be huge, the sums are inside */
    const int32_t first = (int32_t)(y0 + (uint32_t)r->dy[s.from]);
    for (int i = s.from; i < s.to; i++) {
        int32_t x = (int32_t)(x0 + (uint32_t)r->dx[i]) >> FRACTION_BITS;
        int32_t y = (level ? first : (int32_t)(y0 + (uint32_t)r->dy[i])) >> FRACTION_BITS;
        const uint8_t *p = src.data + (y >> FRACTION_BITS) * src.stride_bytes + 3 * (ptrdiff_t)(x >> FRACTION_BITS);
        uint32_t v = sample_inside(p, src.stride_bytes, x & (FRACTION - 1), y & (FRACTION - 1));
        if (i + 1 < s.to)
            memcpy(d + 3 * (ptrdiff_t)i, &v, 4);
        else
            memcpy(d + 3 * (ptrdiff_t)i, &v, 3);
    }
}

static void inside_pixels(const Image *src, const AffineRow *r, Span s, uint8_t *d)
{
    if (s.to <= s.from) return;
    if (r->dy[s.from] == r->dy[s.to - 1])
        inside_run(*src, r, s, d, true);
    else
        inside_run(*src, r, s, d, false);
}

/* What one patch gives of an output row. Pixels between patches are drawn by each of them, the same every time. */
static void affine_row(const Canvas *c, const ImagePatch *p, const AffineRow *r, int n, uint8_t *d)
{
    int64_t left = p->x, top = p->y, w = p->im.w, h = p->im.h;
    Span touch = span_of(r->dy, n, r->y0, top - 1, top + h - 1);
    if (touch.from == touch.to) return;
    touch = meet(touch, span_of(r->dx, n, r->x0, left - 1, left + w - 1));
    if (touch.from == touch.to) return;
    /* sample_inside reads two bytes more than its pixels: one column of margin keeps them in the row */
    Span in = meet(span_of(r->dx, n, r->x0, left, left + w - 3), span_of(r->dy, n, r->y0, top, top + h - 2));
    if (in.from == in.to) in = (Span) { touch.to, touch.to };
    AffineRow own = { r->dx, r->dy, r->x0 - left * FINE, r->y0 - top * FINE };
    edge_pixels(c, r, (Span) { touch.from, in.from }, d);
    inside_pixels(&p->im, &own, in, d);
    edge_pixels(c, r, (Span) { in.to, touch.to }, d);
}

Status image_warp_patches(const ImagePatch *patch, int n, const double M[6], uint8_t border, Image *dst, Error *err)
{
    if (dst->w < 1 || dst->h < 1) return DYN_OK;
    const Canvas canvas = { patch, n, border };
    int32_t *dx = mem_alloc((size_t)dst->w * 2 * sizeof *dx), *dy = dx + dst->w;
    if (!dx) return fail_nomem(err, (size_t)dst->w * 2 * sizeof *dx);
    double det = M[0] * M[4] - M[1] * M[3], d = det != 0 ? 1.0 / det : 0;
    double a = M[4] * d, b = -M[1] * d, c = -M[3] * d, e = M[0] * d; /* the inverse */
    double tx = -a * M[2] - b * M[5], ty = -c * M[2] - e * M[5];
    for (int x = 0; x < dst->w; x++)
        dx[x] = to_int(a * x * FINE), dy[x] = to_int(c * x * FINE);
    for (int y = 0; y < dst->h; y++) {
        enum { HALF = FINE / FRACTION / 2 };
        AffineRow r = { dx, dy, (int64_t)to_int((b * y + tx) * FINE) + HALF,
                        (int64_t)to_int((e * y + ty) * FINE) + HALF };
        uint8_t *row = dst->data + (ptrdiff_t)y * dst->stride_bytes;
        memset(row, border, (size_t)dst->w * 3);
        for (int i = 0; i < n; i++)
            affine_row(&canvas, &patch[i], &r, dst->w, row);
    }
    mem_free(dx);
    return DYN_OK;
}

Status image_warp_affine(const Image *src, const double M[6], uint8_t border, Image *dst, Error *err)
{
    const ImagePatch whole = { *src, 0, 0 };
    return image_warp_patches(&whole, 1, M, border, dst, err);
}

/* Inverse of a 3 x 3 matrix by cofactors; zeros when singular. */
static void invert3(const double m[9], double v[9])
{
    double det =
        m[0] * (m[4] * m[8] - m[5] * m[7]) - m[1] * (m[3] * m[8] - m[5] * m[6]) + m[2] * (m[3] * m[7] - m[4] * m[6]);
    double d = det != 0 ? 1.0 / det : 0;
    v[0] = (m[4] * m[8] - m[5] * m[7]) * d, v[1] = (m[2] * m[7] - m[1] * m[8]) * d,
    v[2] = (m[1] * m[5] - m[2] * m[4]) * d;
    v[3] = (m[5] * m[6] - m[3] * m[8]) * d, v[4] = (m[0] * m[8] - m[2] * m[6]) * d,
    v[5] = (m[2] * m[3] - m[0] * m[5]) * d;
    v[6] = (m[3] * m[7] - m[4] * m[6]) * d, v[7] = (m[1] * m[6] - m[0] * m[7]) * d,
    v[8] = (m[0] * m[4] - m[1] * m[3]) * d;
}

static void perspective_pixel(const Image *src, int32_t x, int32_t y, uint8_t border, uint8_t *d)
{
    int sx = CLAMP(x >> FRACTION_BITS, INT16_MIN, INT16_MAX), sy = CLAMP(y >> FRACTION_BITS, INT16_MIN, INT16_MAX);
    int fx = x & (FRACTION - 1), fy = y & (FRACTION - 1);
    if (sx >= 0 && sx < src->w - 2 && sy >= 0 && sy < src->h - 1) {
        uint32_t v =
            sample_inside(src->data + (ptrdiff_t)sy * src->stride_bytes + 3 * (ptrdiff_t)sx, src->stride_bytes, fx, fy);
        memcpy(d, &v, 3);
    } else {
        const ImagePatch whole = { *src, 0, 0 };
        sample_edge(&(Canvas) { &whole, 1, border }, sx, sy, fx, fy, d);
    }
}

Status image_warp_perspective(const Image *src, const double M[9], uint8_t border, Image *dst, Error *err)
{
    double v[9];
    invert3(M, v);
    for (int y = 0; y < dst->h; y++)
        for (int x0 = 0; x0 < dst->w; x0 += CHUNK) { /* sums start anew every 64 columns, as in OpenCV */
            double bx = v[0] * x0 + v[1] * y + v[2], by = v[3] * x0 + v[4] * y + v[5], bw = v[6] * x0 + v[7] * y + v[8];
            uint8_t *d = dst->data + (ptrdiff_t)y * dst->stride_bytes + 3 * (ptrdiff_t)x0;
            for (int i = 0; i < MIN(CHUNK, dst->w - x0); i++, d += 3) {
                double w = bw + v[6] * i;
                w = w != 0 ? FRACTION / w : 0;
                double fx = CLAMP((bx + v[0] * i) * w, INT32_MIN, INT32_MAX);
                double fy = CLAMP((by + v[3] * i) * w, INT32_MIN, INT32_MAX);
                perspective_pixel(src, to_int(fx), to_int(fy), border, d);
            }
        }
    return DYN_OK;
}
