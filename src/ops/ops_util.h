/* SPDX-License-Identifier: Apache-2.0
 *
 * What the plain references share: element access by logical index, any dtype, any strides. Slow and obviously right.
 */
#ifndef OPS_UTIL_H
#define OPS_UTIL_H

#include "ops/ops.h"

static inline double load4(const Tensor *t, int64_t n, int64_t c, int64_t h, int64_t w)
{
    return dtype_load(t->data, t->dtype, n * t->stride[0] + c * t->stride[1] + h * t->stride[2] + w * t->stride[3]);
}

static inline void store4(Tensor *t, int64_t n, int64_t c, int64_t h, int64_t w, double v)
{
    dtype_store(t->data, t->dtype, n * t->stride[0] + c * t->stride[1] + h * t->stride[2] + w * t->stride[3], v);
}

/* Offset of the i-th element in row-major logical order. */
static inline int64_t offset_of(const Tensor *t, int64_t i)
{
    int64_t at = 0;
    for (int d = t->rank - 1; d >= 0; d--) {
        at += i % t->dim[d] * t->stride[d];
        i /= t->dim[d];
    }
    return at;
}

static inline double load_i(const Tensor *t, int64_t i)
{
    return dtype_load(t->data, t->dtype, offset_of(t, i));
}

static inline void store_i(Tensor *t, int64_t i, double v)
{
    dtype_store(t->data, t->dtype, offset_of(t, i), v);
}

/* Named activations of fused nodes (attribute act=): value and derivative at the pre-activation z. */
double act_value(const char *act, double z);
double act_slope(const char *act, double z);
bool act_known(const char *act);

/* The dtype of statistics, losses and parameter gradients: F32, but F64 when the operator runs in F64 (tests). */
static inline DType wide_dtype(DType x)
{
    return x == F64 ? F64 : F32;
}

static inline double count_of(const Type *t)
{
    return (double)shape_count(&t->shape);
}

#endif
