/* SPDX-License-Identifier: Apache-2.0
 *
 * Elementwise loops: activations, their gradients, arithmetic, maxima. */
#include "backend/cpu/isa/vec.h"

INLINE void map_rows(Act act, float scale, float shift, const Block *x, const Block *y, DType tx, DType ty,
                     int64_t rows, int64_t cols)
{
    int64_t bx = tx == F32 ? 4 : tx == U8 ? 1 : 2, by = ty == F32 ? 4 : 2;
    for (int64_t r = 0; r < rows; r++) {
        const char *p = block_row(x, r, bx);
        char *q = (char *)block_row(y, r, by);
        int64_t c = 0;
        for (; c + VL <= cols; c += VL)
            vstore(q + c * by, ty, VL, vact(act, vload(p + c * bx, tx, VL) * scale + shift));
        if (c < cols)
            vstore(q + c * by, ty, (int)(cols - c), vact(act, vload(p + c * bx, tx, (int)(cols - c)) * scale + shift));
    }
}

void ISA_NAME(map)(Act act, float scale, float shift, Block x, Block y, int64_t rows, int64_t cols)
{
    if (x.dtype == U8)
        FOR_TYPE(y.dtype, ty, map_rows(ACT_NONE, scale, shift, &x, &y, U8, ty, rows, cols));
    else
        FOR_ACT(act, a,
                FOR_TYPE(x.dtype, tx, FOR_TYPE(y.dtype, ty, map_rows(a, scale, shift, &x, &y, tx, ty, rows, cols))));
}

INLINE void grad_rows(Act act, const Block *dy, const Block *x, const Block *dx, DType t, int64_t rows, int64_t cols)
{
    int64_t bytes = t == F32 ? 4 : 2;
    for (int64_t r = 0; r < rows; r++) {
        const char *p = block_row(dy, r, bytes), *q = block_row(x, r, bytes);
        char *o = (char *)block_row(dx, r, bytes);
        int64_t c = 0;
        for (; c + VL <= cols; c += VL)
            vstore(o + c * bytes, t, VL, vload(p + c * bytes, t, VL) * vact_slope(act, vload(q + c * bytes, t, VL)));
        if (c < cols) {
            int n = (int)(cols - c);
            vstore(o + c * bytes, t, n, vload(p + c * bytes, t, n) * vact_slope(act, vload(q + c * bytes, t, n)));
        }
    }
}

void ISA_NAME(map_grad)(Act act, Block dy, Block x, Block dx, int64_t rows, int64_t cols)
{
    FOR_ACT(act, a, FOR_TYPE(x.dtype, t, grad_rows(a, &dy, &x, &dx, t, rows, cols)));
}

INLINE V zip1(ZipOp op, V a, V b)
{
    return op == ZIP_ADD ? a + b : op == ZIP_SUB ? a - b : op == ZIP_MUL ? a * b : a / b;
}

INLINE void zip_rows(ZipOp op, const Block *a, const Block *b, const Block *y, DType t, bool sa, bool sb, int64_t rows,
                     int64_t cols)
{
    int64_t bytes = t == F32 ? 4 : 2;
    for (int64_t r = 0; r < rows; r++) {
        const char *p = block_row(a, r, bytes), *q = block_row(b, r, bytes);
        char *o = (char *)block_row(y, r, bytes);
        V pa = vset(sa ? load1(p, t) : 0), pb = vset(sb ? load1(q, t) : 0);
        FOR_COLS(c, n, cols)
        {
            V u = sa ? pa : vload(p + c * bytes, t, (int)n), v = sb ? pb : vload(q + c * bytes, t, (int)n);
            vstore(o + c * bytes, t, (int)n, zip1(op, u, v));
        }
    }
}

INLINE void zip_op(ZipOp op, const Block *a, const Block *b, const Block *y, int64_t rows, int64_t cols)
{
    if (a->splat)
        FOR_TYPE(y->dtype, t, zip_rows(op, a, b, y, t, true, false, rows, cols));
    else if (b->splat)
        FOR_TYPE(y->dtype, t, zip_rows(op, a, b, y, t, false, true, rows, cols));
    else
        FOR_TYPE(y->dtype, t, zip_rows(op, a, b, y, t, false, false, rows, cols));
}

void ISA_NAME(zip)(ZipOp op, Block a, Block b, Block y, int64_t rows, int64_t cols)
{
    switch (op) {
    case ZIP_ADD: zip_op(ZIP_ADD, &a, &b, &y, rows, cols); break;
    case ZIP_SUB: zip_op(ZIP_SUB, &a, &b, &y, rows, cols); break;
    case ZIP_MUL: zip_op(ZIP_MUL, &a, &b, &y, rows, cols); break;
    default: zip_op(ZIP_DIV, &a, &b, &y, rows, cols); break;
    }
}

INLINE void of_rows(bool sum, const void *const *src, int n_src, int64_t ld, const Block *y, DType t, int64_t rows,
                    int64_t cols)
{
    int64_t bytes = t == F32 ? 4 : 2;
    for (int64_t r = 0; r < rows; r++)
        FOR_COLS(c, n, cols)
        {
            int64_t at = (r * ld + c) * bytes;
            V top = vload((const char *)src[0] + at, t, (int)n);
            for (int i = 1; i < n_src; i++) {
                V v = vload((const char *)src[i] + at, t, (int)n);
                top = sum ? top + v : vselect((v > top) | (v != v), v, top);
            }
            vstore((char *)block_row(y, r, bytes) + c * bytes, t, (int)n, top);
        }
}

void ISA_NAME(max_of)(const void *const *src, int n, int64_t ld, Block y, int64_t rows, int64_t cols)
{
    FOR_TYPE(y.dtype, t, of_rows(false, src, n, ld, &y, t, rows, cols));
}

void ISA_NAME(sum_of)(const void *const *src, int n, int64_t ld, Block y, int64_t rows, int64_t cols)
{
    FOR_TYPE(y.dtype, t, of_rows(true, src, n, ld, &y, t, rows, cols));
}

INLINE void which_row(const void *const *src, int n_src, DType t, int32_t *which, int64_t cols)
{
    int64_t bytes = t == F32 ? 4 : 2;
    FOR_COLS(c, n, cols)
    {
        V top = vload((const char *)src[0] + c * bytes, t, (int)n);
        VI at = { 0 };
        for (int i = 1; i < n_src; i++) {
            V v = vload((const char *)src[i] + c * bytes, t, (int)n);
            VI better = (v > top) | (v != v);
            top = vselect(better, v, top);
            at = (better & i) | (~better & at);
        }
        memcpy(which + c, &at, 4 * (size_t)n);
    }
}

void ISA_NAME(max_which)(const void *const *src, int n, DType type, int32_t *which, int64_t cols)
{
    FOR_TYPE(type, t, which_row(src, n, t, which, cols));
}
