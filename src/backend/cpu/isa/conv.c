/* SPDX-License-Identifier: Apache-2.0
 *
 * Direct convolution of channels-last images. A block of MR output pixels by up to three vectors of output channels
 * stays in registers while all taps and input channels go by: one input element of each pixel is spread over a vector
 * and multiplied with a row of weights. Each pixel of the block has a pointer of its own for every tap (to zeros
 * outside the image), so that edges, strides, dilation and ends of rows need no second loop, and a pixel may lie
 * anywhere: images may be channel ranges of wider ones. With AVX512_BF16 two bf16 channels go at a time into f32 sums.
 *
 * Weights are packed once, whatever the image size: [block of output channels][tap][input channel (pair)][channel]. */
#include "backend/cpu/isa/vec.h"

#if defined(__AVX512F__)
enum { MR = 8 };
#else
enum { MR = 4 };
#endif

#if defined(__AVX512BF16__)
enum { PAIRS = 1 }; /* bf16 weights are packed as pairs of channels; else every weight is an f32 */
#else
enum { PAIRS = 0 };
#endif

/* Vectors of the next block when `left` are to go: threes, and no single one behind a three. */
INLINE int64_t block_vectors(int64_t left)
{
    return left == 4 ? 2 : left < 3 ? left : 3;
}

INLINE int64_t input_steps(const ConvShape *s)
{
    return PAIRS && s->x == BF16 ? (s->C + 1) / 2 : s->C;
}

size_t ISA_NAME(conv_packed_bytes)(const ConvShape *s)
{
    return (size_t)((s->O + VL - 1) / VL * VL * s->kh * s->kw * input_steps(s)) * sizeof(float);
}

/* w [O,C,kh,kw] */
void ISA_NAME(conv_pack)(const ConvShape *s, const float *w, void *packed)
{
    bool pairs = PAIRS && s->x == BF16;
    int64_t taps = s->kh * s->kw, steps = input_steps(s);
    uint16_t *half = packed;
    float *whole = packed;
    for (int64_t o = 0, left = (s->O + VL - 1) / VL, nv; left > 0; left -= nv, o += nv * VL) {
        nv = block_vectors(left);
        for (int64_t tap = 0; tap < taps; tap++)
            for (int64_t c = 0; c < steps * (pairs ? 2 : 1); c += pairs ? 2 : 1)
                for (int64_t i = o; i < o + nv * VL; i++)
                    for (int64_t k = c; k < c + (pairs ? 2 : 1); k++) {
                        float v = i < s->O && k < s->C ? w[(i * s->C + k) * taps + tap] : 0;
                        if (pairs)
                            *half++ = f32_to_bf16(v);
                        else
                            *whole++ = v;
                    }
    }
}

/* acc += x[i][c] * w[c] over the input channels of one tap. */
INLINE void tap_f32(V acc[MR][3], int nv, const char *const *x, DType t, const float *w, int64_t C)
{
    for (int64_t c = 0; c < C; c++, w += nv * VL) {
        V wv[3];
#pragma GCC unroll 3
        for (int k = 0; k < nv; k++)
            wv[k] = vload(w + k * VL, F32, VL);
#pragma GCC unroll 8
        for (int i = 0; i < MR; i++) {
            V xv = vset(load1(x[i] + c * (t == F32 ? 4 : 2), t));
#pragma GCC unroll 3
            for (int k = 0; k < nv; k++)
                acc[i][k] += xv * wv[k];
        }
    }
}

#if defined(__AVX512BF16__)
INLINE void tap_bf16(V acc[MR][3], int nv, const char *const *x, const char *w, int64_t C)
{
    for (int64_t c = 0; c < C; c += 2, w += nv * VBYTES) {
        __m512i wv[3];
#pragma GCC unroll 3
        for (int k = 0; k < nv; k++)
            wv[k] = _mm512_loadu_si512(w + k * VBYTES);
#pragma GCC unroll 8
        for (int i = 0; i < MR; i++) {
            int32_t pair = 0;
            if (c + 2 <= C)
                memcpy(&pair, x[i] + 2 * c, 4);
            else
                memcpy(&pair, x[i] + 2 * c, 2);
            __m512i xv = _mm512_set1_epi32(pair);
#pragma GCC unroll 3
            for (int k = 0; k < nv; k++)
                acc[i][k] = (V)_mm512_dpbf16_ps((__m512)acc[i][k], (__m512bh)xv, (__m512bh)wv[k]);
        }
    }
}
#endif

typedef struct Pixels {
    const char *at[MR]; /* of the window's first tap, which may lie outside */
    int64_t h[MR], w[MR];
    int n;
} Pixels;

INLINE void one_tap(const ConvCall *q, const Pixels *p, int64_t i, int64_t j, DType t, const char **x)
{
    const ConvShape *s = q->shape;
    int64_t dh = i * s->dilation, dw = j * s->dilation, bytes = t == F32 ? 4 : 2;
    int64_t step = (dh * s->W + dw) * q->ld_x * bytes;
#pragma GCC unroll 8
    for (int k = 0; k < MR; k++) {
        bool inside = (uint64_t)(p->h[k] + dh) < (uint64_t)s->H && (uint64_t)(p->w[k] + dw) < (uint64_t)s->W;
        x[k] = inside ? p->at[k] + step : q->zeros;
    }
}

