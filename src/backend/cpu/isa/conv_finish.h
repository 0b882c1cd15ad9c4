/* SPDX-License-Identifier: Apache-2.0
 *
 * What becomes of the sums of conv_amx.c: bias, activation, residual, rounding; and of what is stored the moments. */
#ifndef CONV_FINISH_H
#define CONV_FINISH_H

#include "backend/cpu/isa/conv_planes.h"
#include "backend/cpu/isa/conv_tile.h"
#include "backend/cpu/isa/moments.h"

#if defined(__AMX_BF16__)

INLINE __mmask16 lanes_from(int64_t O, int64_t at)
{
    return (__mmask16)(O - at >= VL ? 0xffff : O <= at ? 0 : (1 << (O - at)) - 1);
}

INLINE V load_lanes(const char *p, DType t, __mmask16 lanes)
{
    if (t == F32) return (V)_mm512_maskz_loadu_ps(lanes, p);
    return from_bf16((VH)_mm256_maskz_loadu_epi16(lanes, p));
}

/* What is the same for all of a panel's sums. */
typedef struct Finish {
    const ConvJob *j;
    int64_t M, at, y_step, res_step; /* first output; bytes from a stored pixel to the next */
    int64_t before, count;           /* pixels of the share before these, and these */
    __mmask16 lanes[2];
    V bias[2];
} Finish;

/* Sums over a panel's stored results, a few thousand at most, in f32: of distances from the mean so far, or of the
 * first ones. A vector for each of the panel's, or, of two that are stored as one line, for its even and its odd
 * outputs. */
typedef struct Moments {
    V near[2], sum[2], square[2];
} Moments;

/* Sums on their way out: `left` pixels of a piece, then `pieces` more. */
typedef struct Results {
    const V *sum, *next;
    char *y;
    const char *res;
    int64_t left;
    const Piece *piece;
    int pieces;
} Results;

INLINE void next_piece(const Finish *f, Results *o, const int N, DType t)
{
    const int64_t size = t == F32 ? 4 : 2, pixel = o->piece->pixel;
    o->sum = o->next + o->piece->skip * N, o->next += f->M * N;
    o->left = o->piece->count;
    o->y = f->j->y + (pixel * f->j->y_pixel + f->at) * size;
    o->res = f->j->res + (pixel * f->j->res_pixel + f->at) * size;
    o->piece++, o->pieces--;
}

/* Two vectors of outputs rounded to bf16, as f32: the even ones, the odd ones. */
INLINE void split_pairs(__m512i pairs, V v[2])
{
    v[0] = (V)_mm512_slli_epi32(pairs, 16), v[1] = (V)_mm512_and_si512(pairs, _mm512_set1_epi32(-65536));
}

INLINE void count_in(Moments *m, const V *v, const int N)
{
    for (int k = 0; k < N; k++) {
        V d = v[k] - m->near[k];
        m->sum[k] += d, m->square[k] += d * d;
    }
}

/* m NULL: nobody wants them */
INLINE void finish_pixel(const Finish *f, const Results *o, const int N, Act act, DType t, const bool res, Moments *m)
{
    __builtin_prefetch(o->y + 32 * f->y_step, 1, 3);
    V z = vact_as(act, t, o->sum[0] + f->bias[0]), u = z;
    if (N == 2) u = vact_as(act, t, o->sum[1] + f->bias[1]);
    if (res) z += load_lanes(o->res, t, f->lanes[0]);
    if (res && N == 2) u += load_lanes(o->res + VL * (t == F32 ? 4 : 2), t, f->lanes[1]);
    if (t == F32) {
        _mm512_mask_storeu_ps(o->y, f->lanes[0], (__m512)z);
        if (N == 2) _mm512_mask_storeu_ps(o->y + 64, f->lanes[1], (__m512)u);
    } else if (N == 2) {
        __mmask32 both = f->lanes[0] | (__mmask32)f->lanes[1] << 16;
        __m512i pairs = (__m512i)_mm512_cvtne2ps_pbh((__m512)u, (__m512)z);
        _mm512_mask_storeu_epi16(o->y, both, pairs);
        V v[2];
        split_pairs(pairs, v);
        if (m) count_in(m, v, 2);
    } else {
        VH h = to_bf16(z);
        _mm256_mask_storeu_epi16(o->y, f->lanes[0], (__m256i)h);
        z = from_bf16(h);
        if (m) count_in(m, &z, 1);
    }
}

/* The mean of the results that o has. */
INLINE void mean_of(const Finish *f, Results o, const int N, V mean[2])
{
    int64_t count = 0;
    for (; o.pieces; o.piece++, o.pieces--, o.next += f->M * N) {
        for (int64_t i = 0; i < o.piece->count * N; i++)
            mean[i % N] += o.next[o.piece->skip * N + i];
        count += o.piece->count;
    }
    for (int v = 0; v < N; v++)
        mean[v] = mean[v] * (1 / (float)count) + f->bias[v];
}

/* Before the first of a panel's results are stored, which o has. */
INLINE Moments moments_begin(const Finish *f, const Results *o, const int N)
{
    Moments m = { 0 };
    V mean[2] = { { 0 }, { 0 } };
    if (!f->before) mean_of(f, *o, N, mean);
    for (int i = 0; i < N * VL && f->at + i < f->j->O; i++)
        m.near[N == 2 ? i % 2 : 0][N == 2 ? i / 2 : i] =
            f->before ? (float)f->j->moments[f->at + i] : mean[i / VL][i % VL];
    return m;
}

/* Into those of the share. */
static void moments_add(const Finish *f, const Moments *m, const int N)
{
    const int64_t O = f->j->O;
    float to[3][2 * VL];
    for (int k = 0; k < 2 * VL; k++) {
        const int v = N == 2 ? k % 2 : k / VL, lane = N == 2 ? k / 2 : k % VL;
        to[0][k] = m->near[v][lane], to[1][k] = m->sum[v][lane], to[2][k] = m->square[v][lane];
    }
    int n = (int)(O - f->at < N * VL ? O - f->at : N * VL);
    moments_merge(f->j->moments + f->at, f->j->moments + O + f->at, to[0], to[1], to[2], n, f->before, f->count);
}

/* The next `pixels`, or as many as there are. */
INLINE void finish_some(const Finish *f, Results *o, int64_t pixels, const int N, Act act, DType t, const bool res,
                        Moments *m)
{
    for (; pixels > 0; pixels--) {
        if (!o->left) {
            if (!o->pieces) return;
            next_piece(f, o, N, t);
        }
        finish_pixel(f, o, N, act, t, res, m);
        o->left--, o->sum += N, o->y += f->y_step;
        if (res) o->res += f->res_step;
    }
}

#endif
#endif
