/* SPDX-License-Identifier: Apache-2.0
 *
 * Products of short rows (pool_outer, mix_channels, matmul) and softmax down columns, with its gradient. Sums run in
 * f32 over at most CHUNK rows, then in F64. */
#include "backend/cpu/isa/vec.h"

enum { CHUNK = 256, TILE_ROWS = 4 };
#if defined(__AVX512F__)
enum { TILE_VECTORS = 4 };
#else
enum { TILE_VECTORS = 2 };
#endif

/* A row block's elements as f32: themselves, or converted into buf. */
INLINE const float *as_f32(const Block *b, int64_t row, int64_t rows, int64_t cols, float *buf, int64_t *ld)
{
    if (b->dtype == F32) {
        *ld = b->ld;
        return (const float *)b->data + row * b->ld;
    }
    *ld = cols;
    for (int64_t r = 0; r < rows; r++) {
        const char *p = block_row(b, row + r, 2);
        FOR_COLS(c, n, cols) vstore(buf + r * cols + c, F32, (int)n, vload(p + c * 2, BF16, (int)n));
    }
    return buf;
}

/* ---- y = v g + res --------------------------------------------------------------------------------------------------
 */

INLINE void mix_tile(const float *v, int64_t ld, const float *g, int64_t ldg, int64_t m, const char *res,
                     int64_t res_step, char *y, int64_t y_step, DType t, int nr, int nv, int n)
{
    int64_t bytes = t == F32 ? 4 : 2;
    V acc[TILE_ROWS][TILE_VECTORS];
    for (int r = 0; r < nr; r++)
        for (int k = 0; k < nv; k++)
            acc[r][k] = res ? vload(res + r * res_step + k * VL * bytes, t, n) : vset(0);
    for (int64_t i = 0; i < m; i++) {
        V b[TILE_VECTORS];
        for (int k = 0; k < nv; k++)
            b[k] = vload(g + i * ldg + k * VL, F32, VL);
        for (int r = 0; r < nr; r++) {
            V a = vset(v[r * ld + i]);
            for (int k = 0; k < nv; k++)
                acc[r][k] += a * b[k];
        }
    }
    for (int r = 0; r < nr; r++)
        for (int k = 0; k < nv; k++)
            vstore(y + r * y_step + k * VL * bytes, t, n, acc[r][k]);
}

/* Columns of one or four rows: whole tiles, whole vectors, then what is left. */
INLINE void mix_columns(const float *v, int64_t ld, const float *g, int64_t ldg, int64_t m, const char *res,
                        int64_t res_step, char *y, int64_t y_step, DType t, int nr, int64_t cols)
{
    int64_t bytes = t == F32 ? 4 : 2, c = 0;
#define TILE(nv, n)                                                                                                    \
    mix_tile(v, ld, g + c, ldg, m, res ? res + c * bytes : NULL, res_step, y + c * bytes, y_step, t, nr, nv, n)
    for (; c + TILE_VECTORS * VL <= cols; c += TILE_VECTORS * VL)
        TILE(TILE_VECTORS, VL);
    for (; c + 2 * VL <= cols; c += 2 * VL)
        TILE(2, VL);
    for (; c + VL <= cols; c += VL)
        TILE(1, VL);
    if (c < cols) TILE(1, (int)(cols - c));
#undef TILE
}

INLINE void mix_rows(const Block *v, const float *g, int64_t ldg, int64_t m, const Block *res, const Block *y, DType t,
                     int64_t rows, int64_t cols, float *buf, int64_t per)
{
    int64_t bytes = t == F32 ? 4 : 2, y_step = y->ld * bytes, res_step = res->ld * bytes, ld;
    for (int64_t r0 = 0; r0 < rows; r0 += per) {
        int64_t count = rows - r0 < per ? rows - r0 : per, r = 0;
        const float *p = as_f32(v, r0, count, m, buf, &ld);
        const char *q = res->data ? block_row(res, r0, bytes) : NULL;
        char *o = (char *)block_row(y, r0, bytes);
        for (; r + TILE_ROWS <= count; r += TILE_ROWS)
            mix_columns(p + r * ld, ld, g, ldg, m, q ? q + r * res_step : NULL, res_step, o + r * y_step, y_step, t,
                        TILE_ROWS, cols);
        for (; r < count; r++)
            mix_columns(p + r * ld, ld, g, ldg, m, q ? q + r * res_step : NULL, res_step, o + r * y_step, y_step, t, 1,
                        cols);
    }
}

