/* SPDX-License-Identifier: Apache-2.0
 *
 * Reductions over rows (batch and space) per column (channel), and batch normalisation.
 *
 * Accuracy: f32 sums run over at most BLOCK_ROWS rows, then go to F64. Moments are taken of distances from the mean so
 * far, and blocks are merged by Chan, Golub & LeVeque (1979): one pass over memory, and a mean far from zero costs no
 * digits. Columns go several vectors at a time, so that sums stay in registers and whole cache lines are read. */
#include "backend/cpu/isa/moments.h"
#include "backend/cpu/isa/vec.h"

enum { BLOCK_ROWS = 256, BLOCK_BYTES = 64 << 10, GROUP = 4, PAIR = 2 };

/* Calls body with c the first column, nv (a constant 1 or group) vectors, n elements in the last. */
#define FOR_GROUPS(group, cols, ...)                                                                                   \
    do {                                                                                                               \
        int64_t c = 0;                                                                                                 \
        for (; c + (group)*VL <= (cols); c += (group)*VL) {                                                            \
            const int nv = (group);                                                                                    \
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
    const float *x = (const float *)v;
    for (int i = 0; i < (nv == 1 ? n : nv * VL); i++)
        sum[i] += (double)x[i];
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
        FOR_GROUPS(GROUP, cols, {
            sums(block_row(x, r, bytes) + c * bytes, step, t, nv, n, count, s);
            add_to(sum + c, s, nv, n);
        });
    }
}

void ISA_NAME(column_sums)(Block x, int64_t rows, int64_t cols, double *sum)
{
    FOR_TYPE(x.dtype, t, column_sums(&x, t, rows, cols, sum));
}

/* Column sums of x - near and of its square; two rows at a time, as above. */
INLINE void deviations(const char *p, int64_t step, DType t, int nv, int n, int64_t rows, const V *near, V *sum,
                       V *square)
{
    int64_t bytes = t == F32 ? 4 : 2;
    V s[2][GROUP] = { 0 }, q[2][GROUP] = { 0 };
    for (int64_t r = 0; r < rows; r += 2, p += 2 * step)
        for (int i = 0; i < (r + 1 < rows ? 2 : 1); i++)
            for (int k = 0; k < nv; k++) {
                V d = vload(p + i * step + k * VL * bytes, t, n) - near[k];
                s[i][k] += d;
                q[i][k] += d * d;
            }
    for (int k = 0; k < nv; k++)
        sum[k] = s[0][k] + s[1][k], square[k] = q[0][k] + q[1][k];
}

INLINE V vnarrow(const double *x, int n)
{
    V v = { 0 };
    for (int i = 0; i < n; i++)
        ((float *)&v)[i] = (float)x[i];
    return v;
}

/* The first block takes its distances from its first row, the others from the mean of those before. */
INLINE void moments(const Block *x, DType t, int64_t rows, int64_t cols, double *mean, double *m2)
{
    int64_t bytes = t == F32 ? 4 : 2, step = x->ld * bytes;
    memset(mean, 0, (size_t)cols * sizeof *mean);
    memset(m2, 0, (size_t)cols * sizeof *m2);
    for (int64_t r = 0; r < rows; r += BLOCK_ROWS) {
        int64_t count = rows - r < BLOCK_ROWS ? rows - r : BLOCK_ROWS;
        FOR_GROUPS(GROUP, cols, {
            const char *p = block_row(x, r, bytes) + c * bytes;
            V near[GROUP], s[GROUP], q[GROUP];
            for (int k = 0; k < nv; k++)
                near[k] = r ? vnarrow(mean + c + k * VL, n) : vload(p + k * VL * bytes, t, n);
            deviations(p, step, t, nv, n, count, near, s, q);
            moments_merge(mean + c, m2 + c, (const float *)near, (const float *)s, (const float *)q,
                          nv == 1 ? n : nv * VL, r, count);
        });
    }
}

void ISA_NAME(moments)(Block x, int64_t rows, int64_t cols, double *mean, double *m2)
{
    FOR_TYPE(x.dtype, t, moments(&x, t, rows, cols, mean, m2));
}

/* ---- batchnorm ---------------------------------------------------------------------------------------------- */

/* Of a vector of channels: z = (x - mean) * scale + beta */
typedef struct Lane {
    V mean, scale, beta, rstd;
} Lane;

INLINE Lane lane(const Norm *p, int64_t c, int n)
{
    V rstd = vload(p->rstd + c, F32, n);
    return (Lane) { vload(p->mean + c, F32, n), vload(p->gamma + c, F32, n) * rstd, vload(p->beta + c, F32, n), rstd };
}

/* Columns go in strips of a cache line, which is a stride that no processor foresees: each row asks for that of the
 * next block. */
#define FETCH(p, write) __builtin_prefetch((p), write, 2)

/* The last rows first: they are what the pass before this one has left in the caches. */
#define FOR_BLOCKS_BACK(r, count, rows, cols)                                                                          \
    for (int64_t per_ = block_rows(cols), r = ((rows)-1) / per_ * per_, count = (rows)-r; r >= 0;                      \
         r -= per_, count = per_)

