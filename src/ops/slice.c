/* SPDX-License-Identifier: Apache-2.0
 *
 * slice - keep [lo, hi) along one dimension. Along channels the result is a view. grad: zeros around dy (pad). */
#include "ops/ops_util.h"

static Status infer(Infer *c)
{
    int64_t dim = attr_int(c->n, "dim"), lo = attr_int(c->n, "lo"), hi = attr_int(c->n, "hi");
    c->out[0] = c->in[0];
    if (dim < 0 || dim >= c->in[0].shape.rank || lo < 0 || lo >= hi || hi > c->in[0].shape.dim[dim])
        return infer_fail(c, "slice [%lld, %lld) of dimension %lld lies outside the tensor", (long long)lo,
                          (long long)hi, (long long)dim);
    c->out[0].shape.dim[dim] = hi - lo;
    return DYN_OK;
}

static void grad(Grad *c)
{
    int64_t dim = attr_int(c->n, "dim"), lo = attr_int(c->n, "lo");
    if (!c->dy[0].id) return;
    c->dx[0] = EMIT(c->g, pad, INS(c->dy[0]),
                    ATTRS(A_INT("dim", dim), A_INT("lo", lo),
                          A_INT("hi", value_dim(c->g, c->in[0], (int)dim) - attr_int(c->n, "hi"))));
}

static void ref(const RefCall *c)
{
    int64_t dim = attr_int(c->n, "dim");
    Tensor part = c->in[0];
    part.dim[dim] = c->out[0].dim[dim];
    part.data = (char *)part.data + (size_t)(attr_int(c->n, "lo") * part.stride[dim]) * dtype_bytes(part.dtype);
    for (int64_t k = 0, n = tensor_count(&part); k < n; k++)
        tensor_set(&c->out[0], k, tensor_get(&part, k));
}

static int64_t view(const Node *n, const Type *in, const Type *out, int k)
{
    return attr_int(n, "dim") == 1 ? attr_int(n, "lo") : -1;
}

const OpDef op_slice = { .name = "slice",
                         .doc = "a range of one dimension",
                         .in = "x",
                         .out = "y",
                         .attrs = "dim=1 lo=0 hi=1",
                         .view = view,
                         .infer = infer,
                         .grad = grad,
                         .ref = ref,
                         .cost = cost_nothing,
                         .cases = "x[2,6,3,3] dim=1 lo=0 hi=3\nx[1,5,2,2] dim=1 lo=4 hi=5\n" };
