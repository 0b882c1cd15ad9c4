/* SPDX-License-Identifier: Apache-2.0
 *
 * 1x1 convolutions of sub-pixels. Positions lie side by side, so a vector of VL channels is VL / S inputs at all S
 * positions: it is multiplied by weights repeated S times, and only the sums are folded to S numbers. That needs S to
 * divide VL (SubpixelJob.wide is there); other scales go one number at a time. */
#include "backend/cpu/isa/vec.h"

enum { OUTS = 8, PIXELS = 32 };

INLINE float load_at(const void *p, DType t, int64_t i)
{
    return t == F32 ? ((const float *)p)[i] : bf16_to_f32(((const uint16_t *)p)[i]);
}

INLINE void store_at(void *p, DType t, int64_t i, float v)
{
    vstore((char *)p + i * (t == F32 ? 4 : 2), t, 1, vset(v));
}

/* Lanes i, i + S, i + 2 S, ... added: S numbers. */
INLINE void fold(V v, int64_t S, float *out)
{
    for (int64_t s = 0; s < S; s++) {
        out[s] = 0;
        for (int64_t i = s; i < VL; i += S)
            out[s] += v[i];
    }
}

/* ---- value --------------------------------------------------------------------------------------------------- */

/* Outputs [o, o + outs) of one pixel. */
INLINE void value_outs(const SubpixelJob *j, const char *x, DType tx, char *y, DType ty, int64_t o, int outs)
{
    int64_t K = j->C * j->S, bytes = tx == F32 ? 4 : 2;
    V sum[OUTS] = { 0 };
    FOR_COLS(c, n, K)
    {
        V v = vload(x + c * bytes, tx, (int)n);
        for (int k = 0; k < outs; k++)
            sum[k] += v * vload(j->wide + (o + k) * K + c, F32, (int)n);
    }
    for (int k = 0; k < outs; k++) {
        float each[VL];
        fold(sum[k], j->S, each);
        for (int64_t s = 0; s < j->S; s++)
            store_at(y, ty, (o + k) * j->S + s, each[s] + (j->bias ? j->bias[o + k] : 0));
    }
}

INLINE void value_plain(const SubpixelJob *j, const char *x, DType tx, char *y, DType ty)
{
    for (int64_t o = 0; o < j->O; o++)
        for (int64_t s = 0; s < j->S; s++) {
            float sum = j->bias ? j->bias[o] : 0;
            for (int64_t c = 0; c < j->C; c++)
                sum += j->w[o * j->C + c] * load_at(x, tx, c * j->S + s);
            store_at(y, ty, o * j->S + s, sum);
        }
}

INLINE void value_rows(const SubpixelJob *j, const Block *x, DType tx, const Block *y, DType ty, int64_t rows)
{
    for (int64_t r = 0; r < rows; r++) {
        const char *p = block_row(x, r, tx == F32 ? 4 : 2);
        char *q = (char *)block_row(y, r, ty == F32 ? 4 : 2);
        int64_t o = 0;
        if (!j->wide) {
            value_plain(j, p, tx, q, ty);
            continue;
        }
        for (; o + OUTS <= j->O; o += OUTS)
            value_outs(j, p, tx, q, ty, o, OUTS);
        for (; o < j->O; o++)
            value_outs(j, p, tx, q, ty, o, 1);
    }
}

void ISA_NAME(subpixel)(const SubpixelJob *j, Block x, Block y, int64_t rows)
{
    FOR_TYPE(x.dtype, tx, FOR_TYPE(y.dtype, ty, value_rows(j, &x, tx, &y, ty, rows)));
}

/* ---- gradient of the input ----------------------------------------------------------------------------------- */

/* dy of one pixel, each output's S numbers repeated to a vector. */
INLINE void repeat(const SubpixelJob *j, const char *dy, DType t, V *rep)
{
    for (int64_t o = 0; o < j->O; o++)
        for (int i = 0; i < VL; i++)
            rep[o][i] = load_at(dy, t, o * j->S + i % j->S);
}

