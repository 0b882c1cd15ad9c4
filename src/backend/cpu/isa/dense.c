/* SPDX-License-Identifier: Apache-2.0
 *
 * Products of a few rows with a matrix, too small for a library's blocking to pay. */
#include "backend/cpu/isa/vec.h"

/* n dot products of x with rows of w, C apart: their vectors are independent, so that additions need not wait. */
INLINE void dots(const float *x, const float *w, int64_t C, int n, float *y)
{
    V sum[4] = { 0 };
    FOR_COLS(c, count, C)
    {
        V v = vload(x + c, F32, (int)count);
        for (int i = 0; i < n; i++)
            sum[i] += v * vload(w + i * C + c, F32, (int)count);
    }
    for (int i = 0; i < n; i++)
        y[i] = vsum(sum[i]);
}

void ISA_NAME(dense)(Act act, const float *x, const float *w, const float *b, float *y, int64_t C, int64_t O)
{
    int64_t o = 0;
    for (; o + 4 <= O; o += 4)
        dots(x, w + o * C, C, 4, y + o);
    for (; o < O; o++)
        dots(x, w + o * C, C, 1, y + o);
    FOR_COLS(c, n, O)
    {
        V z = vload(y + c, F32, (int)n) + (b ? vload(b + c, F32, (int)n) : vset(0));
        vstore(y + c, F32, (int)n, vact(act, z));
    }
}

void ISA_NAME(row_sum)(const float *a, int64_t a_step, const float *rows, int64_t ld, int64_t n, float *y, int64_t cols)
{
    FOR_COLS(c, count, cols)
    {
        V s = { 0 }, t = { 0 };
        int64_t i = 0;
        for (; i + 2 <= n; i += 2) {
            s += a[i * a_step] * vload(rows + i * ld + c, F32, (int)count);
            t += a[(i + 1) * a_step] * vload(rows + (i + 1) * ld + c, F32, (int)count);
        }
        if (i < n) s += a[i * a_step] * vload(rows + i * ld + c, F32, (int)count);
        vstore(y + c, F32, (int)count, s + t);
    }
}
