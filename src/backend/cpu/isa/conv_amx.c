/* SPDX-License-Identifier: Apache-2.0
 *
 * Direct convolution of bf16 images by AMX tiles. A tile of the image is M output pixels of a row by the channels of a
 * few steps, read where it lies: its rows are as far apart as the pixels. A tile of weights is those steps of a panel,
 * read as packed. Two tiles of pixels by two of weights (or four by one) are summed over all taps and channels.
 *
 * Tiles have no edges: an image that is padded, or whose channels do not fill whole steps, is copied first, a band of
 * rows at a time that stays in the second-level cache, with zeros around it. The pixels of a kernel row lie one behind
 * the other there and are one run of steps.
 *
 * A product of tiles takes time by its M, not by its steps, and hardly less below M = 10. So a row of the result is cut
 * into equal pieces of up to 16 pixels; the last overlaps the one before and its pixels are stored once. */
#include "backend/cpu/isa/conv_amx.h"
#include "backend/cpu/isa/conv_tile.h"
#include "backend/cpu/isa/moments.h"
#include "backend/cpu/isa/tiles.h"

#if defined(__AMX_BF16__)

enum { MAX_PIECES = 64, BAND_BYTES = 256 << 10 };

/* How a job is walked. */
typedef struct Walk {
    bool flat, copied; /* flat: pixels of all rows and images make one row */
    int64_t Wo, Ho, M; /* of the result; pixels of a piece */
    int64_t pixel, apart, row,
        image;                   /* bytes from one to the next where tiles read; apart: two of the result's pixels */
    int64_t cols;                /* pixels of a row there */
    int64_t rows, pieces;        /* of the result in a band, and as many as stay in the cache at once */
    int64_t steps, chunks, runs; /* steps of a product; products in a run; runs: one a tap, or a kernel row */
    int64_t run[CONV_MAX_TAPS];  /* where they begin, in bytes */
} Walk;

/* M pixels of the result, of which `count` are stored from the `skip`th on, as `pixel` and those behind it. */
typedef struct Piece {
    const char *a;
    int64_t pixel, skip, count;
} Piece;

static bool in_place(const ConvJob *j)
{
    return j->C % 2 == 0 && j->pad_h == 0 && j->pad_w == 0 &&
           (j->Ho - 1) * j->stride + (j->kh - 1) * j->dilation < j->H &&
           (j->Wo - 1) * j->stride + (j->kw - 1) * j->dilation < j->W;
}

static int64_t steps_of_pixel(const ConvJob *j)
{
    return (j->C + 1) / 2;
}

/* hi: pixels of all rows in a flat walk, as far as anyone knows. */
static Walk walk_of(const ConvJob *j, int64_t hi)
{
    Walk q = { .Wo = j->Wo, .Ho = j->Ho, .copied = !in_place(j), .rows = 1 };
    q.flat = !q.copied && j->kh == 1 && j->kw == 1 && j->stride == 1 && j->y_every == 1;
    if (q.flat) q.Wo = hi, q.Ho = 1;
    int64_t pieces = (q.Wo - 1) / TILE_ROWS + 1;
    q.M = !q.flat ? (q.Wo - 1) / pieces + 1 : hi < TILE_ROWS ? hi : TILE_ROWS;
    q.pixel = q.copied ? steps_of_pixel(j) * 4 : j->x_pixel * 2;
    q.cols = q.copied ? (j->Wo - 1) * j->stride + (j->kw - 1) * j->dilation + 1 : j->W;
    q.apart = q.pixel * j->stride;
    q.row = q.pixel * q.cols;
    q.image = q.row * j->H;
    bool joined = j->dilation == 1 && q.pixel == steps_of_pixel(j) * 4;
    int64_t length = steps_of_pixel(j) * (joined ? j->kw : 1);
    q.steps = conv_tile_steps(length);
    q.chunks = length / q.steps;
    for (int64_t a = 0; a < j->kh; a++)
        for (int64_t b = 0; b < (joined ? 1 : j->kw); b++)
            q.run[q.runs++] = (a * q.row + b * q.pixel) * j->dilation;
    int64_t fit = (BAND_BYTES / q.row - (j->kh - 1) * j->dilation - 1) / j->stride + 1;
    q.rows = fit < 1 ? 1 : fit > j->Ho ? j->Ho : fit;
    fit = BAND_BYTES / (q.M * q.apart);
    q.pieces = fit < 4 ? 4 : fit > MAX_PIECES ? MAX_PIECES : fit;
    return q;
}

