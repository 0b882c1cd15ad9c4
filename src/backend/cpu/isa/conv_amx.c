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
 * into equal pieces of up to 16 pixels; the last overlaps the one before and its pixels are stored once.
 *
 * Most copied images at stride 1 go another way: four rows of the result at once, see conv_planes.h. */
#include "backend/cpu/isa/conv_amx.h"
#include "backend/cpu/isa/conv_band.h"
#include "backend/cpu/isa/conv_finish.h"

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

static bool in_place(const ConvJob *j)
{
    return j->C % 2 == 0 && j->pad_h == 0 && j->pad_w == 0 &&
           (j->Ho - 1) * j->stride + (j->kh - 1) * j->dilation < j->H &&
           (j->Wo - 1) * j->stride + (j->kw - 1) * j->dilation < j->W;
}

/* hi: pixels of all rows in a flat walk, as far as anyone knows. */
static Walk walk_of(const ConvJob *j, int64_t hi)
{
    Walk q = { .Wo = j->Wo, .Ho = j->Ho, .copied = !in_place(j), .rows = 1 };
    q.flat = !q.copied && j->kh == 1 && j->kw == 1 && j->stride == 1 && j->y_every == 1;
    if (q.flat) q.Wo = hi, q.Ho = 1;
    int64_t pieces = (q.Wo - 1) / TILE_ROWS + 1;
    q.M = !q.flat ? (q.Wo - 1) / pieces + 1 : hi < TILE_ROWS ? hi : TILE_ROWS;
    q.pixel = q.copied ? conv_pixel_steps(j) * 4 : j->x_pixel * 2;
    q.cols = q.copied ? (j->Wo - 1) * j->stride + (j->kw - 1) * j->dilation + 1 : j->W;
    q.apart = q.pixel * j->stride;
    q.row = q.pixel * q.cols;
    q.image = q.row * j->H;
    bool joined = j->dilation == 1 && q.pixel == conv_pixel_steps(j) * 4;
    int64_t length = conv_pixel_steps(j) * (joined ? j->kw : 1);
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
    Planes s;
    if (in_place(j)) return 0;
    if (conv_planes(j, &s)) return (size_t)conv_planes_bytes(&s);
    Walk q = walk_of(j, 1);
    return (size_t)(rows_seen(j, q.rows) * q.row);
}

/* ---- sums -------------------------------------------------------------------------------------------------------- */

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
        o = (Results) { .next = sum[turn], .piece = p + i, .pieces = (int)(n - i < group ? n - i : group) };
        if (m && i == 0) *m = moments_begin(f, &o, N);
    }
    finish_some(f, &o, INT64_MAX, N, act, t, res, m);
}

/* The same for n stacks, with a kernel of kh rows. A panel's vectors go one after the other: each has all four tiles of
 * sums. */
INLINE void panel_stacked(const Finish *f, const Planes *q, int64_t M, const Stack *s, int64_t n, const char *w,
                          const int N, const int kh, Act act, DType t, const bool res, Moments *m)
{
    V sum[2][STACK * TILE_ROWS * 2];
    const int64_t tile = q->steps * N * 64, row = q->outer * q->inner * tile,
                  calls = N * q->outer * q->inner * STACK_PARTS;
    const int64_t some = (STACK * M + calls - 1) / calls;
    Results o = { 0 };
    for (int64_t i = 0, turn = 0; i < n; i++, turn ^= 1) {
        for (int v = 0; v < N; v++) {
            zero_sums();
            for (int64_t c = 0; c < q->outer; c++)
                for (int64_t b = 0; b < q->inner; b++)
                    for (int part = 0; part < STACK_PARTS; part++) {
                        stack_multiply(q, s[i].a + c * 4 * q->steps + b * q->pixel,
                                       w + (b * q->outer + c) * tile + v * 64, row, N * 64, kh, part);
                        finish_some(f, &o, some, N, act, t, res, m);
                    }
            _tile_stored(0, sum[turn] + v, N * 64);
            _tile_stored(1, sum[turn] + M * N + v, N * 64);
            _tile_stored(2, sum[turn] + 2 * M * N + v, N * 64);
            _tile_stored(3, sum[turn] + 3 * M * N + v, N * 64);
        }
        o = (Results) { .next = sum[turn], .piece = s[i].first, .pieces = s[i].n };
        if (m && i == 0) *m = moments_begin(f, &o, N);
    }
    finish_some(f, &o, INT64_MAX, N, act, t, res, m);
}

