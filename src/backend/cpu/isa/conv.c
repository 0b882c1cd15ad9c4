/* SPDX-License-Identifier: Apache-2.0
 *
 * Direct convolution of channels-last images. A tile of M output pixels by N vectors of outputs stays in registers
 * while all taps and input channels pass: each step loads N vectors of weights and repeats one value (bf16: one pair)
 * of each pixel. Pixels are reached through pointers made for each tap, so that a tile may run over the end of a row or
 * an image, and what lies outside the image is a pointer to zeros: there is no edge code and no padded copy. The idea
 * is the indirection of M. Dukhan, "The Indirect Convolution Algorithm", 2019. */
#include "backend/cpu/isa/vec.h"

#if defined(__AVX512BF16__)
enum { PAIRS = 1 };
#else
enum { PAIRS = 0 };
#endif

/* M pointers, N vectors of weights and M x N sums: 30 of AVX-512's 32 registers, 15 of the 16 below it. */
enum { MAX_M = 8, MAX_N = VBYTES == 64 ? 4 : 2 };
#define TILE_PIXELS(n) (VBYTES == 64 ? ((n) == 4 ? 6 : 8) : (n) == 2 ? 6 : 8)

ConvForm ISA_NAME(conv_form)(DType x)
{
    return (ConvForm) { .lanes = VL, .vectors = MAX_N, .pairs = PAIRS && x == BF16 };
}

#define UNROLL _Pragma("GCC unroll 8")

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

