/* SPDX-License-Identifier: Apache-2.0
 *
 * Direct convolution of channels-last images. A tile of M output pixels by N vectors of outputs stays in registers
 * while all taps and input channels pass: each step loads N vectors of weights and repeats one value (bf16: one pair)
 * of each pixel. Pixels are reached through pointers made for each tap, so that a tile may run over the end of a row or
 * an image, and what lies outside the image is a pointer to zeros: there is no edge code and no padded copy. The idea
 * is the indirection of M. Dukhan, "The Indirect Convolution Algorithm", 2019. */
#include "backend/cpu/isa/conv_amx.h"
#include "backend/cpu/isa/conv_tile.h"

ConvForm ISA_NAME(conv_form)(DType x)
{
#if defined(__AMX_BF16__)
    if (x == BF16) return amx_form();
#endif
    return (ConvForm) { .lanes = VL, .vectors = MAX_N, .pairs = PAIRS && x == BF16 };
}

size_t ISA_NAME(conv_bytes)(const ConvJob *j)
{
#if defined(__AMX_BF16__)
    if (j->type == BF16) return conv_amx_bytes(j);
#endif
    return 0;
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

/* ---- a panel ------------------------------------------------------------------------------------------------- */

INLINE void finish_tile(const ConvJob *j, const V *tile, int N, int64_t pixel, int64_t count, int64_t at, Act act,
                        DType t)
{
    for (int n = 0; n < N && at < j->O; n++, at += VL) {
        int lanes = (int)(j->O - at < VL ? j->O - at : VL);
        V bias = bias_at(j, at, lanes);
        if (lanes == VL)
            for (int64_t m = 0; m < count; m++)
                finish(j, tile[m * N + n], pixel + m, at, bias, VL, act, t);
        else
            for (int64_t m = 0; m < count; m++)
                finish(j, tile[m * N + n], pixel + m, at, bias, lanes, act, t);
    }
}

static void conv_panel_range(const ConvJob *j, int64_t lo, int64_t hi, int64_t first, int N)
{
    const char *px[CONV_MAX_TAPS][MAX_M];
    V tile[MAX_M * MAX_N];
    const Step step = step_of(j->type), half = PAIRS ? STEP_PAIR : STEP_BF16;
    int64_t steps = j->kh * j->kw * (step == STEP_PAIR ? (j->C + 1) / 2 : j->C), C;
    const char *w = j->w + first * steps * VBYTES;
    Place p = place_of(j, lo);
    for (int64_t at = lo; at < hi; at += TILE_PIXELS(N)) {
        int64_t count = hi - at < TILE_PIXELS(N) ? hi - at : TILE_PIXELS(N);
        int64_t taps = point(j, &p, count, TILE_PIXELS(N), px, &C);
        if (step == STEP_F32)
            sum_panel((const char *const(*)[MAX_M])px, taps, C, step_bytes(STEP_F32), w, tile, N, STEP_F32);
        else
            sum_panel((const char *const(*)[MAX_M])px, taps, C, step_bytes(half), w, tile, N, half);
        FOR_ACT(j->act, a, FOR_TYPE(j->y_type, t, finish_tile(j, tile, N, at, count, first * VL, a, t)));
    }
}

/* Pixels go in blocks whose images stay in the second-level cache while the panels of weights pass. */
void ISA_NAME(conv)(const ConvJob *j, int64_t lo, int64_t hi, int64_t p0, int64_t p1, void *scratch)
{
#if defined(__AMX_BF16__)
    if (j->type == BF16) {
        if (lo < hi && p0 < p1) conv_amx(j, lo, hi, p0, p1, scratch);
        return;
    }
#endif
    const int64_t block = 480;
    const ConvForm form = ISA_NAME(conv_form)(j->type);
    for (int64_t at = lo; at < hi; at += block)
        for (int64_t p = p0; p < p1; p++) {
            int64_t first = conv_panel(j->O, form, p), end = conv_panel(j->O, form, p + 1);
            conv_panel_range(j, at, hi - at < block ? hi : at + block, first, (int)(end - first));
        }
}