/* Rows of m elements that the buffer of 16 KB holds at a time. */
static int64_t rows_at_once(int64_t m)
{
    int64_t per = ATTENTION_BUFFER / m / TILE_ROWS * TILE_ROWS;
    return per < TILE_ROWS ? TILE_ROWS : per > CHUNK ? CHUNK : per;
}

void ISA_NAME(mix_rows)(Block v, const float *g, int64_t ldg, int64_t m, Block res, Block y, int64_t rows, int64_t cols,
                        float *buf)
{
    FOR_TYPE(y.dtype, t, mix_rows(&v, g, ldg, m, &res, &y, t, rows, cols, buf, rows_at_once(m)));
}

/* ---- sum of outer products
 * -------------------------------------------------------------------------------------------- */

/* sum[i][c] += over rows of b[r][i] a[r][c], for ni values of i and nv vectors of c, the last with n lanes. */
INLINE void outer_tile(const char *a, int64_t step, DType t, const float *b, int64_t ldb, int64_t rows, double *sum,
                       int64_t ld_sum, int ni, int nv, int n)
{
    int64_t bytes = t == F32 ? 4 : 2;
    V acc[TILE_ROWS][TILE_VECTORS];
    for (int i = 0; i < ni; i++)
        for (int k = 0; k < nv; k++)
            acc[i][k] = vset(0);
    for (int64_t r = 0; r < rows; r++, a += step, b += ldb) {
        V x[TILE_VECTORS];
        for (int k = 0; k < nv; k++)
            x[k] = vload(a + k * VL * bytes, t, n);
        for (int i = 0; i < ni; i++) {
            V s = vset(b[i]);
            for (int k = 0; k < nv; k++)
                acc[i][k] += s * x[k];
        }
    }
    for (int i = 0; i < ni; i++)
        for (int k = 0; k < nv; k++)
            for (int l = 0; l < n; l++)
                sum[i * ld_sum + k * VL + l] += (double)acc[i][k][l];
}

INLINE void outer_columns(const char *a, int64_t step, DType t, const float *b, int64_t ldb, int64_t rows, double *sum,
                          int64_t cols, int ni)
{
    int64_t bytes = t == F32 ? 4 : 2, c = 0;
    for (; c + 2 * VL <= cols; c += 2 * VL)
        outer_tile(a + c * bytes, step, t, b, ldb, rows, sum + c, cols, ni, 2, VL);
    for (; c + VL <= cols; c += VL)
        outer_tile(a + c * bytes, step, t, b, ldb, rows, sum + c, cols, ni, 1, VL);
    if (c < cols) outer_tile(a + c * bytes, step, t, b, ldb, rows, sum + c, cols, ni, 1, (int)(cols - c));
}

INLINE void outer_sums(const Block *a, const Block *b, DType t, int64_t rows, int64_t cols, int64_t m, double *sum,
                       float *buf, int64_t per)
{
    int64_t bytes = t == F32 ? 4 : 2, ld;
    for (int64_t r = 0; r < rows; r += per) {
        int64_t count = rows - r < per ? rows - r : per, i = 0;
        const float *q = as_f32(b, r, count, m, buf, &ld);
        const char *p = block_row(a, r, bytes);
        for (; i + TILE_ROWS <= m; i += TILE_ROWS)
            outer_columns(p, a->ld * bytes, t, q + i, ld, count, sum + i * cols, cols, TILE_ROWS);
        for (; i < m; i++)
            outer_columns(p, a->ld * bytes, t, q + i, ld, count, sum + i * cols, cols, 1);
    }
}

void ISA_NAME(outer_sums)(Block a, Block b, int64_t rows, int64_t cols, int64_t m, double *sum, float *buf)
{
    FOR_TYPE(a.dtype, t, outer_sums(&a, &b, t, rows, cols, m, sum, buf, rows_at_once(m)));
}

/* ---- softmax down columns
 * ----------------------------------------------------------------------------------------------- */

INLINE void column_tops(const Block *x, DType t, int64_t rows, int64_t cols, float *top)
{
    int64_t bytes = t == F32 ? 4 : 2, step = x->ld * bytes;
    FOR_COLS(c, n, cols)
    {
        const char *p = block_row(x, 0, bytes) + c * bytes;
        V a = vload(top + c, F32, (int)n);
        for (int64_t r = 0; r < rows; r++, p += step) {
            V v = vload(p, t, (int)n);
            a = vmax(v, a); /* a NaN in x comes back with its own exponent */
        }
        vstore(top + c, F32, (int)n, a);
    }
}