/* Rows of the image that `rows` rows of the result see. */
static int64_t rows_seen(const ConvJob *j, int64_t rows)
{
    return (rows - 1) * j->stride + (j->kh - 1) * j->dilation + 1;
}

size_t conv_amx_bytes(const ConvJob *j)
{
    if (in_place(j)) return 0;
    Walk q = walk_of(j, 1);
    return (size_t)(rows_seen(j, q.rows) * q.row);
}

/* ---- a band ---------------------------------------------------------------------------------------------------- */

/* `n` pixels of `size` bytes, x_step apart, to pixels of y_step bytes, up to 63 more, which become zero. */
INLINE void copy_pixels(const char *x, int64_t x_step, char *y, int64_t y_step, int64_t n, int64_t size)
{
    const int64_t whole = y_step / 64 * 64;
    const __mmask64 load = size - whole >= 64 ? ~0ull : size > whole ? (1ull << (size - whole)) - 1 : 0;
    const __mmask64 store = (1ull << (y_step - whole)) - 1;
    for (int64_t i = 0; i < n; i++, x += x_step, y += y_step) {
        for (int64_t b = 0; b < whole; b += 64) {
            int64_t left = size - b;
            _mm512_storeu_si512(y + b, left >= 64 ? _mm512_loadu_si512(x + b)
                                                  : _mm512_maskz_loadu_epi8((1ull << left) - 1, x + b));
        }
        if (store) _mm512_mask_storeu_epi8(y + whole, store, _mm512_maskz_loadu_epi8(load, x + whole));
    }
}

/* Three channels become four: eight pixels at a time. */
static void copy_rgb(const char *x, char *y, int64_t n)
{
    uint16_t place[32];
    for (int i = 0; i < 32; i++)
        place[i] = (uint16_t)(i / 4 * 3 + i % 4);
    const __m512i from = _mm512_loadu_si512(place);
    for (int64_t i = 0; i < n; i += 8) {
        int64_t k = n - i < 8 ? n - i : 8;
        __m512i v = _mm512_maskz_loadu_epi16((__mmask32)((1ull << 3 * k) - 1), x + 6 * i);
        v = _mm512_maskz_permutexvar_epi16(0x77777777, from, v);
        _mm512_mask_storeu_epi16(y + 8 * i, (__mmask32)((1ull << 4 * k) - 1), v);
    }
}

/* Rows [top, top + n) of image `image`, as far as they exist, with what is left and right of them. */
static void copy_band(const ConvJob *j, const Walk *q, int64_t image, int64_t top, int64_t n, char *to)
{
    int64_t left = j->pad_w > 0 ? (j->pad_w < q->cols ? j->pad_w : q->cols) : 0, first = left - j->pad_w;
    int64_t width = j->W - first < q->cols - left ? j->W - first : q->cols - left, size = j->C * 2;
    int64_t step = j->x_pixel * 2;
    if (width < 0) width = 0;
    for (int64_t h = top; h < top + n; h++, to += q->row) {
        if (h < 0 || h >= j->H || !width) {
            memset(to, 0, (size_t)q->row);
            continue;
        }
        const char *from = j->x + ((image * j->H + h) * j->W + first) * step;
        char *inside = to + left * q->pixel, *behind = inside + width * q->pixel;
        memset(to, 0, (size_t)(inside - to));
        if (size == 6 && step == 6)
            copy_rgb(from, inside, width);
        else if (step == q->pixel && size == step)
            memcpy(inside, from, (size_t)(width * size));
        else
            copy_pixels(from, step, inside, q->pixel, width, size);
        memset(behind, 0, (size_t)(to + q->row - behind));
    }
}

/* ---- sums and results -------------------------------------------------------------------------------------------- */

/* Tiles 0 to 3 are sums: pixels p and weights n at 2 p + n, or p where a panel has one vector. 4, 5 and 7 are pixels, 6
 * (and then 7) weights. */
static void set_shapes(const Walk *q, int N)
{
    TileShapes s = { 0 };
    const int M = (int)q->M, steps = (int)q->steps;
    for (int i = 0; i < 4; i++)
        tile_shape(&s, i, M, TILE_BYTES);
    tile_shape(&s, 4, M, 4 * steps);
    tile_shape(&s, 5, M, 4 * steps);
    tile_shape(&s, 6, steps, TILE_BYTES);
    if (N == 2)
        tile_shape(&s, 7, steps, TILE_BYTES);
    else
        tile_shape(&s, 7, M, 4 * steps);
    tiles_begin(&s);
}

