/* SPDX-License-Identifier: Apache-2.0
 *
 * Loops over one row that end in a single number: softmax, and the two that the detection decoder is made of. Exponents
 * are taken of differences to the row's largest, so that nothing overflows. */
#include "backend/cpu/isa/vec.h"

/* x with lanes from n on replaced. */
INLINE V lanes(V x, int n, float other)
{
    if (n == VL) return x;
    VI i = { 0 };
    for (int k = 0; k < VL; k++)
        i[k] = k;
    return vselect(i < n, x, vset(other));
}

INLINE V load_row(const char *p, DType t, int64_t c, int64_t cols, float other)
{
    int64_t bytes = t == F32 ? 4 : 2;
    if (cols - c >= VL) return vload(p + c * bytes, t, VL);
    return lanes(vload(p + c * bytes, t, (int)(cols - c)), (int)(cols - c), other);
}

INLINE float row_top(const char *p, DType t, int64_t cols)
{
    V top = load_row(p, t, 0, cols, -INFINITY);
    for (int64_t c = VL; c < cols; c += VL)
        top = vmax(load_row(p, t, c, cols, -INFINITY), top);
    return vtop(top);
}

/* Several rows of one vector: lane l meets lane l ^ k for k = 1, 2, .. cols/2, so that each has its row's total. */
#if defined(__AVX512F__)
#define PARTNER(x, at) ((V)_mm512_permutexvar_ps((__m512i)(at), (__m512)(x)))
#elif defined(__AVX2__)
#define PARTNER(x, at) ((V)_mm256_permutevar8x32_ps((__m256)(x), (__m256i)(at)))
#endif

INLINE V row_totals(V x, int64_t cols, bool largest)
{
#ifdef PARTNER
    VI lane = { 0 };
    for (int k = 0; k < VL; k++)
        lane[k] = k;
    for (int k = 1; k < cols; k *= 2) {
        V other = PARTNER(x, lane ^ k);
        x = largest ? vmax(x, other) : x + other;
    }
#endif
    return x;
}

/* Rows this short go several to a vector. */
INLINE bool packs(const Block *x, const Block *y, int64_t cols)
{
#ifdef PARTNER
    return cols > 1 && cols <= VL / 2 && !(cols & (cols - 1)) && x->ld == cols && y->ld == cols;
#else
    return false;
#endif
}

INLINE void softmax_rows(const Block *x, const Block *y, DType t, int64_t rows, int64_t cols)
{
    int64_t bytes = t == F32 ? 4 : 2, r = 0;
    if (packs(x, y, cols))
        for (int64_t per = VL / cols; r + per <= rows; r += per) {
            V v = vload(block_row(x, r, bytes), t, VL);
            V e = vexp(v - row_totals(v, cols, true));
            vstore((char *)block_row(y, r, bytes), t, VL, e * (1.0f / row_totals(e, cols, false)));
        }
    for (; r < rows; r++) {
        const char *p = block_row(x, r, bytes);
        char *q = (char *)block_row(y, r, bytes);
        V top = vset(row_top(p, t, cols)), sum = { 0 };
        FOR_COLS(c, n, cols) sum += lanes(vexp(vload(p + c * bytes, t, (int)n) - top), (int)n, 0);
        V scale = vset(1 / vsum(sum));
        FOR_COLS(c, n, cols)
        vstore(q + c * bytes, t, (int)n, vexp(vload(p + c * bytes, t, (int)n) - top) * scale);
    }
}

void ISA_NAME(softmax)(Block x, Block y, int64_t rows, int64_t cols)
{
    FOR_TYPE(x.dtype, t, softmax_rows(&x, &y, t, rows, cols));
}

INLINE void softmax_grad_rows(const Block *dy, const Block *y, const Block *dx, DType t, int64_t rows, int64_t cols)
{
    int64_t bytes = t == F32 ? 4 : 2, r = 0;
    if (packs(dy, y, cols) && dx->ld == cols)
        for (int64_t per = VL / cols; r + per <= rows; r += per) {
            V d = vload(block_row(dy, r, bytes), t, VL), v = vload(block_row(y, r, bytes), t, VL);
            vstore((char *)block_row(dx, r, bytes), t, VL, v * (d - row_totals(d * v, cols, false)));
        }
    for (; r < rows; r++) {
        const char *p = block_row(dy, r, bytes), *q = block_row(y, r, bytes);
        char *o = (char *)block_row(dx, r, bytes);
        V sum = { 0 };
        FOR_COLS(c, n, cols) sum += vload(p + c * bytes, t, (int)n) * vload(q + c * bytes, t, (int)n);
        V dot = vset(vsum(sum));
        FOR_COLS(c, n, cols)
        vstore(o + c * bytes, t, (int)n, vload(q + c * bytes, t, (int)n) * (vload(p + c * bytes, t, (int)n) - dot));
    }
}

void ISA_NAME(softmax_grad)(Block dy, Block y, Block dx, int64_t rows, int64_t cols)
{
    FOR_TYPE(y.dtype, t, softmax_grad_rows(&dy, &y, &dx, t, rows, cols));
}

INLINE void expectation_rows(const Block *x, DType t, int64_t bins, bool whole, int64_t rows, float *e)
{
    int64_t bytes = t == F32 ? 4 : 2;
    V ramp = { 0 };
    for (int i = 0; i < VL; i++)
        ramp[i] = (float)i;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t s = 0; s < 4; s++) {
            const char *p = block_row(x, r, bytes) + s * bins * bytes;
            V top = vset(row_top(p, t, bins)), sum = { 0 }, mean = { 0 };
            for (int64_t c = 0; c < bins; c += VL) {
                int n = whole || bins - c >= VL ? VL : (int)(bins - c);
                V v = lanes(vexp(vload(p + c * bytes, t, n) - top), n, 0);
                sum += v;
                mean += v * (ramp + (float)c);
            }
            e[r * 4 + s] = vsum(mean) / vsum(sum);
        }
}

void ISA_NAME(expectation)(Block x, int64_t bins, int64_t rows, float *e)
{
    if (bins == VL)
        FOR_TYPE(x.dtype, t, expectation_rows(&x, t, VL, true, rows, e));
    else
        FOR_TYPE(x.dtype, t, expectation_rows(&x, t, bins, false, rows, e));
}

INLINE void sigmoid_rows(const Block *x, const Block *y, DType t, int64_t rows, int64_t cols, float *score)
{
    int64_t bytes = t == F32 ? 4 : 2;
    for (int64_t r = 0; r < rows; r++) {
        const char *p = block_row(x, r, bytes);
        float *q = (float *)block_row(y, r, 4);
        V top = { 0 };
        int64_t c = 0;
        for (; c + VL <= cols; c += VL) {
            V v = vsigmoid(vload(p + c * bytes, t, VL));
            vstore(q + c, F32, VL, v);
            top = vmax(v, top);
        }
        if (c < cols) {
            int n = (int)(cols - c);
            V v = vsigmoid(vload(p + c * bytes, t, n));
            vstore(q + c, F32, n, v);
            top = vmax(lanes(v, n, 0), top);
        }
        score[r] = vtop(top);
    }
}

void ISA_NAME(sigmoid_max)(Block x, Block y, int64_t rows, int64_t cols, float *score)
{
    FOR_TYPE(x.dtype, t, sigmoid_rows(&x, &y, t, rows, cols, score));
}