/* `steps` steps of one tap over pixels px, from their byte `at` on; returns the weights behind it. */
INLINE const char *tap(V (*sum)[MAX_N], const char *const *px, int64_t at, int64_t steps, const char *w, const int M,
                       const int N, const Step step)
{
    const int64_t size = step == STEP_BF16 ? 2 : 4;
    const char *p[MAX_M];
    UNROLL for (int m = 0; m < M; m++) p[m] = px[m] + at;
    for (int64_t i = 0; i < steps * size; i += size, w += N * VBYTES) {
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
 * the image is dense. */
INLINE void sum_tile(const char *const (*px)[MAX_M], int64_t taps, int64_t C, const char *w, V *tile, const int N,
                     const Step step)
{
    const int M = TILE_PIXELS(N);
    V sum[MAX_M][MAX_N];
    UNROLL for (int m = 0; m < M; m++) UNROLL for (int n = 0; n < N; n++) sum[m][n] = vset(0);
    int64_t steps = step == STEP_PAIR ? C / 2 : C;
    for (int64_t k = 0; k < taps; k++) {
        w = tap(sum, px[k], 0, steps, w, M, N, step);
        if (step == STEP_PAIR && C % 2) w = tap(sum, px[k], 4 * steps, 1, w, M, N, STEP_LAST);
    }
    UNROLL for (int m = 0; m < M; m++) UNROLL for (int n = 0; n < N; n++) tile[m * N + n] = sum[m][n];
}

INLINE void sum_panel(const char *const (*px)[MAX_M], int64_t taps, int64_t C, const char *w, V *tile, int N,
                      const Step step)
{
    switch (N) {
    case 1: sum_tile(px, taps, C, w, tile, 1, step); break;
    case 2: sum_tile(px, taps, C, w, tile, 2, step); break;
#if VBYTES == 64
    case 3: sum_tile(px, taps, C, w, tile, 3, step); break;
    case 4: sum_tile(px, taps, C, w, tile, 4, step); break;
#endif
    default: break;
    }
}

/* ---- where pixels are --------------------------------------------------------------------------------------- */

typedef struct Place {
    int64_t n, h, w; /* of an output pixel */
} Place;

static Place place_of(const ConvJob *j, int64_t pixel)
{
    return (Place) { pixel / (j->Wo * j->Ho), pixel / j->Wo % j->Ho, pixel % j->Wo };
}

static void next_place(const ConvJob *j, Place *p)
{
    if (++p->w < j->Wo) return;
    p->w = 0;
    if (++p->h < j->Ho) return;
    p->h = 0, p->n++;
}

/* Pointers of taps x M pixels from place *p on (moved behind them), of which `count` exist: the others repeat the last.
 * Returns how many runs there are, and their length in channels. */
static int64_t point(const ConvJob *j, Place *p, int64_t count, int M, const char *px[CONV_MAX_TAPS][MAX_M], int64_t *C)
{
    int64_t size = j->type == F32 ? 4 : 2, step = j->x_pixel * size, row = step * j->W;
    int64_t top[MAX_M], left[MAX_M];
    const char *base[MAX_M];
    bool inside = true;
    for (int m = 0; m < M; m++) {
        top[m] = p->h * j->stride - j->pad_h, left[m] = p->w * j->stride - j->pad_w;
        base[m] = j->x + (p->n * j->H + top[m]) * row + left[m] * step;
        inside &= top[m] >= 0 && left[m] >= 0 && top[m] + (j->kh - 1) * j->dilation < j->H &&
                  left[m] + (j->kw - 1) * j->dilation < j->W;
        if (m + 1 < count) next_place(j, p);
    }
    next_place(j, p);
    /* The pixels of a kernel row lie one behind the other: one run. Pairs must not run across. */
    bool joined = inside && j->dilation == 1 && j->x_pixel == j->C && (step_of(j->type) != STEP_PAIR || j->C % 2 == 0);
    int64_t kw = joined ? 1 : j->kw, k = 0;
    *C = joined ? j->C * j->kw : j->C;
    for (int64_t a = 0; a < j->kh; a++)
        for (int64_t b = 0; b < kw; b++, k++) {
            int64_t h = a * j->dilation, w = b * j->dilation, at = h * row + w * step;
            if (inside) {
                for (int m = 0; m < MAX_M; m++)
                    px[k][m] = base[m] + at;
                continue;
            }
            for (int m = 0; m < M; m++) {
                bool in = top[m] + h >= 0 && top[m] + h < j->H && left[m] + w >= 0 && left[m] + w < j->W;
                px[k][m] = in ? base[m] + at : j->zeros;
            }
        }
    return k;
}

/* ---- epilogue ----------------------------------------------------------------------------------------------- */

INLINE void finish_vector(const ConvJob *j, const V *tile, int N, int64_t pixel, int64_t count, int64_t at, int lanes,
                          Act act, DType t)
{
    int64_t size = t == F32 ? 4 : 2, y_step = j->y_pixel * size, res_step = j->res_pixel * size;
    char *y = j->y + (pixel * j->y_pixel + at) * size;
    const char *res = j->res ? j->res + (pixel * j->res_pixel + at) * size : NULL;
    V bias = j->bias ? vload(j->bias + at, F32, lanes) : vset(0);
    for (int64_t m = 0; m < count; m++, y += y_step) {
        V z = tile[m * N] + bias;
        z = vact_as(act, t, z);
        if (res) z += vload(res + m * res_step, t, lanes);
        vstore(y, t, lanes, z);
    }
}

INLINE void finish(const ConvJob *j, const V *tile, int N, int64_t pixel, int64_t count, int64_t o, Act act, DType t)
{
    for (int n = 0; n < N && o < j->O; n++, o += VL) {
        if (o + VL <= j->O)
            finish_vector(j, tile + n, N, pixel, count, o, VL, act, t);
        else
            finish_vector(j, tile + n, N, pixel, count, o, (int)(j->O - o), act, t);
    }
}

static void conv_panel_range(const ConvJob *j, int64_t lo, int64_t hi, int64_t first, int N)
{
    const char *px[CONV_MAX_TAPS][MAX_M];
    V tile[MAX_M * MAX_N];
    const Step step = step_of(j->type);
    int64_t steps = j->kh * j->kw * (step == STEP_PAIR ? (j->C + 1) / 2 : j->C), C;
    const char *w = j->w + first * steps * VBYTES;
    Place p = place_of(j, lo);
    for (int64_t at = lo; at < hi; at += TILE_PIXELS(N)) {
        int64_t count = hi - at < TILE_PIXELS(N) ? hi - at : TILE_PIXELS(N);
        int64_t taps = point(j, &p, count, TILE_PIXELS(N), px, &C);
        if (step == STEP_F32)
            sum_panel((const char *const(*)[MAX_M])px, taps, C, w, tile, N, STEP_F32);
        else
            sum_panel((const char *const(*)[MAX_M])px, taps, C, w, tile, N, PAIRS ? STEP_PAIR : STEP_BF16);
        FOR_ACT(j->act, a, FOR_TYPE(j->y_type, t, finish(j, tile, N, at, count, first * VL, a, t)));
    }
}

/* Pixels go in blocks whose images stay in the second-level cache while the panels of weights pass. */
void ISA_NAME(conv)(const ConvJob *j, int64_t lo, int64_t hi, int64_t p0, int64_t p1)
{
    const int64_t block = 480;
    const ConvForm form = ISA_NAME(conv_form)(j->type);
    for (int64_t at = lo; at < hi; at += block)
        for (int64_t p = p0; p < p1; p++) {
            int64_t first = conv_panel(j->O, form, p), end = conv_panel(j->O, form, p + 1);
            conv_panel_range(j, at, hi - at < block ? hi : at + block, first, (int)(end - first));
        }
}
