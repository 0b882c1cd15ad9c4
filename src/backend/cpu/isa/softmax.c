/* SPDX-License-Identifier: Apache-2.0
 *
 * Loops over one row that end in a single number: softmax, and the two that the detection decoder is made of. Exponents
 * are taken of differences to the row's largest, so that nothing overflows. */
#include "backend/cpu/isa/vec.h"

INLINE float row_top(const char *p, DType t, int64_t cols)
{
    int64_t bytes = t == F32 ? 4 : 2, c = 0;
    float top = load1(p, t);
    if (cols >= VL) {
        V v = vload(p, t, VL);
        for (c = VL; c + VL <= cols; c += VL)
            v = vmax(vload(p + c * bytes, t, VL), v);
        top = vtop(v);
    }
    for (; c < cols; c++) {
        float x = load1(p + c * bytes, t);
        top = x > top ? x : top;
    }
    return top;
}

/* Lanes from n on as zero. */
INLINE V keep(V x, int64_t n)
{
    for (int i = (int)n; i < VL; i++)
        x[i] = 0;
    return x;
}

INLINE void softmax_rows(const Block *x, const Block *y, DType t, int64_t rows, int64_t cols)
{
    int64_t bytes = t == F32 ? 4 : 2;
    for (int64_t r = 0; r < rows; r++) {
        const char *p = block_row(x, r, bytes);
        char *q = (char *)block_row(y, r, bytes);
        V top = vset(row_top(p, t, cols)), sum = { 0 };
        FOR_COLS(c, n, cols) sum += keep(vexp(vload(p + c * bytes, t, (int)n) - top), n);
        V scale = vset(1 / vsum(sum));
        FOR_COLS(c, n, cols)
        vstore(q + c * bytes, t, (int)n, vexp(vload(p + c * bytes, t, (int)n) - top) * scale);
    }
}

void ISA_NAME(softmax)(Block x, Block y, int64_t rows, int64_t cols)
{
    FOR_TYPE(x.dtype, t, softmax_rows(&x, &y, t, rows, cols));
}

INLINE void expectation_rows(const Block *x, DType t, int64_t bins, int64_t rows, float *e)
{
    int64_t bytes = t == F32 ? 4 : 2;
    V ramp = { 0 };
    for (int i = 0; i < VL; i++)
        ramp[i] = (float)i;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t s = 0; s < 4; s++) {
            const char *p = block_row(x, r, bytes) + s * bins * bytes;
            V top = vset(row_top(p, t, bins)), sum = { 0 }, mean = { 0 };
            FOR_COLS(c, n, bins)
            {
                V v = keep(vexp(vload(p + c * bytes, t, (int)n) - top), n);
                sum += v;
                mean += v * (ramp + (float)c);
            }
            e[r * 4 + s] = vsum(mean) / vsum(sum);
        }
}

void ISA_NAME(expectation)(Block x, int64_t bins, int64_t rows, float *e)
{
    FOR_TYPE(x.dtype, t, expectation_rows(&x, t, bins, rows, e));
}

INLINE void sigmoid_rows(const Block *x, const Block *y, DType t, int64_t rows, int64_t cols, float *score)
{
    int64_t bytes = t == F32 ? 4 : 2;
    for (int64_t r = 0; r < rows; r++) {
        const char *p = block_row(x, r, bytes);
        float *q = (float *)block_row(y, r, 4);
        V top = { 0 };
        FOR_COLS(c, n, cols)
        {
            V v = vsigmoid(vload(p + c * bytes, t, (int)n));
            vstore(q + c, F32, (int)n, v);
            top = vmax(keep(v, n), top);
        }
        score[r] = vtop(top);
    }
}

void ISA_NAME(sigmoid_max)(Block x, Block y, int64_t rows, int64_t cols, float *score)
{
    FOR_TYPE(x.dtype, t, sigmoid_rows(&x, &y, t, rows, cols, score));
}