INLINE void finish_as(const ConvCall *q, V acc[MR][3], int nv, Act act, DType ty, int64_t first, int n, int64_t o)
{
    int64_t bytes = ty == F32 ? 4 : 2;
    for (int k = 0; k < nv; k++) {
        int64_t c = o + k * VL;
        int count = (int)(q->shape->O - c < VL ? q->shape->O - c : VL);
        V b = q->b ? vload(q->b + c, F32, count) : vset(0);
        for (int i = 0; i < n; i++) {
            V v = vact_as(act, ty, acc[i][k] + b);
            char *y = (char *)q->y + ((first + i) * q->ld_y + c) * bytes;
            const char *r = (const char *)q->res + ((first + i) * q->ld_res + c) * bytes;
            if (count == VL) {
                if (q->res) v += vload(r, ty, VL);
                vstore(y, ty, VL, v);
            } else {
                if (q->res) v += vload(r, ty, count);
                vstore(y, ty, count, v);
            }
        }
    }
}

static void finish(const ConvCall *q, V acc[MR][3], int nv, int64_t first, int n, int64_t o)
{
    FOR_ACT(q->act, a, FOR_TYPE(q->shape->y, t, finish_as(q, acc, nv, a, t, first, n, o)));
}

INLINE void block(const ConvCall *q, int nv, DType tx, const Pixels *p, const char *w, int64_t first, int64_t o)
{
    const ConvShape *s = q->shape;
    int64_t tap_bytes = input_steps(s) * nv * VBYTES;
    V acc[MR][3];
#pragma GCC unroll 8
    for (int i = 0; i < MR; i++)
#pragma GCC unroll 3
        for (int k = 0; k < nv; k++)
            acc[i][k] = vset(0);
    for (int64_t i = 0; i < s->kh; i++)
        for (int64_t j = 0; j < s->kw; j++, w += tap_bytes) {
            const char *x[MR];
            one_tap(q, p, i, j, tx, x);
#if defined(__AVX512BF16__)
            if (tx == BF16) {
                tap_bf16(acc, nv, x, w, s->C);
                continue;
            }
#endif
            tap_f32(acc, nv, x, tx, (const float *)w, s->C);
        }
    finish(q, acc, nv, first, p->n, o);
}

/* Where in the result the walk stands. */
typedef struct Cursor {
    int64_t n, h, w;
} Cursor;

/* The next MR pixels; from the `count`-th on they repeat the last. */
INLINE void pixels_next(const ConvCall *q, DType t, Cursor *at, int64_t count, Pixels *p)
{
    const ConvShape *s = q->shape;
    p->n = count < MR ? (int)count : MR;
    for (int i = 0; i < MR; i++) {
        p->h[i] = at->h * s->stride - s->pad_h;
        p->w[i] = at->w * s->stride - s->pad_w;
        p->at[i] = (const char *)q->x + ((at->n * s->H + p->h[i]) * s->W + p->w[i]) * q->ld_x * (t == F32 ? 4 : 2);
        if (i + 1 >= p->n || ++at->w < s->Wo) continue;
        at->w = 0;
        if (++at->h < s->Ho) continue;
        at->h = 0, at->n++;
    }
    if (++at->w == s->Wo) at->w = 0, at->h++;
    if (at->h == s->Ho) at->h = 0, at->n++;
}

/* A few hundred pixels at a time, so that what they read stays in cache while all output channels go by. */
INLINE void conv(const ConvCall *q, DType tx, int64_t lo, int64_t hi)
{
    const ConvShape *s = q->shape;
    int64_t per_vector = s->kh * s->kw * input_steps(s) * VBYTES;
    for (int64_t start = lo; start < hi; start += q->chunk) {
        int64_t end = hi - start < q->chunk ? hi : start + q->chunk;
        const char *w = q->w;
        for (int64_t o = 0, left = (s->O + VL - 1) / VL, nv; left > 0; left -= nv, o += nv * VL, w += nv * per_vector) {
            Cursor at = { start / (s->Ho * s->Wo), start / s->Wo % s->Ho, start % s->Wo };
            nv = block_vectors(left);
            for (int64_t first = start; first < end; first += MR) {
                Pixels p;
                pixels_next(q, tx, &at, end - first, &p);
                if (nv == 3)
                    block(q, 3, tx, &p, w, first, o);
                else if (nv == 2)
                    block(q, 2, tx, &p, w, first, o);
                else
                    block(q, 1, tx, &p, w, first, o);
            }
        }
    }
}

void ISA_NAME(conv)(const ConvCall *q, int64_t lo, int64_t hi)
{
    FOR_TYPE(q->shape->x, t, conv(q, t, lo, hi));
}
