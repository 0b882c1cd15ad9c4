/* SPDX-License-Identifier: Apache-2.0
 *
 * Reductions over rows (batch and space) per column (channel), and batch normalisation.
 *
 * Accuracy: f32 sums run over at most BLOCK_ROWS rows, then go to F64. The variance of a block is taken around the
 * block's own mean while the block is still in cache, and blocks are merged by Chan, Golub & LeVeque (1979): one pass
 * over memory, and a mean far from zero costs no digits. Columns go four vectors at a time, so that sums stay in
 * registers. */
#include "backend/cpu/isa/vec.h"

enum { BLOCK_ROWS = 256, BLOCK_BYTES = 32 << 10, GROUP = 4 };

/* Calls body with c the first column, nv (a constant 1 or GROUP) vectors, n elements in the last. */
#define FOR_GROUPS(cols, ...)                                                                                          \
    do {                                                                                                               \
        int64_t c = 0;                                                                                                 \
        for (; c + GROUP * VL <= (cols); c += GROUP * VL) {                                                            \
            const int nv = GROUP;                                                                                      \
            const int n = VL;                                                                                          \
            __VA_ARGS__;                                                                                               \
        }                                                                                                              \
        for (; c < (cols); c += VL) {                                                                                  \
            const int nv = 1;                                                                                          \
            if (c + VL <= (cols)) {                                                                                    \
                const int n = VL;                                                                                      \
                __VA_ARGS__;                                                                                           \
            } else {                                                                                                   \
                const int n = (int)((cols)-c);                                                                         \
                __VA_ARGS__;                                                                                           \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)

static int64_t block_rows(int64_t cols)
{
    int64_t r = BLOCK_BYTES / (4 * cols);
    return r < 16 ? 16 : r > BLOCK_ROWS ? BLOCK_ROWS : r;
}

INLINE void add_to(double *sum, const V *v, int nv, int n)
{
    for (int k = 0; k < nv; k++)
        for (int i = 0; i < (nv == 1 ? n : VL); i++)
            sum[k * VL + i] += (double)v[k][i];
}

/* Column sums of a block; two rows at a time, so that an addition need not wait for the one before. */
INLINE void sums(const char *p, int64_t step, DType t, int nv, int n, int64_t rows, V *out)
{
    int64_t bytes = t == F32 ? 4 : 2, r = 0;
    V a[GROUP] = { 0 }, b[GROUP] = { 0 };
    for (; r + 2 <= rows; r += 2, p += 2 * step)
        for (int k = 0; k < nv; k++) {
            a[k] += vload(p + k * VL * bytes, t, n);
            b[k] += vload(p + step + k * VL * bytes, t, n);
        }
    for (int k = 0; k < nv; k++)
        out[k] = a[k] + b[k] + (r < rows ? vload(p + k * VL * bytes, t, n) : vset(0));
}

INLINE void column_sums(const Block *x, DType t, int64_t rows, int64_t cols, double *sum)
{
    int64_t bytes = t == F32 ? 4 : 2, step = x->ld * bytes, per = block_rows(cols);
    for (int64_t r = 0; r < rows; r += per) {
        int64_t count = rows - r < per ? rows - r : per;
        V s[GROUP];
        FOR_GROUPS(cols, {
            sums(block_row(x, r, bytes) + c * bytes, step, t, nv, n, count, s);
            add_to(sum + c, s, nv, n);
        });
    }
}

void ISA_NAME(column_sums)(Block x, int64_t rows, int64_t cols, double *sum)
{
    FOR_TYPE(x.dtype, t, column_sums(&x, t, rows, cols, sum));
}

INLINE void squares(const char *p, int64_t step, DType t, int nv, int n, int64_t rows, const V *mean, V *out)
{
    int64_t bytes = t == F32 ? 4 : 2;
    V a[GROUP] = { 0 };
    for (int64_t r = 0; r < rows; r++, p += step)
        for (int k = 0; k < nv; k++) {
            V d = vload(p + k * VL * bytes, t, n) - mean[k];
            a[k] += d * d;
        }
    for (int k = 0; k < nv; k++)
        out[k] = a[k];
}

/* (mean, m2) of `before` rows merged with a block of `count` rows whose f32 mean is only nearly its mean: rest is what
 * the squares around it have too much. */
static void merge(double *mean, double *m2, const float *s, const float *q, int n, int64_t before, int64_t count)
{
    double total = (double)(before + count);
    for (int i = 0; i < n; i++) {
        double bm = (double)s[i] / (double)count, near = (double)(s[i] / (float)count), off = bm - near;
        double d = bm - mean[i];
        m2[i] += (double)q[i] - (double)count * off * off + d * d * (double)before * (double)count / total;
        mean[i] += d * (double)count / total;
    }
}

INLINE void moments(const Block *x, DType t, int64_t rows, int64_t cols, double *mean, double *m2)
{
    int64_t bytes = t == F32 ? 4 : 2, step = x->ld * bytes, per = block_rows(cols);
    memset(mean, 0, (size_t)cols * sizeof *mean);
    memset(m2, 0, (size_t)cols * sizeof *m2);
    for (int64_t r = 0; r < rows; r += per) {
        int64_t count = rows - r < per ? rows - r : per;
        FOR_GROUPS(cols, {
            const char *p = block_row(x, r, bytes) + c * bytes;
            V s[GROUP], near[GROUP], q[GROUP];
            sums(p, step, t, nv, n, count, s);
            for (int k = 0; k < nv; k++)
                near[k] = s[k] / (float)count;
            squares(p, step, t, nv, n, count, near, q);
            merge(mean + c, m2 + c, (const float *)s, (const float *)q, nv == 1 ? n : nv * VL, r, count);
        });
    }
}

void ISA_NAME(moments)(Block x, int64_t rows, int64_t cols, double *mean, double *m2)
{
    FOR_TYPE(x.dtype, t, moments(&x, t, rows, cols, mean, m2));
}

/* ---- batchnorm ---------------------------------------------------------------------------------------------- */

typedef struct Lane {
    V mean, rstd, gamma, beta;
} Lane;

INLINE Lane lane(const Norm *p, int64_t c, int n)
{
    return (Lane) { vload(p->mean + c, F32, n), vload(p->rstd + c, F32, n), vload(p->gamma + c, F32, n),
                    vload(p->beta + c, F32, n) };
}

INLINE void norm_rows(const Norm *p, Act act, const Block *x, const Block *y, DType t, int64_t rows, int64_t cols)
{
    int64_t bytes = t == F32 ? 4 : 2, sx = x->ld * bytes, sy = y->ld * bytes, per = block_rows(cols);
    for (int64_t r = 0; r < rows; r += per) {
        int64_t count = rows - r < per ? rows - r : per;
        FOR_GROUPS(cols, {
            const char *from = block_row(x, r, bytes) + c * bytes;
            char *to = (char *)block_row(y, r, bytes) + c * bytes;
            V scale[GROUP], mean[GROUP], beta[GROUP];
            for (int k = 0; k < nv; k++) {
                Lane q = lane(p, c + k * VL, n);
                scale[k] = q.gamma * q.rstd, mean[k] = q.mean, beta[k] = q.beta;
            }
            for (int64_t i = 0; i < count; i++, from += sx, to += sy)
                for (int k = 0; k < nv; k++)
                    vstore(to + k * VL * bytes, t, n,
                           vact_as(act, t, (vload(from + k * VL * bytes, t, n) - mean[k]) * scale[k] + beta[k]));
        });
    }
}

void ISA_NAME(norm)(const Norm *p, Block x, Block y, int64_t rows, int64_t cols)
{
    FOR_ACT(p->act, a, FOR_TYPE(x.dtype, t, norm_rows(p, a, &x, &y, t, rows, cols)));
}

INLINE void grad_at(Act act, const Lane *q, V x, V dy, V *xhat, V *dz)
{
    *xhat = (x - q->mean) * q->rstd;
    *dz = dy * vact_slope(act, q->gamma * *xhat + q->beta);
}

INLINE void grad_sums(const Norm *p, Act act, const Block *dy, const Block *x, DType t, int64_t rows, int64_t cols,
                      double *dz_sum, double *dzx_sum)
{
    int64_t bytes = t == F32 ? 4 : 2, sx = x->ld * bytes, sy = dy->ld * bytes, per = block_rows(cols);
    for (int64_t r = 0; r < rows; r += per) {
        int64_t count = rows - r < per ? rows - r : per;
        FOR_COLS(c, n, cols)
        {
            const char *px = block_row(x, r, bytes) + c * bytes, *py = block_row(dy, r, bytes) + c * bytes;
            Lane q = lane(p, c, (int)n);
            V a = { 0 }, b = { 0 }, xhat, dz;
            for (int64_t i = 0; i < count; i++, px += sx, py += sy) {
                grad_at(act, &q, vload(px, t, (int)n), vload(py, t, (int)n), &xhat, &dz);
                a += dz;
                b += dz * xhat;
            }
            add_to(dz_sum + c, &a, 1, (int)n);
            add_to(dzx_sum + c, &b, 1, (int)n);
        }
    }
}

void ISA_NAME(norm_grad_sums)(const Norm *p, Block dy, Block x, int64_t rows, int64_t cols, double *dz, double *dzx)
{
    FOR_ACT(p->act, a, FOR_TYPE(x.dtype, t, grad_sums(p, a, &dy, &x, t, rows, cols, dz, dzx)));
}

INLINE void grad_rows(const Norm *p, Act act, const Block *dy, const Block *x, const float *m_dz, const float *m_dzx,
                      const Block *dx, DType t, int64_t rows, int64_t cols)
{
    int64_t bytes = t == F32 ? 4 : 2, sx = x->ld * bytes, sy = dy->ld * bytes, so = dx->ld * bytes;
    int64_t per = block_rows(cols);
    for (int64_t r = 0; r < rows; r += per) {
        int64_t count = rows - r < per ? rows - r : per;
        FOR_COLS(c, n, cols)
        {
            const char *px = block_row(x, r, bytes) + c * bytes, *py = block_row(dy, r, bytes) + c * bytes;
            char *o = (char *)block_row(dx, r, bytes) + c * bytes;
            Lane q = lane(p, c, (int)n);
            V a = vload(m_dz + c, F32, (int)n), b = vload(m_dzx + c, F32, (int)n), scale = q.gamma * q.rstd, xhat, dz;
            for (int64_t i = 0; i < count; i++, px += sx, py += sy, o += so) {
                grad_at(act, &q, vload(px, t, (int)n), vload(py, t, (int)n), &xhat, &dz);
                vstore(o, t, (int)n, scale * (dz - a - xhat * b));
            }
        }
    }
}

void ISA_NAME(norm_grad)(const Norm *p, Block dy, Block x, const float *m_dz, const float *m_dzx, Block dx,
                         int64_t rows, int64_t cols)
{
    FOR_ACT(p->act, a, FOR_TYPE(x.dtype, t, grad_rows(p, a, &dy, &x, m_dz, m_dzx, &dx, t, rows, cols)));
}
