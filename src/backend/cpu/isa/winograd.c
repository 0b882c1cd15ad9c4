/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution 3x3 with stride 1 in f32 by Winograd's F(2x2, 3x3): 4x4 pixels, transformed, give 2x2 results with 16
 * products a channel instead of 36. The 16 elements make 16 independent matrix products [tiles x C] [C x O], computed
 * by the register tile of conv_tile.h. Larger tiles would save more, but lose digits; this one is as exact as the sum.
 * The gradient of the weights goes the same way back: the transposes of both transforms of the results and weights, and
 * sums over tiles instead of channels.
 * Source: A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2015, section 4.1. */
#include "backend/cpu/isa/conv_tile.h"

enum { ELEMENTS = 16 };

/* One block of tiles: transformed input [16][tiles][row], products [16][tiles][N]. A plane is a vector longer than it
 * needs to be, so that the same place in 16 planes does not fall into one set of the cache. */
typedef struct WinogradBlock {
    int64_t tiles, row, in_plane; /* row, in_plane in floats */
    float *in;
    V *product;
} WinogradBlock;

static int64_t padded(int64_t C)
{
    return (C + VL - 1) / VL * VL;
}

static WinogradBlock block_of(int64_t C, void *scratch)
{
    WinogradBlock b = { .tiles = winograd_tiles(C), .row = padded(C), .in = scratch };
    b.in_plane = b.tiles * b.row + VL;
    b.product = (V *)(b.in + ELEMENTS * b.in_plane);
    return b;
}

size_t ISA_NAME(winograd_bytes)(int64_t C)
{
    WinogradBlock b = block_of(C, NULL);
    return ELEMENTS * ((size_t)b.in_plane * sizeof(float) + (size_t)(b.tiles * MAX_N + 1) * sizeof(V));
}

typedef struct Corner {
    int64_t n, h, w; /* the first of a tile's 2x2 results */
} Corner;

static Corner corner_of(const ConvJob *j, int64_t tile)
{
    int64_t wide = (j->Wo + 1) / 2, high = (j->Ho + 1) / 2;
    return (Corner) { tile / (wide * high), tile / wide % high * 2, tile % wide * 2 };
}

/* B^T d for four vectors in a line */
INLINE void spread(V *a, V *b, V *c, V *d)
{
    V p = *a - *c, q = *b + *c, r = *c - *b, s = *b - *d;
    *a = p, *b = q, *c = r, *d = s;
}

INLINE void transform_vector(const float *const px[ELEMENTS], int64_t at, int lanes, float *to, int64_t plane)
{
    V d[ELEMENTS];
    UNROLL16 for (int i = 0; i < ELEMENTS; i++) d[i] = vload(px[i] + at, F32, lanes);
    UNROLL for (int i = 0; i < 4; i++) spread(&d[i], &d[4 + i], &d[8 + i], &d[12 + i]);
    UNROLL for (int i = 0; i < 4; i++) spread(&d[4 * i], &d[4 * i + 1], &d[4 * i + 2], &d[4 * i + 3]);
    UNROLL16 for (int i = 0; i < ELEMENTS; i++) vstore(to + i * plane + at, F32, VL, d[i]);
}

static void transform_in(const ConvJob *j, const WinogradBlock *b, int64_t first, int64_t count)
{
    for (int64_t t = 0; t < count; t++) {
        const float *px[ELEMENTS];
        Corner c = corner_of(j, first + t);
        for (int i = 0; i < ELEMENTS; i++) {
            int64_t h = c.h - j->pad_h + i / 4, w = c.w - j->pad_w + i % 4;
            bool in = h >= 0 && h < j->H && w >= 0 && w < j->W;
            px[i] = in ? (const float *)j->x + ((c.n * j->H + h) * j->W + w) * j->x_pixel : (const float *)j->zeros;
        }
        int64_t at = 0;
        for (; at + VL <= j->C; at += VL)
            transform_vector(px, at, VL, b->in + t * b->row, b->in_plane);
        if (at < j->C) transform_vector(px, at, (int)(j->C - at), b->in + t * b->row, b->in_plane);
    }
}

/* The 16 products of the first `count` tiles with a panel of N vectors. */
static void multiply(const ConvJob *j, const WinogradBlock *b, int64_t count, const char *w, int N)
{
    const char *px[1][MAX_M];
    for (int64_t e = 0; e < ELEMENTS; e++, w += j->C * N * VBYTES)
        for (int64_t t = 0; t < count; t += TILE_PIXELS(N)) {
            for (int m = 0; m < TILE_PIXELS(N); m++)
                px[0][m] = (const char *)(b->in + e * b->in_plane + (t + m < count ? t + m : t) * b->row);
            sum_panel((const char *const(*)[MAX_M])px, 1, j->C, 4, w, b->product + e * (b->tiles * N + 1) + t * N, N,
                      STEP_F32);
        }
}

/* A^T m for four vectors in a line: two are left */
INLINE void gather(V a, V b, V c, V d, V *p, V *q)
{
    *p = a + b + c, *q = b - c - d;
}

INLINE void transform_out(const ConvJob *j, const WinogradBlock *b, int64_t first, int64_t count, int64_t at, int lanes,
                          const V *product, int N, Act act)
{
    int64_t plane = b->tiles * N + 1;
    V bias = bias_at(j, at, lanes);
    for (int64_t t = 0; t < count; t++) {
        Corner c = corner_of(j, first + t);
        const V *m = product + t * N;
        V s[2][4], y[2][2];
        UNROLL for (int i = 0; i < 4; i++)
            gather(m[i * plane], m[(4 + i) * plane], m[(8 + i) * plane], m[(12 + i) * plane], &s[0][i], &s[1][i]);
        UNROLL for (int i = 0; i < 2; i++) gather(s[i][0], s[i][1], s[i][2], s[i][3], &y[i][0], &y[i][1]);
        int64_t pixel = (c.n * j->Ho + c.h) * j->Wo + c.w;
        UNROLL for (int i = 0; i < 4; i++) if (c.h + i / 2 < j->Ho && c.w + i % 2 < j->Wo)
            finish(j, y[i / 2][i % 2], pixel + i / 2 * j->Wo + i % 2, at, bias, lanes, act, F32);
    }
}