void ISA_NAME(column_tops)(Block x, int64_t rows, int64_t cols, float *top)
{
    FOR_TYPE(x.dtype, t, column_tops(&x, t, rows, cols, top));
}

INLINE void exp_sums(const Block *x, const float *top, DType t, int64_t rows, int64_t cols, double *sum)
{
    int64_t bytes = t == F32 ? 4 : 2, step = x->ld * bytes;
    FOR_COLS(c, n, cols)
    {
        V a = vload(top + c, F32, (int)n);
        for (int64_t r0 = 0; r0 < rows; r0 += CHUNK) {
            int64_t count = rows - r0 < CHUNK ? rows - r0 : CHUNK;
            const char *p = block_row(x, r0, bytes) + c * bytes;
            V s = vset(0);
            for (int64_t r = 0; r < count; r++, p += step)
                s += vexp(vload(p, t, (int)n) - a);
            for (int l = 0; l < n; l++)
                sum[c + l] += (double)s[l];
        }
    }
}

void ISA_NAME(exp_sums)(Block x, const float *top, int64_t rows, int64_t cols, double *sum)
{
    FOR_TYPE(x.dtype, t, exp_sums(&x, top, t, rows, cols, sum));
}

INLINE void exp_times(const Block *x, const float *top, const float *scale, const Block *y, DType t, int64_t rows,
                      int64_t cols)
{
    int64_t bytes = t == F32 ? 4 : 2;
    for (int64_t r = 0; r < rows; r++) {
        const char *p = block_row(x, r, bytes);
        char *q = (char *)block_row(y, r, bytes);
        FOR_COLS(c, n, cols)
        vstore(q + c * bytes, t, (int)n,
               vexp(vload(p + c * bytes, t, (int)n) - vload(top + c, F32, (int)n)) * vload(scale + c, F32, (int)n));
    }
}

void ISA_NAME(exp_times)(Block x, const float *top, const float *scale, Block y, int64_t rows, int64_t cols)
{
    FOR_TYPE(x.dtype, t, exp_times(&x, top, scale, &y, t, rows, cols));
}

INLINE void dot_sums(const Block *a, const Block *b, DType t, int64_t rows, int64_t cols, double *sum)
{
    int64_t bytes = t == F32 ? 4 : 2, sa = a->ld * bytes, sb = b->ld * bytes;
    FOR_COLS(c, n, cols)
    for (int64_t r0 = 0; r0 < rows; r0 += CHUNK) {
        int64_t count = rows - r0 < CHUNK ? rows - r0 : CHUNK;
        const char *p = block_row(a, r0, bytes) + c * bytes, *q = block_row(b, r0, bytes) + c * bytes;
        V s = vset(0);
        for (int64_t r = 0; r < count; r++, p += sa, q += sb)
            s += vload(p, t, (int)n) * vload(q, t, (int)n);
        for (int l = 0; l < n; l++)
            sum[c + l] += (double)s[l];
    }
}

void ISA_NAME(dot_sums)(Block a, Block b, int64_t rows, int64_t cols, double *sum)
{
    FOR_TYPE(a.dtype, t, dot_sums(&a, &b, t, rows, cols, sum));
}

INLINE void less_dot(const Block *dy, const Block *y, const float *dot, const Block *dx, DType t, int64_t rows,
                     int64_t cols)
{
    int64_t bytes = t == F32 ? 4 : 2;
    for (int64_t r = 0; r < rows; r++) {
        const char *p = block_row(dy, r, bytes), *q = block_row(y, r, bytes);
        char *o = (char *)block_row(dx, r, bytes);
        FOR_COLS(c, n, cols)
        vstore(o + c * bytes, t, (int)n,
               vload(q + c * bytes, t, (int)n) * (vload(p + c * bytes, t, (int)n) - vload(dot + c, F32, (int)n)));
    }
}

void ISA_NAME(less_dot)(Block dy, Block y, const float *dot, Block dx, int64_t rows, int64_t cols)
{
    FOR_TYPE(y.dtype, t, less_dot(&dy, &y, dot, &dx, t, rows, cols));
}
