/* SPDX-License-Identifier: Apache-2.0
 *
 * Loops of a detector's loss: cross entropy over all anchors and classes, its gradient, overlaps with one target. */
#include "backend/cpu/isa/vec.h"

/* log(1 + u) for 0 <= u <= 1 through 2 artanh(u / (2 + u)), relative error below 2e-7: small u keep their precision. */
INLINE V vlog1p_unit(V u)
{
    V s = u * vrecip(u + 2.0f), q = s * s;
    V p = vset(1.0f / 13) * q + 1.0f / 11;
    p = p * q + 1.0f / 9;
    p = p * q + 1.0f / 7;
    p = p * q + 1.0f / 5;
    p = p * q + 1.0f / 3;
    p = p * q + 1.0f;
    return 2.0f * s * p;
}

INLINE V vsoftplus(V x)
{
    return vmax(x, vset(0)) + vlog1p_unit(vexp(-vmax(x, -x)));
}

/* w is NULL or not where this is inlined: without weights nothing is multiplied. */
INLINE double softplus_rows(const Block *x, DType t, const float *w, int64_t rows, int64_t cols)
{
    int64_t bytes = t == F32 ? 4 : 2;
    double sum = 0;
    for (int64_t r = 0; r < rows; r++) {
        const char *p = block_row(x, r, bytes);
        V part = { 0 };
        int64_t c = 0;
        for (; c + VL <= cols; c += VL) {
            V v = vsoftplus(vload(p + c * bytes, t, VL));
            part += w ? v * vload(w + c, F32, VL) : v;
        }
        if (c < cols) {
            V v = vsoftplus(vload(p + c * bytes, t, (int)(cols - c)));
            if (w) v *= vload(w + c, F32, (int)(cols - c));
            for (int i = 0; i < cols - c; i++)
                part[i] += v[i];
        }
        sum += (double)vsum(part);
    }
    return sum;
}

double ISA_NAME(softplus_sum)(Block x, const float *w, int64_t rows, int64_t cols)
{
    double sum;
    if (w)
        FOR_TYPE(x.dtype, t, sum = softplus_rows(&x, t, w, rows, cols));
    else
        FOR_TYPE(x.dtype, t, sum = softplus_rows(&x, t, NULL, rows, cols));
    return sum;
}

INLINE void sigmoid_times_rows(float scale, const float *w, const Block *x, const Block *y, DType t, DType u,
                               int64_t rows, int64_t cols)
{
    int64_t bytes = t == F32 ? 4 : 2, size = u == F32 ? 4 : 2;
    for (int64_t r = 0; r < rows; r++) {
        const char *p = block_row(x, r, bytes);
        char *q = (char *)block_row(y, r, size);
        FOR_COLS(c, n, cols)
        {
            V v = scale * vsigmoid_as(vload(p + c * bytes, t, (int)n), F32);
            vstore(q + c * size, u, (int)n, w ? v * vload(w + c, F32, (int)n) : v);
        }
    }
}

void ISA_NAME(sigmoid_times)(float scale, const float *w, Block x, Block y, int64_t rows, int64_t cols)
{
    if (w)
        FOR_TYPE(x.dtype, t, FOR_TYPE(y.dtype, u, sigmoid_times_rows(scale, w, &x, &y, t, u, rows, cols)));
    else
        FOR_TYPE(x.dtype, t, FOR_TYPE(y.dtype, u, sigmoid_times_rows(scale, NULL, &x, &y, t, u, rows, cols)));
}

void ISA_NAME(iou_of)(const float *const box[4], const float one[4], int64_t n, float *iou)
{
    V x1 = vset(one[0]), y1 = vset(one[1]), x2 = vset(one[2]), y2 = vset(one[3]), area = (x2 - x1) * (y2 - y1);
    FOR_COLS(i, m, n)
    {
        V a1 = vload(box[0] + i, F32, (int)m), b1 = vload(box[1] + i, F32, (int)m);
        V a2 = vload(box[2] + i, F32, (int)m), b2 = vload(box[3] + i, F32, (int)m);
        V w = vmin(a2, x2) - vmax(a1, x1), h = vmin(b2, y2) - vmax(b1, y1);
        V inter = vmax(w, vset(0)) * vmax(h, vset(0));
        vstore(iou + i, F32, (int)m, inter / ((a2 - a1) * (b2 - b1) + area - inter + 1e-7f));
    }
}
