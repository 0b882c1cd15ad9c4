/* SPDX-License-Identifier: Apache-2.0
 *
 * pad - lo zeros before and hi zeros after x along one dimension. grad: the slice in between. */
#include "ops/ops_util.h"

static Status infer(Infer *c)
{
    int64_t dim = attr_int(c->n, "dim"), lo = attr_int(c->n, "lo"), hi = attr_int(c->n, "hi");
    c->out[0] = c->in[0];
    if (dim < 0 || dim >= c->in[0].shape.rank || lo < 0 || hi < 0)
        return infer_fail(c, "dim=%lld lo=%lld hi=%lld", (long long)dim, (long long)lo, (long long)hi);
    int64_t *size = &c->out[0].shape.dim[dim];
    if (__builtin_add_overflow(*size, lo, size) || __builtin_add_overflow(*size, hi, size))
        return infer_fail(c, "lo=%lld hi=%lld is too much", (long long)lo, (long long)hi);
    return DYN_OK;
}

static void grad(Grad *c)
{
    int64_t dim = attr_int(c->n, "dim"), lo = attr_int(c->n, "lo");
    if (!c->dy[0].id) return;
    c->dx[0] = EMIT(c->g, slice, INS(c->dy[0]),
                    ATTRS(A_INT("dim", dim), A_INT("lo", lo), A_INT("hi", lo + value_dim(c->g, c->in[0], (int)dim))));
}

static void ref(const RefCall *c)
{
    int64_t dim = attr_int(c->n, "dim"), lo = attr_int(c->n, "lo");
    const Tensor *x = &c->in[0];
    Tensor *y = &c->out[0], part = *y;
    for (int64_t k = 0, n = tensor_count(y); k < n; k++)
        tensor_set(y, k, 0);
    part.dim[dim] = x->dim[dim];
    part.data = (char *)part.data + (size_t)(lo * part.stride[dim]) * dtype_bytes(part.dtype);
    for (int64_t k = 0, n = tensor_count(x); k < n; k++)
        tensor_set(&part, k, tensor_get(x, k));
}

const OpDef op_pad = { .name = "pad",
                       .doc = "zeros around one dimension",
                       .in = "x",
                       .out = "y",
                       .attrs = "dim=1 lo=0 hi=0",
                       .infer = infer,
                       .grad = grad,
                       .ref = ref,
                       .cost = cost_nothing,
                       .cases = "x[2,3,2,2] dim=1 lo=2 hi=1\nx[1,2,3,3] dim=2 lo=0 hi=1\n" };