void ISA_NAME(winograd)(const ConvJob *j, int64_t lo, int64_t hi, int64_t p0, int64_t p1, void *scratch)
{
    WinogradBlock b = block_of(j->C, scratch);
    ConvForm form = ISA_NAME(conv_form)(F32);
    for (int64_t first = lo; first < hi; first += b.tiles) {
        int64_t count = hi - first < b.tiles ? hi - first : b.tiles;
        transform_in(j, &b, first, count);
        for (int64_t p = p0; p < p1; p++) {
            int64_t v = conv_panel(j->O, form, p), N = conv_panel(j->O, form, p + 1) - v;
            multiply(j, &b, count, j->w + v * ELEMENTS * j->C * VBYTES, (int)N);
            for (int64_t n = 0; n < N && (v + n) * VL < j->O; n++) {
                int64_t at = (v + n) * VL;
                if (j->O - at >= VL)
                    FOR_ACT(j->act, a, transform_out(j, &b, first, count, at, VL, b.product + n, (int)N, a));
                else
                    FOR_ACT(j->act, a,
                            transform_out(j, &b, first, count, at, (int)(j->O - at), b.product + n, (int)N, a));
            }
        }
    }
}

/* ---- gradient of the weights --------------------------------------------------------------------------------- */

/* A y for two vectors in a line: four come of them */
INLINE void scatter(V y, V z, V *a, V *b, V *c, V *d)
{
    *a = y, *b = y + z, *c = y - z, *d = -z;
}

/* A dy A^T of one vector of outputs, `lanes` of them from `at` on; nothing comes from results that do not exist. */
INLINE void transform_dy(const ConvJob *j, const WinogradBlock *b, int64_t first, int64_t count, int64_t at, int lanes,
                         V *product, int N)
{
    int64_t plane = b->tiles * N + 1;
    for (int64_t t = 0; t < count; t++) {
        Corner c = corner_of(j, first + t);
        V y[4], s[4][2];
        UNROLL for (int i = 0; i < 4; i++)
        {
            int64_t h = c.h + i / 2, w = c.w + i % 2;
            const float *from = (const float *)j->y + ((c.n * j->Ho + h) * j->Wo + w) * j->y_pixel + at;
            y[i] = h < j->Ho && w < j->Wo ? vload(from, F32, lanes) : vset(0);
        }
        UNROLL for (int i = 0; i < 2; i++) scatter(y[i], y[2 + i], &s[0][i], &s[1][i], &s[2][i], &s[3][i]);
        V *m = product + t * N;
        UNROLL for (int i = 0; i < 4; i++) scatter(s[i][0], s[i][1], &m[4 * i * plane], &m[(4 * i + 1) * plane],
                                                   &m[(4 * i + 2) * plane], &m[(4 * i + 3) * plane]);
    }
}

/* sum [16][C][N] += transformed input x transformed dy over the tiles of the block */
static void add_products(const ConvJob *j, const WinogradBlock *b, int64_t count, int N, float *sum)
{
    const char *px[1][MAX_M];
    V tile[MAX_M * MAX_N] = { 0 };
    for (int64_t e = 0; e < ELEMENTS; e++)
        for (int64_t c = 0; c < j->C; c += TILE_PIXELS(N)) {
            int64_t channels = j->C - c < TILE_PIXELS(N) ? j->C - c : TILE_PIXELS(N);
            for (int64_t m = 0; m < TILE_PIXELS(N); m++)
                px[0][m] = (const char *)(b->in + e * b->in_plane + c + (m < channels ? m : 0));
            sum_panel((const char *const(*)[MAX_M])px, 1, count, b->row * (int64_t)sizeof(float),
                      (const char *)(b->product + e * (b->tiles * N + 1)), tile, N, STEP_F32);
            float *to = sum + (e * j->C + c) * N * VL;
            for (int64_t i = 0; i < channels * N; i++)
                vstore(to + i * VL, F32, VL, vload(to + i * VL, F32, VL) + tile[i]);
        }
}

void ISA_NAME(winograd_dw)(const ConvJob *j, int64_t lo, int64_t hi, int64_t p0, int64_t p1, float *sum, void *scratch)
{
    WinogradBlock b = block_of(j->C, scratch);
    ConvForm form = ISA_NAME(conv_form)(F32);
    for (int64_t first = lo; first < hi; first += b.tiles) {
        int64_t count = hi - first < b.tiles ? hi - first : b.tiles;
        transform_in(j, &b, first, count);
        for (int64_t p = p0; p < p1; p++) {
            int64_t v = conv_panel(j->O, form, p), N = conv_panel(j->O, form, p + 1) - v;
            for (int64_t n = 0; n < N; n++) {
                int64_t at = (v + n) * VL;
                if (j->O - at >= VL)
                    transform_dy(j, &b, first, count, at, VL, b.product + n, (int)N);
                else
                    transform_dy(j, &b, first, count, at, (int)(j->O - at), b.product + n, (int)N);
            }
            add_products(j, &b, count, (int)N, sum + v * ELEMENTS * j->C * VL);
        }
    }
}
