/* SPDX-License-Identifier: Apache-2.0
 *
 * oneDNN behind a few functions: convolutions in three directions and the packing of their weights. Only onednn_util.c
 * knows its headers, and onednn_compat.h where its versions 2 and 3 differ. Implementations whose name begins with
 * "ref" are refused: they are 100 to 300 times slower than any other. */
#ifndef ONEDNN_UTIL_H
#define ONEDNN_UTIL_H

#include "base/dtype.h"

typedef struct Dnn Dnn;
Dnn *dnn_new(void); /* NULL when out of memory */
void dnn_free(Dnn **d);

/* One primitive with its memories; made while planning, run without allocating. */
typedef struct DnnOp DnnOp;

typedef enum DnnPass { DNN_FORWARD, DNN_DX, DNN_DW } DnnPass;

/* A convolution. Images are channels-last and dense. y, dy share a type, so do x, dx. pad_* are before the image;
 * behind it there is as much, or what ho and wo need where that is more. */
typedef struct DnnConv {
    DnnPass pass;
    int64_t n, c, h, w, o, ho, wo, kh, kw, stride, pad_h, pad_w, dilation, groups;
    DType x, y;
    bool bias, residual; /* forward only; y = act(conv + b) + res */
    const char *act;
} DnnConv;

/* NULL, and why not, when there is no implementation worth running. threads: the most it will use. */
DnnOp *dnn_conv(Dnn *d, const DnnConv *c, int threads, char *why, size_t why_size);
void dnn_op_free(DnnOp **op);

const char *dnn_impl(const DnnOp *op);     /* "onednn brgconv:avx512_core"; lives as long as op */
size_t dnn_scratch_bytes(const DnnOp *op); /* the primitive's own */
size_t dnn_packed_bytes(const DnnOp *op);  /* weights in the primitive's layout; 0 when the plain ones serve */
/* That layout as text, equal for equal ones; "" when it has none that can be told. Returns buf. */
char *dnn_packed_form(const DnnOp *op, char *buf, size_t n);

typedef struct DnnArgs {
    const void *x, *dy, *res;
    const void *w; /* packed, or plain when dnn_packed_bytes is 0 */
    const float *b;
    void *out; /* y, dx, or dw in the primitive's layout */
    void *scratch;
} DnnArgs;
Status dnn_run(DnnOp *op, const DnnArgs *a, Error *err);
/* Plain f32 [O,I,kh,kw] -> packed, and back (dw). */
Status dnn_pack(DnnOp *op, const float *plain, void *packed, Error *err);
Status dnn_unpack(DnnOp *op, const void *packed, float *plain, Error *err);
/* Where element [g,o,i,h,w] of a convolution's weights lies in the packed ones: the sum over its five dimensions of
 * what this says of index `at` of dimension `dim`, in elements (f32; bf16 where x or, for DNN_DX, y is). -1: the layout
 * is not of that kind. */
int64_t dnn_weight_at(const DnnOp *op, int dim, int64_t at);

#endif