INLINE __mmask16 lanes_from(int64_t O, int64_t at)
{
    return (__mmask16)(O - at >= VL ? 0xffff : O <= at ? 0 : (1 << (O - at)) - 1);
}

INLINE V load_lanes(const char *p, DType t, __mmask16 lanes)
{
    if (t == F32) return (V)_mm512_maskz_loadu_ps(lanes, p);
    return from_bf16((VH)_mm256_maskz_loadu_epi16(lanes, p));
}

/* What becomes of a panel's sums; what is the same for all of them. */
typedef struct Finish {
    const ConvJob *j;
    int64_t M, at, y_step, res_step; /* first output; bytes from a stored pixel to the next */
    int64_t before, count;           /* pixels of the share before these, and these */
    __mmask16 lanes[2];
    V bias[2];
} Finish;

/* Sums over a panel's stored results, at most MAX_PIECES * TILE_ROWS, in f32: of distances from the mean so far, or of
 * the first piece. A vector for each of the panel's, or, of two that are stored as one line, for its even and its odd
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

/* sum: those of the first piece. */
INLINE Moments moments_near(const Finish *f, const V *sum, const int N)
{
    Moments m = { 0 };
    V mean[2] = { f->bias[0], f->bias[1] };
    for (int64_t i = 0; i < f->M * N; i++)
        mean[i % N] += sum[i] * (1 / (float)f->M);
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

INLINE void zero_sums(void)
{
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

/* Products of two pieces by two vectors, or of four by one: a step each. */
INLINE void multiply_two(const char *const a[4], int64_t apart, const char *w)
{
    _tile_loadd(4, a[0], apart);
    _tile_loadd(6, w, 128);
    _tile_loadd(7, w + 64, 128);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(5, a[1], apart);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
}

INLINE void multiply_four(const char *const a[4], int64_t apart, const char *w)
{
    _tile_loadd(6, w, 64);
    _tile_loadd(4, a[0], apart);
    _tile_loadd(5, a[1], apart);
    _tile_loadd(7, a[2], apart);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(4, a[3], apart);
    _tile_dpbf16ps(1, 5, 6);
    _tile_dpbf16ps(2, 7, 6);
    _tile_dpbf16ps(3, 4, 6);
}

/* [pieces][M][N] */
INLINE void store_sums(V *sum, int64_t M, const int N)
{
    const int64_t step = N * 64;
    _tile_stored(0, sum, step);
    _tile_stored(1, N == 2 ? sum + 1 : sum + M, step);
    _tile_stored(2, sum + 2 * M, step);
    _tile_stored(3, N == 2 ? sum + 2 * M + 1 : sum + 3 * M, step);
}

/* n pieces by the panel at w; moments: their sums for *m. While the tiles multiply, the vector units turn the sums of
 * the group before into results, some pixels after each product. */
INLINE void panel_of(const Finish *f, const Walk *q, const Piece *p, int64_t n, const char *w, const int N, Act act,
                     DType t, const bool res, Moments *m)
{
    enum { MOST = 4 };
    V sum[2][MOST * TILE_ROWS];
    const int group = N == 2 ? 2 : 4;
    const int64_t products = q->runs * q->chunks, some = (group * q->M + products - 1) / products, step = 4 * q->steps;
    Results o = { 0 };
    for (int64_t i = 0, turn = 0; i < n; i += group, turn ^= 1) {
        const char *b = w;
        zero_sums();
        for (int64_t r = 0; r < q->runs; r++) {
            const char *a[MOST];
            for (int k = 0; k < group; k++)
                a[k] = p[i + k].a + q->run[r];
            for (int64_t c = 0; c < q->chunks; c++, b += step * N * 16) {
                if (N == 2)
                    multiply_two(a, q->apart, b);
                else
                    multiply_four(a, q->apart, b);
                for (int k = 0; k < group; k++)
                    a[k] += step;
                finish_some(f, &o, some, N, act, t, res, m);
            }
        }
        store_sums(sum[turn], q->M, N);
        if (m && i == 0) *m = moments_near(f, sum[turn], N);
        o = (Results) { .next = sum[turn], .piece = p + i, .pieces = (int)(n - i < group ? n - i : group) };
    }
    finish_some(f, &o, INT64_MAX, N, act, t, res, m);
}

/* A panel whose moments are wanted. */
INLINE void panel_moments(const Finish *f, const Walk *q, const Piece *p, int64_t n, const char *w, const int N)
{
    Moments m;
    panel_of(f, q, p, n, w, N, ACT_NONE, BF16, false, &m);
    moments_add(f, &m, N);
}

static void compute_panel(const Finish *f, const Walk *q, const Piece *p, int64_t n, const char *w, int N)
{
    const ConvJob *j = f->j;
    if (j->moments) {
        if (N == 2)
            panel_moments(f, q, p, n, w, 2);
        else
            panel_moments(f, q, p, n, w, 1);
        return;
    }
#define PANEL(N)                                                                                                       \
    FOR_ACT(j->act, a, FOR_TYPE(j->y_type, t, {                                                                        \
                if (j->res)                                                                                            \
                    panel_of(f, q, p, n, w, N, a, t, true, NULL);                                                      \
                else                                                                                                   \
                    panel_of(f, q, p, n, w, N, a, t, false, NULL);                                                     \
            }))
    if (N == 2)
        PANEL(2);
    else
        PANEL(1);
#undef PANEL
}

/* before: pixels of the share that are done; returns how many are now. */
static int64_t compute(const ConvJob *j, const Walk *q, Piece *p, int64_t n, int64_t p0, int64_t p1, int64_t before)
{
    const ConvForm form = amx_form();
    const int64_t steps = j->kh * j->kw * steps_of_pixel(j), size = j->y_type == F32 ? 4 : 2;
    int64_t count = 0;
    int shaped = 0;
    if (!n) return before;
    for (int64_t i = 0; i < n; i++)
        count += p[i].count;
    for (int64_t i = n; i < n + 3; i++)
        p[i] = p[n - 1]; /* what a group lacks */
    tiles_fence();
    for (int64_t panel = p0; panel < p1; panel++) {
        int64_t first = conv_panel(j->O, form, panel), at = first * VL;
        int N = (int)(conv_panel(j->O, form, panel + 1) - first);
        Finish f = { .j = j, .M = q->M, .at = at, .before = before, .count = count };
        f.y_step = j->y_pixel * j->y_every * size, f.res_step = j->res_pixel * j->y_every * size;
        for (int v = 0; v < N; v++) {
            f.lanes[v] = lanes_from(j->O, at + v * VL);
            if (j->bias) f.bias[v] = load_lanes((const char *)(j->bias + at + v * VL), F32, f.lanes[v]);
        }
        if (N != shaped) set_shapes(q, shaped = N);
        compute_panel(&f, q, p, n, j->w + first * steps * 64, N);
    }
    return before + count;
}

/* ---- a share ----------------------------------------------------------------------------------------------------- */

void conv_amx(const ConvJob *j, int64_t lo, int64_t hi, int64_t p0, int64_t p1, void *scratch)
{
    const Walk q = walk_of(j, hi);
    const int64_t wide = q.Wo;
    Piece piece[MAX_PIECES + 3];
    int64_t n = 0, done = 0;        /* pieces at hand; pixels that are done */
    int64_t band = 0, band_end = 0; /* rows of the result, counted through images, that the band serves */
    for (int64_t row = lo / wide; row * wide < hi; row++) {
        int64_t image = row / q.Ho, first = row * wide, top = row % q.Ho * j->stride - j->pad_h;
        const char *from = j->x + image * q.image + top * q.row;
        if (q.copied && row >= band_end) {
            done = compute(j, &q, piece, n, p0, p1, done), n = 0;
            int64_t end = (image + 1) * q.Ho, last = (hi - 1) / wide + 1;
            band = row, band_end = row + q.rows < end ? row + q.rows : end;
            if (band_end > last) band_end = last;
            copy_band(j, &q, image, top, rows_seen(j, band_end - row), scratch);
        }
        if (q.copied) from = (const char *)scratch + (row - band) * j->stride * q.row;
        /* of the result; flat rows are as long as everything */
        int64_t to = q.flat ? 0 : (image * j->y_high + row % q.Ho * j->y_every + j->y_top) * j->y_wide + j->y_left;
        int64_t begin = first < lo ? lo : first, end = first + wide < hi ? first + wide : hi;
        for (int64_t at = begin; at < end; at += q.M) {
            if (n == q.pieces) done = compute(j, &q, piece, n, p0, p1, done), n = 0;
            /* The last piece ends where the row does. */
            int64_t skip = at + q.M - (first + wide);
            skip = skip > 0 ? skip : 0;
            piece[n++] = (Piece) { from + (at - skip - first) * q.apart, to + (at - first) * j->y_every, skip,
                                   end - at < q.M - skip ? end - at : q.M - skip };
        }
    }
    compute(j, &q, piece, n, p0, p1, done);
    tiles_end();
}

#endif