INLINE void dx_rows(const SubpixelJob *j, const Block *dy, DType ty, const Block *dx, DType tx, int64_t rows)
{
    int64_t K = j->C * j->S, bytes = tx == F32 ? 4 : 2;
    V rep[SUBPIXEL_MAX_OUT];
    for (int64_t r = 0; r < rows; r++) {
        const char *p = block_row(dy, r, ty == F32 ? 4 : 2);
        char *q = (char *)block_row(dx, r, bytes);
        if (!j->wide) {
            for (int64_t k = 0; k < K; k++) {
                float sum = 0;
                for (int64_t o = 0; o < j->O; o++)
                    sum += j->w[o * j->C + k / j->S] * load_at(p, ty, o * j->S + k % j->S);
                store_at(q, tx, k, sum);
            }
            continue;
        }
        repeat(j, p, ty, rep);
        FOR_COLS(c, n, K)
        {
            V sum = { 0 };
            for (int64_t o = 0; o < j->O; o++)
                sum += rep[o] * vload(j->wide + o * K + c, F32, (int)n);
            vstore(q + c * bytes, tx, (int)n, sum);
        }
    }
}

void ISA_NAME(subpixel_dx)(const SubpixelJob *j, Block dy, Block dx, int64_t rows)
{
    FOR_TYPE(dy.dtype, ty, FOR_TYPE(dx.dtype, tx, dx_rows(j, &dy, ty, &dx, tx, rows)));
}

/* ---- gradient of the weights --------------------------------------------------------------------------------- */

/* A block of at most PIXELS pixels: f32 within, F64 across. */
INLINE void dw_block(const SubpixelJob *j, const V *rep, const char *x, int64_t step, DType tx, int64_t rows,
                     int64_t lo, int64_t hi, double *sum)
{
    int64_t bytes = tx == F32 ? 4 : 2;
    for (int64_t c = lo * j->S; c < hi * j->S; c += VL) {
        int n = (int)(hi * j->S - c < VL ? hi * j->S - c : VL);
        for (int64_t o = 0; o < j->O; o++) {
            V a = { 0 };
            for (int64_t r = 0; r < rows; r++)
                a += rep[r * j->O + o] * vload(x + r * step + c * bytes, tx, n);
            for (int i = 0; i < n; i++)
                sum[o * j->C + (c + i) / j->S] += (double)a[i];
        }
    }
}

INLINE void dw_plain(const SubpixelJob *j, const char *dy, DType ty, const char *x, DType tx, int64_t lo, int64_t hi,
                     double *sum)
{
    for (int64_t o = 0; o < j->O; o++)
        for (int64_t c = lo; c < hi; c++) {
            float a = 0;
            for (int64_t s = 0; s < j->S; s++)
                a += load_at(dy, ty, o * j->S + s) * load_at(x, tx, c * j->S + s);
            sum[o * j->C + c] += (double)a;
        }
}

INLINE void dw_rows(const SubpixelJob *j, const Block *dy, DType ty, const Block *x, DType tx, int64_t rows, int64_t lo,
                    int64_t hi, double *sum)
{
    V rep[PIXELS * SUBPIXEL_MAX_OUT];
    int64_t bx = tx == F32 ? 4 : 2, by = ty == F32 ? 4 : 2;
    for (int64_t r = 0; !j->wide && r < rows; r++)
        dw_plain(j, block_row(dy, r, by), ty, block_row(x, r, bx), tx, lo, hi, sum);
    for (int64_t r = 0; j->wide && r < rows; r += PIXELS) {
        int64_t n = rows - r < PIXELS ? rows - r : PIXELS;
        for (int64_t i = 0; i < n; i++)
            repeat(j, block_row(dy, r + i, by), ty, rep + i * j->O);
        dw_block(j, rep, block_row(x, r, bx), x->ld * bx, tx, n, lo, hi, sum);
    }
}

void ISA_NAME(subpixel_dw)(const SubpixelJob *j, Block dy, Block x, int64_t rows, int64_t lo, int64_t hi, double *sum)
{
    FOR_TYPE(dy.dtype, ty, FOR_TYPE(x.dtype, tx, dw_rows(j, &dy, ty, &x, tx, rows, lo, hi, sum)));
}
