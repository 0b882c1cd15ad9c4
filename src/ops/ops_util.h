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

/* Named activations of fused nodes (attribute act=): value and derivative at the pre-activation z. Known: none, silu,
 * relu, sigmoid, leaky_relu (slope 0.01), hardswish, gelu (erf), tanh, mish. */
double act_value(const char *act, double z);
double act_slope(const char *act, double z);
/* Operations per element that an activation counts for: see Cost.flops. */
double act_flops(const char *act);

/* The dtype of statistics, losses and parameter gradients: F32, but F64 when the operator runs in F64 (tests). */
static inline DType wide_dtype(DType x)
{
    return x == F64 ? F64 : F32;
}

static inline double count_of(const Type *t)
{
    return (double)shape_count(&t->shape);
}

/* ---- elementwise operators ---------------------------------------------------------------------------------- */

/* The result has the type of the given input; of the first one. */
Status infer_like(Infer *c, int input);
Status infer_same(Infer *c);
/* The same for a gradient: input 0, dy, must have the shape of input 1, whose type the result has. */
Status infer_pair(Infer *c);
/* y = f(x) */
void ref_unary(const RefCall *c, double (*f)(double v));
/* dx = dy * slope(v), for inputs dy, v. */
void ref_slope(const RefCall *c, double (*slope)(double v));

/* Operators that compute nothing, and those with one operation for each element of their result. */
Cost cost_nothing(const Node *n, const Type *in, const Type *out);
Cost cost_of_result(const Node *n, const Type *in, const Type *out);

/* Two operands of equal rank; a dimension of size 1 is repeated to fit the other. y has the dtype of a. */
Status infer_binary(Infer *c);
void ref_binary(const RefCall *c, double (*f)(double a, double b));
/* d, a gradient of the shape of the result, summed over what was repeated of input i, in that input's type. Emits
 * nothing where the nominal types leave no doubt that there is nothing to do: a leading 1 may be an unbound batch. */
Value sum_like(Grad *c, Value d, int i);

/* Sum over the dimensions in which y has size 1 and x more, for the i-th element of y (same rank). */
double sum_block(const Tensor *x, const Tensor *y, int64_t i);
/* t seen with the dimensions of like, where t has size 1 repeating its element. */
Tensor repeated(const Tensor *t, const Tensor *like);

/* The integers of a text attribute such as "8,16,32" (or of a plain integer): how many; -1 when it is none or more than
 * max. */
int attr_list(const Node *n, const char *name, int64_t *list, int max);

/* Reductions over the dimensions that attribute dims lists, with attribute keep: the type of y, and y seen with the
 * rank of x, size 1 where it was reduced. */
Status infer_reduce(Infer *c);
Status infer_reduce_grad(Infer *c); /* inputs dy, x */
Tensor kept(const Node *n, const Tensor *y, const Tensor *x);

/* ---- operators that are a named activation (silu, relu, ...) --------------------------------------------------- */

/* The activation is the operator's name; its companion NAME_grad, OpDef.also, takes dy and x, or dy and y where y tells
 * the slope. */
void act_op_grad(Grad *c);
void act_op_ref(const RefCall *c);
Cost act_op_cost(const Node *n, const Type *in, const Type *out);
void act_op_grad_ref(const RefCall *c);
Cost act_op_grad_cost(const Node *n, const Type *in, const Type *out);

#endif
