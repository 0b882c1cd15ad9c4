/* SPDX-License-Identifier: Apache-2.0
 *
 * The weights' gradient of a convolution by tiles: see conv_dw.h. The sum over a block's pixels stays in a tile; blocks
 * are added in f32. */
#include "backend/cpu/isa/tiles.h"

#if defined(__AMX_BF16__)

enum { CHUNK = 32, LINE = 64, PAIRS = CHUNK / 2 }; /* pixels of a step, bytes of a tile's row, its pairs of pixels */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t steps_of(const ConvDw *j, int64_t rows)
{
    return (rows * j->pitch + (j->reach > 0) + CHUNK - 1) / CHUNK;
}

/* ---- pixels -------------------------------------------------------------------------------------------------- */

/* A grid of pixels, `pitch` wide. Those from row0, col0 on to before row1, col1 are there, the others are zeros. Of
 * joined pixels some are there in part: those from part0 to before part1, whose bytes up to `ahead` of pixel 0, and
 * from `whole` bytes behind there on, are outside the image. */
typedef struct Grid {
    const char *at, *zeros;
    int64_t pitch, row_bytes, col_bytes;
    int64_t row0, row1, col0, col1;
    int64_t row, col; /* of the next pixel */
    int64_t part0, part1, ahead, whole, bytes;
    char part[CHUNK][2 * CONV_DW_TILE];
} Grid;

/* Joined pixel `from` of column col: what is there of it. */
static const char *partly(const Grid *g, const char *from, int64_t col, char *to)
{
    int64_t lo = g->ahead - col * g->col_bytes, hi = least(g->bytes, lo + g->whole);
    if (lo < 0) lo = 0;
    memset(to, 0, 2 * CONV_DW_TILE);
    memcpy(to + lo, from + lo, (size_t)(hi - lo));
    return to;
}

static void next_pixels(Grid *g, const char *p[CHUNK])
{
    for (int64_t i = 0; i < CHUNK;) {
        int64_t n = least(CHUNK - i, g->pitch - g->col), c = g->col, step = g->col_bytes;
        const char *row = g->at + g->row * g->row_bytes + c * step, *zeros = g->zeros;
        bool in = g->row >= g->row0 && g->row < g->row1;
        int64_t lo = in ? g->col0 - c : n, hi = in ? g->col1 - c : n;
        for (int64_t k = 0; k < n; k++)
            p[i + k] = k >= lo && k < hi ? row + k * step : zeros;
        for (int64_t k = g->part0 > c ? g->part0 - c : 0; in && k < n && k < g->part1 - c; k++)
            if (k >= lo && k < hi)
                k = hi - 1;
            else
                p[i + k] = partly(g, row + k * step, c + k, g->part[i + k]);
        i += n, g->col += n;
        if (g->col == g->pitch) g->col = 0, g->row++;
    }
}

/* The first k >= 0 with k * step >= from. */
static int64_t first_at(int64_t from, int64_t step)
{
    return from <= 0 ? 0 : (from + step - 1) / step;
}

/* Channels from byte `at` on, n <= 8 of them, of 32 pixels to n rows of 32 pixels. The same of the next ones, which lie
 * `ahead`, is asked for: lines a pixel apart are no pattern that a processor foresees. Lane l of z[i] holds pixel 8 l +
 * i, so that transposing within lanes puts pixels in order. */