/* Pieces, or stacks with their results, for the panels to pass over. */
typedef struct Work {
    const Walk *q;
    Piece *piece;
    int64_t n, M;
    const Planes *planes; /* NULL: pieces */
    const Stack *stack;
    int64_t stacks;
    int64_t done; /* pixels of the share before these */
} Work;

INLINE void panel(const Finish *f, const Work *k, const char *w, const int N, Act act, DType t, const bool res,
                  Moments *m)
{
    if (!k->planes)
        panel_of(f, k->q, k->piece, k->n, w, N, act, t, res, m);
    else if (f->j->kh == 3)
        panel_stacked(f, k->planes, k->M, k->stack, k->stacks, w, N, 3, act, t, res, m);
    else
        panel_stacked(f, k->planes, k->M, k->stack, k->stacks, w, N, 2, act, t, res, m);
}

/* A panel whose moments are wanted. */
INLINE void panel_moments(const Finish *f, const Work *k, const char *w, const int N)
{
    Moments m;
    panel(f, k, w, N, ACT_NONE, BF16, false, &m);
    moments_add(f, &m, N);
}

static void compute_panel(const Finish *f, const Work *k, const char *w, int N)
{
    const ConvJob *j = f->j;
    if (j->moments) {
        if (N == 2)
            panel_moments(f, k, w, 2);
        else
            panel_moments(f, k, w, 1);
        return;
    }
#define PANEL(N)                                                                                                       \
    FOR_ACT(j->act, a, FOR_TYPE(j->y_type, t, {                                                                        \
                if (j->res)                                                                                            \
                    panel(f, k, w, N, a, t, true, NULL);                                                               \
                else                                                                                                   \
                    panel(f, k, w, N, a, t, false, NULL);                                                              \
            }))
    if (N == 2)
        PANEL(2);
    else
        PANEL(1);
#undef PANEL
}

/* All of it; then there is none. */
static void compute(const ConvJob *j, Work *k, int64_t p0, int64_t p1)
{
    const ConvForm form = amx_form();
    const int64_t steps = j->kh * j->kw * conv_pixel_steps(j), size = j->y_type == F32 ? 4 : 2;
    int64_t count = 0;
    int shaped = 0;
    if (!k->n) return;
    for (int64_t i = 0; i < k->n; i++)
        count += k->piece[i].count;
    for (int64_t i = k->n; i < k->n + 3; i++)
        k->piece[i] = k->piece[k->n - 1]; /* what a group lacks */
    tiles_fence();
    for (int64_t panel = p0; panel < p1; panel++) {
        int64_t first = conv_panel(j->O, form, panel), at = first * VL;
        int N = (int)(conv_panel(j->O, form, panel + 1) - first);
        Finish f = { .j = j, .at = at, .before = k->done, .count = count };
        f.M = k->planes ? 0 : k->M; /* results of stacks say where their sums are */
        f.y_step = j->y_pixel * j->y_every * size, f.res_step = j->res_pixel * j->y_every * size;
        for (int v = 0; v < N; v++) {
            f.lanes[v] = lanes_from(j->O, at + v * VL);
            if (j->bias) f.bias[v] = load_lanes((const char *)(j->bias + at + v * VL), F32, f.lanes[v]);
        }
        if (k->planes && !shaped) stack_shapes(k->planes, k->M), shaped = N;
        if (!k->planes && N != shaped) set_shapes(k->q, shaped = N);
        compute_panel(&f, k, j->w + first * steps * 64, N);
    }
    k->done += count, k->n = k->stacks = 0;
}

/* ---- a share ----------------------------------------------------------------------------------------------------- */