INLINE void norm_rows(const Norm *p, Act act, const Block *x, const Block *res, const Block *y, DType t, int64_t rows,
                      int64_t cols)
{
    int64_t bytes = t == F32 ? 4 : 2, sx = x->ld * bytes, sr = res ? res->ld * bytes : 0, sy = y->ld * bytes;
    FOR_BLOCKS_BACK(r, count, rows, cols)
    FOR_GROUPS(PAIR, cols, {
        const char *from = block_row(x, r, bytes) + c * bytes;
        const char *more = res ? block_row(res, r, bytes) + c * bytes : NULL;
        char *to = (char *)block_row(y, r, bytes) + c * bytes;
        Lane q[PAIR];
        for (int k = 0; k < nv; k++)
            q[k] = lane(p, c + k * VL, n);
        for (int64_t i = 0; i < count; i++, from += sx, to += sy) {
            FETCH(from - per_ * sx, 0), FETCH(to - per_ * sy, 1);
            if (res) FETCH(more - per_ * sr, 0);
            for (int k = 0; k < nv; k++) {
                int64_t at = k * VL * bytes;
                V v = vact_as(act, t, (vload(from + at, t, n) - q[k].mean) * q[k].scale + q[k].beta);
                vstore(to + at, t, n, res ? v + vload(more + at, t, n) : v);
            }
            if (res) more += sr;
        }
    });
}

void ISA_NAME(norm)(const Norm *p, Block x, Block res, Block y, int64_t rows, int64_t cols)
{
    if (res.data)
        FOR_ACT(p->act, a, FOR_TYPE(x.dtype, t, norm_rows(p, a, &x, &res, &y, t, rows, cols)));
    else
        FOR_ACT(p->act, a, FOR_TYPE(x.dtype, t, norm_rows(p, a, &x, NULL, &y, t, rows, cols)));
}

/* The distance of x from its mean, and the gradient at z. */
INLINE void grad_at(Act act, DType t, const Lane *q, V x, V dy, V *d, V *dz)
{
    *d = x - q->mean;
    *dz = dy * vact_slope_as(act, t, *d * q->scale + q->beta);
}

INLINE void grad_sums(const Norm *p, Act act, const Block *dy, const Block *x, DType t, int64_t rows, int64_t cols,
                      double *dz_sum, double *dzx_sum)
{
    int64_t bytes = t == F32 ? 4 : 2, sx = x->ld * bytes, sy = dy->ld * bytes, per = block_rows(cols);
    for (int64_t r = 0; r < rows; r += per) {
        int64_t count = rows - r < per ? rows - r : per;
        FOR_GROUPS(PAIR, cols, {
            const char *px = block_row(x, r, bytes) + c * bytes, *py = block_row(dy, r, bytes) + c * bytes;
            Lane q[PAIR];
            V a[PAIR] = { 0 }, b[PAIR] = { 0 }, d, dz;
            for (int k = 0; k < nv; k++)
                q[k] = lane(p, c + k * VL, n);
            for (int64_t i = 0; i < count; i++, px += sx, py += sy) {
                FETCH(px + per * sx, 0), FETCH(py + per * sy, 0);
                for (int k = 0; k < nv; k++) {
                    int64_t at = k * VL * bytes;
                    grad_at(act, t, &q[k], vload(px + at, t, n), vload(py + at, t, n), &d, &dz);
                    a[k] += dz;
                    b[k] += dz * d;
                }
            }
            for (int k = 0; k < nv; k++)
                b[k] *= q[k].rstd;
            add_to(dz_sum + c, a, nv, n);
            add_to(dzx_sum + c, b, nv, n);
        });
    }
}

void ISA_NAME(norm_grad_sums)(const Norm *p, Block dy, Block x, int64_t rows, int64_t cols, double *dz, double *dzx)
{
    FOR_ACT(p->act, a, FOR_TYPE(x.dtype, t, grad_sums(p, a, &dy, &x, t, rows, cols, dz, dzx)));
}

/* scale (dz - m_dz - xhat m_dzx), as scale dz + d steep + flat */
INLINE void grad_rows(const Norm *p, Act act, const Block *dy, const Block *x, const float *m_dz, const float *m_dzx,
                      const Block *dx, DType t, int64_t rows, int64_t cols)
{
    int64_t bytes = t == F32 ? 4 : 2, sx = x->ld * bytes, sy = dy->ld * bytes, so = dx->ld * bytes;
    FOR_BLOCKS_BACK(r, count, rows, cols)
    FOR_GROUPS(PAIR, cols, {
        const char *px = block_row(x, r, bytes) + c * bytes, *py = block_row(dy, r, bytes) + c * bytes;
        char *o = (char *)block_row(dx, r, bytes) + c * bytes;
        Lane q[PAIR];
        V flat[PAIR], steep[PAIR], d, dz;
        for (int k = 0; k < nv; k++) {
            q[k] = lane(p, c + k * VL, n);
            flat[k] = -q[k].scale * vload(m_dz + c + k * VL, F32, n);
            steep[k] = -q[k].scale * q[k].rstd * vload(m_dzx + c + k * VL, F32, n);
        }
        for (int64_t i = 0; i < count; i++, px += sx, py += sy, o += so) {
            FETCH(px - per_ * sx, 0), FETCH(py - per_ * sy, 0), FETCH(o - per_ * so, 1);
            for (int k = 0; k < nv; k++) {
                int64_t at = k * VL * bytes;
                grad_at(act, t, &q[k], vload(px + at, t, n), vload(py + at, t, n), &d, &dz);
                vstore(o + at, t, n, q[k].scale * dz + (d * steep[k] + flat[k]));
            }
        }
    });
}

void ISA_NAME(norm_grad)(const Norm *p, Block dy, Block x, const float *m_dz, const float *m_dzx, Block dx,
                         int64_t rows, int64_t cols)
{
    FOR_ACT(p->act, a, FOR_TYPE(x.dtype, t, grad_rows(p, a, &dy, &x, m_dz, m_dzx, &dx, t, rows, cols)));
}
