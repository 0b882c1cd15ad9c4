/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights [O,I,kh,kw] to the panels that convolutions read. They go a cache line of outputs at a time, so that what is
 * packed is written once, in whole lines, and few rows of the plain weights are being read. */
#include "backend/cpu/isa/conv_tile.h"

enum { LANES = 16, CHUNK = 16 }; /* outputs; input channels whose weights are at hand */
typedef float Line[LANES];

#if defined(__AVX512F__)
/* to[e][l] = x[l * ld + e] of 16 rows, n <= 16 elements of each. */
static void turn(const float *x, int64_t ld, int rows, int n, Line *to)
{
    __m512 a[LANES], b[LANES];
    const __mmask16 mask = (__mmask16)((1u << n) - 1);
    for (int l = 0; l < LANES; l++)
        a[l] = l < rows ? _mm512_maskz_loadu_ps(mask, x + l * ld) : _mm512_setzero_ps();
    for (int l = 0; l < LANES; l += 2) {
        b[l] = _mm512_unpacklo_ps(a[l], a[l + 1]);
        b[l + 1] = _mm512_unpackhi_ps(a[l], a[l + 1]);
    }
    /* a[4 g + c]: column c of every quarter, rows 4 g to 4 g + 3 */
    for (int l = 0; l < LANES; l += 4) {
        __m512d p = (__m512d)b[l], q = (__m512d)b[l + 2], r = (__m512d)b[l + 1], s = (__m512d)b[l + 3];
        a[l] = (__m512)_mm512_unpacklo_pd(p, q), a[l + 1] = (__m512)_mm512_unpackhi_pd(p, q);
        a[l + 2] = (__m512)_mm512_unpacklo_pd(r, s), a[l + 3] = (__m512)_mm512_unpackhi_pd(r, s);
    }
    for (int c = 0; c < 4; c++) {
        __m512 p = _mm512_shuffle_f32x4(a[c], a[4 + c], 0x88), q = _mm512_shuffle_f32x4(a[8 + c], a[12 + c], 0x88);
        __m512 r = _mm512_shuffle_f32x4(a[c], a[4 + c], 0xdd), s = _mm512_shuffle_f32x4(a[8 + c], a[12 + c], 0xdd);
        b[c] = _mm512_shuffle_f32x4(p, q, 0x88), b[8 + c] = _mm512_shuffle_f32x4(p, q, 0xdd);
        b[4 + c] = _mm512_shuffle_f32x4(r, s, 0x88), b[12 + c] = _mm512_shuffle_f32x4(r, s, 0xdd);
    }
    for (int e = 0; e < n; e++)
        _mm512_storeu_ps(to[e], b[e]);
}
#else
static void turn(const float *x, int64_t ld, int rows, int n, Line *to)
{
    for (int e = 0; e < n; e++)
        for (int l = 0; l < LANES; l++)
            to[e][l] = l < rows ? x[l * ld + e] : 0;
}
#endif

/* g[c * plain_taps + k]: outputs o .. o+15 at inputs i + c < i + n and taps as they lie; zeros where there is none. */
static void gather(const PackJob *j, int64_t o, int64_t i, int64_t n, Line *g)
{
    int64_t have = j->C - i < n ? j->C - i : n, taps = j->plain_taps;
    int rows = (int)(j->O - o < LANES ? j->O - o : LANES);
    const float *w = j->w + o * j->output + i * j->input;
    if (j->input == taps)
        for (int64_t e = 0; e < have * taps; e += 16)
            turn(w + e, j->output, rows, (int)(have * taps - e < 16 ? have * taps - e : 16), g + e);
    else
        for (int64_t c = 0; c < have; c++)
            for (int64_t e = 0; e < taps; e += 16)
                turn(w + c * j->input + e, j->output, rows, (int)(taps - e < 16 ? taps - e : 16), g + c * taps + e);
    memset(g + have * taps, 0, (size_t)((n - have) * taps) * sizeof *g);
}

/* (a, b, c) -> G (a, b, c)^T, G = [1 0 0; 1/2 1/2 1/2; 1/2 -1/2 1/2; 0 0 1] */
static void widen(const float *a, const float *b, const float *c, float *p, float *q, float *r, float *t)
{
    for (int l = 0; l < LANES; l++) {
        float even = 0.5f * (a[l] + c[l]), odd = 0.5f * b[l];
        p[l] = a[l], q[l] = even + odd, r[l] = even - odd, t[l] = c[l];
    }
}

/* U = G g G^T */
static void winograd_weights(const float *const g[9], Line *u)
{
    Line t[12];
    for (int i = 0; i < 3; i++)
        widen(g[i], g[3 + i], g[6 + i], t[i], t[3 + i], t[6 + i], t[9 + i]);
    for (int i = 0; i < 4; i++)
        widen(t[3 * i], t[3 * i + 1], t[3 * i + 2], u[4 * i], u[4 * i + 1], u[4 * i + 2], u[4 * i + 3]);
}

/* Lanes of a and b, as bf16, in turns. */
INLINE void store_pairs(const float *a, const float *b, char *to, size_t bytes)
{
    uint16_t pair[2 * LANES];
#if defined(__AVX512BF16__)
    static const uint16_t turns[2 * LANES] = { 0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                               8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31 };
    __m512i both = (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(b), _mm512_loadu_ps(a));
    _mm512_storeu_si512(pair, _mm512_permutexvar_epi16(_mm512_loadu_si512(turns), both));
#else
    for (int l = 0; l < LANES; l++)
        pair[2 * l] = f32_to_bf16(a[l]), pair[2 * l + 1] = f32_to_bf16(b[l]);
#endif
    memcpy(to, pair, bytes);
}

/* Steps [lo, hi) of panel p. */
void ISA_NAME(pack)(const PackJob *j, int64_t p, int64_t lo, int64_t hi)
{
    const bool pairs = j->form.pairs;
    const int64_t per = pairs ? 2 : 1, steps = conv_steps(j->C, j->form), out = j->winograd ? 16 : j->taps;
    const int64_t v0 = conv_panel(j->O, j->form, p), v1 = conv_panel(j->O, j->form, p + 1), lanes = j->form.lanes;
    const int64_t row = 4 * (v1 - v0) * lanes, step_at = j->inside ? row * out : row,
                  tap_at = j->inside ? row : row * steps, from = v0 * lanes, to = v1 * lanes;
    char *panel = j->to + from * out * steps * 4;
    Line g[CHUNK * CONV_MAX_TAPS], u[16];
    for (int64_t o = from; o < to; o += LANES)
        for (int64_t i = lo; i < hi; i += CHUNK / per) {
            const int64_t n = hi - i < CHUNK / per ? hi - i : CHUNK / per;
            const size_t bytes = 4 * (size_t)(to - o < LANES ? to - o : LANES);
            gather(j, o, i * per, n * per, g);
            for (int64_t s = 0; s < n; s++) {
                char *at = panel + (i + s) * step_at + 4 * (o - from);
                Line *of = g + s * per * j->plain_taps;
                const float *tap[CONV_MAX_TAPS];
                for (int64_t k = 0; k < j->taps; k++)
                    tap[k] = of[j->tap[k]];
                if (j->winograd) winograd_weights(tap, u);
                for (int64_t k = 0; k < out; k++, at += tap_at) {
                    if (pairs)
                        store_pairs(tap[k], tap[k] + j->plain_taps * LANES, at, bytes);
                    else
                        memcpy(at, j->winograd ? u[k] : tap[k], bytes);
                }
            }
        }
}