static void share_of_stacks(const ConvJob *j, const Planes *q, int64_t lo, int64_t hi, int64_t p0, int64_t p1,
                            char *band)
{
    enum { MAX_STACKS = 32, MAX_RESULTS = 256 };
    Stack stack[MAX_STACKS];
    Piece piece[MAX_RESULTS + 3];
    const int64_t wide = j->Wo, last = (hi - 1) / wide + 1;
    Work k = { .piece = piece, .planes = q, .stack = stack };
    for (int64_t row = lo / wide, end; row < last; row = end) {
        const int64_t below = (row / j->Ho + 1) * j->Ho;
        end = row + q->rows < below ? row + q->rows : below;
        if (end > last) end = last;
        conv_planes_copy(j, q, row, end, band);
        const int64_t quads = (end - row + STACK - 1) / STACK, length = planes_line(j, q, quads);
        k.M = q->flat && length > TILE_ROWS ? TILE_ROWS : (length - 1) / ((length - 1) / TILE_ROWS + 1) + 1;
        for (int64_t line = 0; line < planes_lines(q, quads); line++)
            for (int64_t at = 0; at < length; at += k.M) {
                if (k.stacks == MAX_STACKS || k.n + STACK_RESULTS > MAX_RESULTS) compute(j, &k, p0, p1);
                const int64_t begin = at + k.M < length ? at : length - k.M; /* the last one ends where the line does */
                Piece *first = piece + k.n;
                int n = conv_planes_results(j, q, row, end, line, begin, at, k.M, lo, hi, first);
                if (!n) continue;
                stack[k.stacks++] = (Stack) { band + line * q->row + begin * q->pixel, first, n };
                k.n += n;
            }
        compute(j, &k, p0, p1);
    }
}

static void share_of_pieces(const ConvJob *j, int64_t lo, int64_t hi, int64_t p0, int64_t p1, char *scratch)
{
    const Walk q = walk_of(j, hi);
    const int64_t wide = q.Wo;
    Piece piece[MAX_PIECES + 3];
    Work k = { .q = &q, .piece = piece, .M = q.M };
    int64_t band = 0, band_end = 0; /* rows of the result, counted through images, that the band serves */
    for (int64_t row = lo / wide; row * wide < hi; row++) {
        int64_t image = row / q.Ho, first = row * wide, top = row % q.Ho * j->stride - j->pad_h;
        const char *from = j->x + image * q.image + top * q.row;
        if (q.copied && row >= band_end) {
            compute(j, &k, p0, p1);
            int64_t end = (image + 1) * q.Ho, last = (hi - 1) / wide + 1;
            band = row, band_end = row + q.rows < end ? row + q.rows : end;
            if (band_end > last) band_end = last;
            for (int64_t i = 0; i < rows_seen(j, band_end - row); i++)
                conv_band_row(j, q.pixel, q.cols, image, top + i, scratch + i * q.row);
        }
        if (q.copied) from = scratch + (row - band) * j->stride * q.row;
        int64_t to = q.flat ? 0 : conv_result_row(j, image, row % q.Ho); /* flat rows are as long as everything */
        int64_t begin = first < lo ? lo : first, end = first + wide < hi ? first + wide : hi;
        for (int64_t at = begin; at < end; at += q.M) {
            if (k.n == q.pieces) compute(j, &k, p0, p1);
            /* The last piece ends where the row does. */
            int64_t skip = at + q.M - (first + wide);
            skip = skip > 0 ? skip : 0;
            piece[k.n++] = (Piece) { from + (at - skip - first) * q.apart, to + (at - first) * j->y_every, skip,
                                     end - at < q.M - skip ? end - at : q.M - skip };
        }
    }
    compute(j, &k, p0, p1);
}

void conv_amx(const ConvJob *j, int64_t lo, int64_t hi, int64_t p0, int64_t p1, void *scratch)
{
    Planes q;
    if (!in_place(j) && conv_planes(j, &q))
        share_of_stacks(j, &q, lo, hi, p0, p1, scratch);
    else
        share_of_pieces(j, lo, hi, p0, p1, scratch);
    tiles_end();
}

#endif
