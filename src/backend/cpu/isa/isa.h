/* SPDX-License-Identifier: Apache-2.0
 *
 * Vector code: every file of this folder is compiled once per level (the Makefile's ISAS), and the functions listed
 * here end up in one table per level. Written once over the vector vocabulary of vec.h. Each works on a block of rows
 * and is called by one thread at a time; the kernels above cut the work.
 *
 * To add one: a row in ISA_FUNCTIONS and its body `RET ISA_NAME(name)(...)` in a file here. */
#ifndef ISA_H
#define ISA_H

#include "base/dtype.h"

/* Rows of elements, ld apart from row to row (0: the same row again). splat: one element stands for the whole row. */
typedef struct Block {
    const void *data;
    int64_t ld;
    DType dtype; /* F32 or BF16; sources of map also U8 */
    bool splat;
} Block;

/* X(enumerator, the name that attribute act= uses) */
#define ACT_MAP(X)                                                                                                     \
    X(NONE, "none")                                                                                                    \
    X(SILU, "silu")                                                                                                    \
    X(RELU, "relu")                                                                                                    \
    X(SIGMOID, "sigmoid")                                                                                              \
    X(LEAKY_RELU, "leaky_relu")                                                                                        \
    X(HARDSWISH, "hardswish")                                                                                          \
    X(GELU, "gelu")                                                                                                    \
    X(TANH, "tanh")                                                                                                    \
    X(MISH, "mish")                                                                                                    \
    /* slope from the result y instead of z; no value */                                                               \
    X(SIGMOID_Y, "")                                                                                                   \
    X(TANH_Y, "")
typedef enum Act {
#define X(name, text) ACT_##name,
    ACT_MAP(X)
#undef X
        N_ACT
} Act;

typedef enum ZipOp { ZIP_ADD, ZIP_SUB, ZIP_MUL, ZIP_DIV, N_ZIP_OP } ZipOp;

/* What a batchnorm applies: y = act(gamma * (x - mean) * rstd + beta), C values each. */
typedef struct Norm {
    const float *mean, *rstd, *gamma, *beta;
    Act act;
} Norm;

#include "backend/cpu/isa/conv.h"
#include "backend/cpu/isa/conv_dw.h"
#include "backend/cpu/isa/mix.h"
#include "backend/cpu/isa/mix_grad.h"
#include "backend/cpu/isa/pack.h"
#include "backend/cpu/isa/sample.h"
#include "backend/cpu/isa/subpixel.h"

/* Floats that mix_rows and outer_sums convert into; their short rows have at most a quarter of it. */
enum { ATTENTION_BUFFER = 4096 };

