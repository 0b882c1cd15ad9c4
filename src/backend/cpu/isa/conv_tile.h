/* SPDX-License-Identifier: Apache-2.0
 *
 * What the convolutions of this folder share: the register tile, M pixels (or rows of a matrix) by N vectors of
 * outputs, and the epilogue. */
#ifndef CONV_TILE_H
#define CONV_TILE_H

#include "backend/cpu/isa/vec.h"

#if defined(__AVX512BF16__)
enum { PAIRS = 1 };
#else
enum { PAIRS = 0 };
#endif

/* M pointers, N vectors of weights and M x N sums: 30 of AVX-512's 32 registers, 15 of the 16 below it. */
enum { MAX_M = 8, MAX_N = VBYTES == 64 ? 4 : 2 };
#define TILE_PIXELS(n) (VBYTES == 64 ? ((n) == 4 ? 6 : 8) : (n) == 2 ? 6 : 8)

/* Loops over registers must vanish: sums that are indexed at run time would lie in memory. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#define UNROLL16 UNROLL
#else
#define UNROLL _Pragma("GCC unroll 8")
#define UNROLL16 _Pragma("GCC unroll 16")
#endif

/* One step's value of a pixel in every lane. LAST is the odd channel at the end of pairs. */
typedef enum Step { STEP_F32, STEP_BF16, STEP_PAIR, STEP_LAST } Step;

INLINE Step step_of(DType t)
{
    return t == F32 ? STEP_F32 : PAIRS ? STEP_PAIR : STEP_BF16;
}

INLINE V repeat(const char *x, const Step step)
{
    uint32_t bits = 0;
    memcpy(&bits, x, step == STEP_F32 || step == STEP_PAIR ? 4 : 2);
    return (V)((VU) { 0 } + (step == STEP_BF16 ? bits << 16 : bits));
}

INLINE V multiply_add(V sum, V x, V w, const Step step)
{
#if defined(__AVX512BF16__)
    if (step >= STEP_PAIR) return (V)_mm512_dpbf16_ps((__m512)sum, (__m512bh)x, (__m512bh)w);
#endif
    return sum + x * w;
}

/* Bytes from a step's value to the next one's, where channels follow each other. */
INLINE int64_t step_bytes(const Step step)
{
    return step == STEP_BF16 ? 2 : 4;
}

/* `steps` steps of one tap over pixels px, from their byte `at` on; returns the weights behind it. */
INLINE const char *tap(V (*sum)[MAX_N], const char *const *px, int64_t at, int64_t steps, int64_t bytes, const char *w,
                       const int M, const int N, const Step step)
{
    const char *p[MAX_M];
    UNROLL for (int m = 0; m < M; m++) p[m] = px[m] + at;
    for (int64_t i = 0; i < steps * bytes; i += bytes, w += N * VBYTES) {
        V v[MAX_N];
        UNROLL for (int n = 0; n < N; n++) memcpy(&v[n], w + n * VBYTES, VBYTES);
        UNROLL for (int m = 0; m < M; m++)
        {
            V x = repeat(p[m] + i, step);
            UNROLL for (int n = 0; n < N; n++) sum[m][n] = multiply_add(sum[m][n], x, v[n], step);
        }
    }
    return w;
}

/* All taps of a tile into tile [M][N]. C is the length of a run: a tap's channels, or those of a whole kernel row where
 * the image is dense; `bytes` lie between its steps. */
INLINE void sum_tile(const char *const (*px)[MAX_M], int64_t taps, int64_t C, int64_t bytes, const char *w, V *tile,
                     const int N, const Step step)
{
    const int M = TILE_PIXELS(N);
    V sum[MAX_M][MAX_N];
    UNROLL for (int m = 0; m < M; m++) UNROLL for (int n = 0; n < N; n++) sum[m][n] = vset(0);
    int64_t steps = step == STEP_PAIR ? C / 2 : C;
    for (int64_t k = 0; k < taps; k++) {
        w = tap(sum, px[k], 0, steps, bytes, w, M, N, step);
        if (step == STEP_PAIR && C % 2) w = tap(sum, px[k], 4 * steps, 1, 4, w, M, N, STEP_LAST);
    }
    UNROLL for (int m = 0; m < M; m++) UNROLL for (int n = 0; n < N; n++) tile[m * N + n] = sum[m][n];
}

INLINE void sum_panel(const char *const (*px)[MAX_M], int64_t taps, int64_t C, int64_t bytes, const char *w, V *tile,
                      int N, const Step step)
{
    switch (N) {
    case 1: sum_tile(px, taps, C, bytes, w, tile, 1, step); break;
#if VBYTES == 64
    case 2: sum_tile(px, taps, C, bytes, w, tile, 2, step); break;
    case 3: sum_tile(px, taps, C, bytes, w, tile, 3, step); break;
#endif
    default: sum_tile(px, taps, C, bytes, w, tile, MAX_N, step); break;
    }
}

/* Result z of one pixel and one vector of outputs, `lanes` of them from output `at` on: bias, activation, residual. */
INLINE void finish(const ConvJob *j, V z, int64_t pixel, int64_t at, V bias, int lanes, Act act, DType t)
{
    int64_t size = t == F32 ? 4 : 2;
    z = vact_as(act, t, z + bias);
    if (j->res) z += vload(j->res + (pixel * j->res_pixel + at) * size, t, lanes);
    vstore(j->y + (pixel * j->y_pixel + at) * size, t, lanes, z);
}

INLINE V bias_at(const ConvJob *j, int64_t at, int lanes)
{
    return j->bias ? vload(j->bias + at, F32, lanes) : vset(0);
}

#endif