INLINE void turn(const char *const p[CHUNK], int64_t at, int64_t ahead, char *to, int64_t row, int n)
{
    const __mmask8 mask = (__mmask8)((1 << n) - 1);
    __m512i z[8], t[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        __m128i q[4];
        for (int l = 0; l < 4; l++) {
            const void *from = p[8 * l + i] + at;
            if (at % LINE == 0) __builtin_prefetch(p[8 * l + i] + at + ahead, 0, 2);
            q[l] = n == 8 ? _mm_loadu_si128(from) : _mm_maskz_loadu_epi16(mask, from);
        }
        z[i] = _mm512_inserti32x4(_mm512_castsi128_si512(q[0]), q[1], 1);
        z[i] = _mm512_inserti32x4(z[i], q[2], 2);
        z[i] = _mm512_inserti32x4(z[i], q[3], 3);
    }
    /* t, z, t: of 2, 4, 8 successive pixels the channels 0-3 4-7, then 01 23 45 67, then each */
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        t[2 * i] = _mm512_unpacklo_epi16(z[2 * i], z[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi16(z[2 * i], z[2 * i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        int a = i / 2 * 4 + i % 2;
        z[2 * i] = _mm512_unpacklo_epi32(t[a], t[a + 2]);
        z[2 * i + 1] = _mm512_unpackhi_epi32(t[a], t[a + 2]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        t[2 * i] = _mm512_unpacklo_epi64(z[i], z[i + 4]);
        t[2 * i + 1] = _mm512_unpackhi_epi64(z[i], z[i + 4]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        if (i < n) _mm512_store_si512(to + i * row, t[i]);
}

/* Outputs [o0, o1) of dy, `rows` rows from `first` (counted through images) on. A line of zeros lies before each. */
static void turn_dy(const ConvDw *j, int64_t first, int64_t rows, int64_t o0, int64_t o1, const char *zeros, char *a)
{
    int64_t pixel = 2 * j->conv.y_pixel, Wo = j->conv.Wo, row = j->dy_row;
    Grid g = { .at = j->conv.y + first * Wo * pixel, .zeros = zeros, .pitch = j->pitch };
    g.row_bytes = Wo * pixel, g.col_bytes = pixel, g.row1 = rows, g.col1 = Wo;
    const char *p[CHUNK];
    for (int64_t o = o0; o < o1; o++)
        memset(a + o * row, 0, LINE);
    for (int64_t k = 0; k < steps_of(j, rows); k++) {
        int64_t o = o0;
        next_pixels(&g, p);
        for (a += LINE; o + 8 <= o1; o += 8)
            turn(p, 2 * o, CHUNK * pixel, a + o * row, row, 8);
        if (o < o1) turn(p, 2 * o, CHUNK * pixel, a + o * row, row, (int)(o1 - o));
    }
}

/* 16 pairs of n <= 16 channels of pixels, from byte `at` of each on; ahead: as above. */
INLINE void pair(const char *const p[CHUNK], int64_t at, int64_t ahead, char *to, const int64_t n)
{
    const __mmask16 mask = (__mmask16)((1 << n) - 1);
    for (int i = 0; i < PAIRS; i++) {
        const void *one = p[2 * i] + at, *two = p[2 * i + 1] + at;
        if (at % LINE == 0) {
            __builtin_prefetch(p[2 * i] + at + ahead, 0, 2);
            __builtin_prefetch(p[2 * i + 1] + at + ahead, 0, 2);
        }
        __m256i a = n == 16 ? _mm256_loadu_si256(one) : _mm256_maskz_loadu_epi16(mask, one);
        __m256i b = n == 16 ? _mm256_loadu_si256(two) : _mm256_maskz_loadu_epi16(mask, two);
        __m512i high = _mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16);
        _mm512_store_si512(to + i * LINE, _mm512_or_si512(_mm512_cvtepu16_epi32(a), high));
    }
}

/* The phase of x that tap (a, b) reads, for `rows` output rows from row h of image n on. */
static void pair_phase(const ConvDw *j, int64_t n, int64_t h, int64_t rows, int64_t a, int64_t b, const char *zeros,
                       char *to)
{
    const ConvJob *c = &j->conv;
    int64_t pixel = 2 * c->x_pixel, s = c->stride;
    int64_t top = h * s + a * c->dilation % s - c->pad_h, left = b * c->dilation % s - c->pad_w;
    Grid g = { .at = c->x + ((n * c->H + top) * c->W + left) * pixel, .zeros = zeros, .pitch = j->pitch };
    g.row_bytes = s * c->W * pixel, g.col_bytes = s * pixel;
    g.row0 = first_at(-top, s), g.row1 = least(rows + j->halo, first_at(c->H - top, s));
    g.col0 = first_at(-left, s), g.col1 = first_at(c->W - left - j->joined + 1, s);
    if (j->joined > 1) {
        g.part0 = first_at(1 - j->joined - left, s), g.part1 = first_at(c->W - left, s);
        g.ahead = -left * pixel, g.whole = c->W * pixel, g.bytes = j->joined * pixel;
    }
    const char *p[CHUNK];
    int64_t pixels = steps_of(j, rows) * CHUNK + j->reach, ahead = CHUNK * g.col_bytes;
    for (int64_t at = 0; at < pixels; at += CHUNK, to += PAIRS * LINE) {
        int64_t k = 0, whole = j->channels / CONV_DW_TILE;
        next_pixels(&g, p);
        for (; k < whole; k++)
            pair(p, 2 * k * CONV_DW_TILE, ahead, to + k * j->x_block, CONV_DW_TILE);
        if (j->channels % CONV_DW_TILE)
            pair(p, 2 * k * CONV_DW_TILE, ahead, to + k * j->x_block, j->channels % CONV_DW_TILE);
    }
}

static int64_t plane_of(const ConvDw *j, int64_t a, int64_t b)
{
    const ConvJob *c = &j->conv;
    return conv_dw_phases(c, c->kh, a * c->dilation % c->stride) * j->plane_cols +
           conv_dw_phases(c, j->cols, b * c->dilation % c->stride);
}

static void pair_x(const ConvDw *j, int64_t n, int64_t h, int64_t rows, const char *zeros, char *to)
{
    int64_t bytes = j->c_blocks * j->x_block, planes = 0;
    bool done[CONV_MAX_TAPS] = { false };
    for (int64_t t = 0; planes < j->planes; t++) {
        int64_t a = t / j->cols, b = t % j->cols, plane = plane_of(j, a, b);
        if (done[plane]) continue;
        pair_phase(j, n, h, rows, a, b, zeros, to + plane * bytes);
        done[plane] = true, planes++;
    }
}

/* ---- products ------------------------------------------------------------------------------------------------ */

/* What is in scratch: dy and x of `n` runs, and how many steps of pixels each has. */
typedef struct Runs {
    const char *dy, *x;
    int64_t steps[CONV_DW_RUNS];
    int n;
} Runs;

/* Up to 2 blocks of outputs by 2 of channels, or 1 by 4: where the first block's dy is, and x of each, from the
 * beginning of a run; where sums go, those of the second block of outputs `below` floats behind. */
typedef struct Group {
    const char *dy, *x[4];
    float *sum[4];
    int64_t below;
    int n;
} Group;

INLINE void sum_tiles(const ConvDw *j, const Runs *r, const Group *g, bool fresh, const int M, const int N)
{
    float t[4][CONV_DW_SUMS] __attribute__((aligned(64)));
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int i = 0; i < r->n; i++) {
        const char *a = g->dy + i * j->dy_bytes, *a1 = a + j->o_rows * j->dy_row;
        int64_t at = i * j->x_bytes, end = at + r->steps[i] * PAIRS * LINE;
        for (; at < end; at += PAIRS * LINE, a += LINE, a1 += LINE) {
            _tile_loadd(4, a, j->dy_row);
            _tile_loadd(6, g->x[0] + at, LINE);
            _tile_dpbf16ps(0, 4, 6);
            if (N > 1) {
                _tile_loadd(7, g->x[1] + at, LINE);
                _tile_dpbf16ps(1, 4, 7);
            }
            if (M > 1) {
                _tile_loadd(5, a1, j->dy_row);
                _tile_dpbf16ps(2, 5, 6);
                if (N > 1) _tile_dpbf16ps(3, 5, 7);
            }
            if (N > 2) {
                _tile_loadd(6, g->x[2] + at, LINE);
                _tile_dpbf16ps(2, 4, 6);
            }
            if (N > 3) {
                _tile_loadd(7, g->x[3] + at, LINE);
                _tile_dpbf16ps(3, 4, 7);
            }
        }
    }
    _tile_stored(0, t[0], LINE);
    _tile_stored(1, t[1], LINE);
    _tile_stored(2, t[2], LINE);
    _tile_stored(3, t[3], LINE);
    tiles_fence();
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) {
            float *to = g->sum[n] + m * g->below;
            const float *from = t[2 * m + n];
            for (int64_t e = 0; e < j->o_rows * CONV_DW_TILE; e += VL)
                vstore(to + e, F32, VL,
                       fresh ? vload(from + e, F32, VL) : vload(from + e, F32, VL) + vload(to + e, F32, VL));
        }
}

static void sum_group(const ConvDw *j, const Runs *r, Group *g, bool fresh, int M)
{
    switch (8 * M + g->n) {
    case 8 + 1: sum_tiles(j, r, g, fresh, 1, 1); break;
    case 8 + 2: sum_tiles(j, r, g, fresh, 1, 2); break;
    case 8 + 3: sum_tiles(j, r, g, fresh, 1, 3); break;
    case 8 + 4: sum_tiles(j, r, g, fresh, 1, 4); break;
    case 16 + 1: sum_tiles(j, r, g, fresh, 2, 1); break;
    case 16 + 2: sum_tiles(j, r, g, fresh, 2, 2); break;
    }
    g->n = 0;
}

/* Blocks of outputs o and, if M is 2, o + 1: all taps and channels, those of even shifts first. */
static void sum_outputs(const ConvDw *j, const Runs *r, int64_t o, int M, float *sum, bool fresh)
{
    int64_t kw = j->cols, taps = j->conv.kh * kw, d = j->conv.dilation, s = j->conv.stride;
    Group g = { .below = taps * j->c_blocks * CONV_DW_SUMS };
    for (int odd = 0; odd < 2; odd++) {
        g.dy = r->dy + o * j->o_rows * j->dy_row + LINE - 2 * odd;
        for (int64_t i = 0; i < taps * j->c_blocks; i++) {
            int64_t c = i / taps, t = i % taps, shift = t / kw * d / s * j->pitch + t % kw * d / s;
            if (shift % 2 != odd) continue;
            g.x[g.n] = r->x + (plane_of(j, t / kw, t % kw) * j->c_blocks + c) * j->x_block + shift / 2 * LINE;
            g.sum[g.n++] = sum + o * g.below + (t * j->c_blocks + c) * CONV_DW_SUMS;
            if (g.n == (M == 2 ? 2 : 4)) sum_group(j, r, &g, fresh, M);
        }
        sum_group(j, r, &g, fresh, M);
    }
}

void ISA_NAME(conv_dw)(const ConvDw *j, int64_t lo, int64_t hi, int64_t o0, int64_t o1, float *sum, void *scratch)
{
    char *zeros = scratch, *dy = zeros + j->zero_bytes, *x = dy + j->runs * j->dy_bytes;
    int64_t Ho = j->conv.Ho, last = least(o1 * j->o_rows, j->conv.O);
    TileShapes shapes = { 0 };
    for (int t = 0; t < N_TILE; t++)
        tile_shape(&shapes, t, t < 6 ? (int)j->o_rows : TILE_ROWS, TILE_BYTES);
    memset(zeros, 0, (size_t)j->zero_bytes);
    tiles_begin(&shapes);
    for (bool fresh = true; lo < hi; fresh = false) {
        Runs r = { .dy = dy, .x = x };
        for (; r.n < j->runs && lo < hi; r.n++) {
            int64_t h = lo % Ho, rows = least(least(j->rows, Ho - h), hi - lo);
            turn_dy(j, lo, rows, o0 * j->o_rows, last, zeros, dy + r.n * j->dy_bytes);
            pair_x(j, lo / Ho, h, rows, zeros, x + r.n * j->x_bytes);
            r.steps[r.n] = steps_of(j, rows);
            lo += rows;
        }
        tiles_fence();
        for (int64_t o = o0; o < o1; o += 2)
            sum_outputs(j, &r, o, o + 1 < o1 ? 2 : 1, sum, fresh);
    }
    tiles_end();
}

/* ---- result -------------------------------------------------------------------------------------------------- */

void ISA_NAME(conv_dw_add)(const ConvDw *j, const float *sum, int n, int64_t apart, int64_t lo, int64_t hi, float *dw)
{
    int64_t C = j->conv.C, kw = j->conv.kw, all = j->conv.kh * kw, taps = j->conv.kh * j->cols;
    int32_t place[CONV_DW_TILE];
    for (int i = 0; i < CONV_DW_TILE; i++)
        place[i] = (int32_t)(j->joined > 1 ? i % C * all + i / C : i * all);
    const __m512i to = _mm512_loadu_si512(place);
    for (int64_t o = lo; o < hi; o++)
        for (int64_t k = 0; k < j->c_blocks; k++) {
            int64_t c = k * CONV_DW_TILE, left = least(j->channels - c, CONV_DW_TILE);
            const float *from =
                sum + (o / j->o_rows * taps * j->c_blocks + k) * CONV_DW_SUMS + o % j->o_rows * CONV_DW_TILE;
            for (int64_t t = 0; t < taps; t++, from += j->c_blocks * CONV_DW_SUMS) {
                V v = vload(from, F32, VL);
                for (int i = 1; i < n; i++)
                    v += vload(from + i * apart, F32, VL);
                _mm512_mask_i32scatter_ps(dw + (o * C + c) * all + t * j->joined, (__mmask16)((1 << left) - 1), to,
                                          (__m512)v, 4);
            }
        }
}

bool ISA_NAME(conv_dw_here)(void)
{
    return true;
}

#else

void ISA_NAME(conv_dw)(const ConvDw *j, int64_t lo, int64_t hi, int64_t o0, int64_t o1, float *sum, void *scratch)
{
}
void ISA_NAME(conv_dw_add)(const ConvDw *j, const float *sum, int n, int64_t apart, int64_t lo, int64_t hi, float *dw)
{
}
bool ISA_NAME(conv_dw_here)(void)
{
    return false;
}

#endif