/* X(return type, name, parameters) */
#define ISA_FUNCTIONS(X)                                                                                               \
    /* y = act(scale x + shift); types may differ */                                                                   \
    X(void, map, (Act act, float scale, float shift, Block x, Block y, int64_t rows, int64_t cols))                    \
    /* dx = dy * act'(x) */                                                                                            \
    X(void, map_grad, (Act act, Block dy, Block x, Block dx, int64_t rows, int64_t cols))                              \
    /* y = a op b */                                                                                                   \
    X(void, zip, (ZipOp op, Block a, Block b, Block y, int64_t rows, int64_t cols))                                    \
    /* y = maximum, or sum, of n blocks that start at src[i], rows ld apart; a NaN wins */                             \
    X(void, max_of, (const void *const *src, int n, int64_t ld, Block y, int64_t rows, int64_t cols))                  \
    X(void, sum_of, (const void *const *src, int n, int64_t ld, Block y, int64_t rows, int64_t cols))                  \
    /* which of n single rows holds each column's maximum; the first of equals, a NaN wins */                          \
    X(void, max_which, (const void *const *src, int n, DType t, int32_t *which, int64_t cols))                         \
    /* sum[C] += column sums: f32 within a few hundred rows, F64 across */                                             \
    X(void, column_sums, (Block x, int64_t rows, int64_t cols, double *sum))                                           \
    /* mean[C], m2[C]: mean and summed squared distance from it over these rows */                                     \
    X(void, moments, (Block x, int64_t rows, int64_t cols, double *mean, double *m2))                                  \
    /* y = the Norm of x, + res (data NULL: none) */                                                                   \
    X(void, norm, (const Norm *p, Block x, Block res, Block y, int64_t rows, int64_t cols))                            \
    /* dz = dy * act'(z): sums of dz and dz * xhat, added to */                                                        \
    X(void, norm_grad_sums, (const Norm *p, Block dy, Block x, int64_t rows, int64_t cols, double *dz, double *dzx))   \
    /* dx = gamma rstd (dz - m_dz - xhat * m_dzx) */                                                                   \
    X(void, norm_grad,                                                                                                 \
      (const Norm *p, Block dy, Block x, const float *m_dz, const float *m_dzx, Block dx, int64_t rows, int64_t cols)) \
    /* softmax over each row */                                                                                        \
    X(void, softmax, (Block x, Block y, int64_t rows, int64_t cols))                                                   \
    /* dx = y (dy - sum(dy y)) for each row */                                                                         \
    X(void, softmax_grad, (Block dy, Block y, Block dx, int64_t rows, int64_t cols))                                   \
    /* softmax down columns: tops raised, sums of e^(x - top) added to, y = scale e^(x - top) */                       \
    X(void, column_tops, (Block x, int64_t rows, int64_t cols, float *top))                                            \
    X(void, exp_sums, (Block x, const float *top, int64_t rows, int64_t cols, double *sum))                            \
    X(void, exp_times, (Block x, const float *top, const float *scale, Block y, int64_t rows, int64_t cols))           \
    /* its gradient: sums of a b added to, dx = y (dy - dot) */                                                        \
    X(void, dot_sums, (Block a, Block b, int64_t rows, int64_t cols, double *sum))                                     \
    X(void, less_dot, (Block dy, Block y, const float *dot, Block dx, int64_t rows, int64_t cols))                     \
    /* y [rows,cols] = v [rows,m] g [m,cols] + res (data NULL: none), g with rows ldg apart, readable to a whole       \
     * vector behind cols; buf: ATTENTION_BUFFER floats, read only when v is BF16 */                                   \
    X(void, mix_rows,                                                                                                  \
      (Block v, const float *g, int64_t ldg, int64_t m, Block res, Block y, int64_t rows, int64_t cols, float *buf))   \
    /* sum [m,cols] += over rows of b[r,:] a[r,:]; buf as above, for b */                                              \
    X(void, outer_sums, (Block a, Block b, int64_t rows, int64_t cols, int64_t m, double *sum, float *buf))            \
    /* e[i, s] = expectation of the bin number under softmax of bins s*bins .. of row i; four sides */                 \
    X(void, expectation, (Block x, int64_t bins, int64_t rows, float *e))                                              \
    /* y = sigmoid(x), and the largest of each row */                                                                  \
    X(void, sigmoid_max, (Block x, Block y, int64_t rows, int64_t cols, float *score))                                 \
    /* sum of w log(1 + e^x); w[cols] is a column's factor, NULL: 1 */                                                 \
    X(double, softplus_sum, (Block x, const float *w, int64_t rows, int64_t cols))                                     \
    /* y = scale * w * sigmoid(x), w as above */                                                                       \
    X(void, sigmoid_times, (float scale, const float *w, Block x, Block y, int64_t rows, int64_t cols))                \
    /* iou[i]: plain overlap of box i = (box[0][i], .. box[3][i]) xyxy with one box */                                 \
    X(void, iou_of, (const float *const box[4], const float one[4], int64_t n, float *iou))                            \
    X(ConvForm, conv_form, (DType x))                                                                                  \
    /* output pixels [lo, hi), counted through rows and images, of the outputs of panels [p0, p1), and their moments;  \
     * scratch of conv_bytes, which depends on the geometry alone */                                                   \
    X(size_t, conv_bytes, (const ConvJob *j))                                                                          \
    X(void, conv, (const ConvJob *j, int64_t lo, int64_t hi, int64_t p0, int64_t p1, void *scratch))                   \
    /* the same for f32 and 3x3, 2x2 pixels at a time: tiles [lo, hi); scratch of winograd_bytes */                    \
    X(size_t, winograd_bytes, (int64_t C))                                                                             \
    X(void, winograd, (const ConvJob *j, int64_t lo, int64_t hi, int64_t p0, int64_t p1, void *scratch))               \
    /* steps [lo, hi) of panel p of packed weights */                                                                  \
    X(void, pack, (const PackJob *j, int64_t p, int64_t lo, int64_t hi))                                               \
    /* sum, like packed weights, += the transformed weights' gradient from tiles [lo, hi) of x and dy (in y) */        \
    X(void, winograd_dw,                                                                                               \
      (const ConvJob *j, int64_t lo, int64_t hi, int64_t p0, int64_t p1, float *sum, void *scratch))                   \
    /* weights' gradient of bf16 by tiles, where the level has them: that of output rows [lo, hi), not none, and       \
     * blocks of outputs [o0, o1) to sum */                                                                            \
    X(bool, conv_dw_here, (void))                                                                                      \
    X(void, conv_dw, (const ConvDw *j, int64_t lo, int64_t hi, int64_t o0, int64_t o1, float *sum, void *scratch))     \
    /* outputs [lo, hi) of dw [O,C,kh,kw], the sum of n sums, `apart` floats each */                                   \
    X(void, conv_dw_add, (const ConvDw *j, const float *sum, int n, int64_t apart, int64_t lo, int64_t hi, float *dw)) \
    /* the floats (bf16: pairs) [lo, hi) of a mixture without factors, from whole vectors to whole vectors */          \
    X(void, mix, (const MixJob *j, int64_t lo, int64_t hi))                                                            \
    /* blocks [lo, hi) of a mixture: with factors; f32 3x3 weights as winograd wants them, from taps inside */         \
    X(void, mix_scaled, (const MixJob *j, int64_t lo, int64_t hi))                                                     \
    X(void, mix_winograd, (const MixJob *j, int64_t lo, int64_t hi))                                                   \
    /* outputs [lo, hi) of the gradients of a bank, of its shares and scales */                                        \
    X(void, mix_grad, (const MixGrad *j, int64_t lo, int64_t hi))                                                      \
    /* y[O] = act(w x + b), w [O][C]; y[cols] = sum of a[i a_step] rows[i] over n rows, ld apart; all f32 */           \
    X(void, dense, (Act act, const float *x, const float *w, const float *b, float *y, int64_t C, int64_t O))          \
    X(void, row_sum,                                                                                                   \
      (const float *a, int64_t a_step, const float *rows, int64_t ld, int64_t n, float *y, int64_t cols))              \
    /* upsampling at learned offsets: rows [lo, hi) of x, counted through images */                                    \
    X(void, sample, (const SampleJob *j, int64_t lo, int64_t hi))                                                      \
    /* its gradient for groups [lo, hi) of an image */                                                                 \
    X(void, sample_grad, (const SampleJob *j, int64_t image, int64_t lo, int64_t hi))                                  \
    /* 1x1 convolutions of sub-pixels */                                                                               \
    X(void, subpixel, (const SubpixelJob *j, Block x, Block y, int64_t rows))                                          \
    X(void, subpixel_dx, (const SubpixelJob *j, Block dy, Block dx, int64_t rows))                                     \
    /* sum[O][C] += over rows, for inputs [lo, hi) of the C */                                                         \
    X(void, subpixel_dw, (const SubpixelJob *j, Block dy, Block x, int64_t rows, int64_t lo, int64_t hi, double *sum))

typedef struct Isa {
    const char *name;
#define X(ret, fn, params) ret(*fn) params;
    ISA_FUNCTIONS(X)
#undef X
} Isa;

#ifdef ISA
#define ISA_PASTE_(a, b) a##_##b
#define ISA_PASTE(a, b) ISA_PASTE_(a, b)
#define ISA_NAME(f) ISA_PASTE(ISA, f)
#define X(ret, fn, params) ret ISA_NAME(fn) params;
ISA_FUNCTIONS(X)
#undef X
#endif

#endif
