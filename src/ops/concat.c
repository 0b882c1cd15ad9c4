/* SPDX-License-Identifier: Apache-2.0
 *
 * concat - inputs side by side along dim, in order. Along channels the planner lets producers write in place. */
#include "ops/ops_util.h"

static Status infer(Infer *c)
{
    int64_t dim = attr_int(c->n, "dim");
    Type t = c->in[0];
    if (dim < 0 || dim >= t.shape.rank)
        return infer_fail(c, "dimension %lld of a rank-%d tensor", (long long)dim, t.shape.rank);
    for (int i = 1; i < c->n->n_in; i++) {
        const Shape *s = &c->in[i].shape;
        for (int d = 0; d < t.shape.rank; d++)
            if (s->rank != t.shape.rank || (d != dim && s->dim[d] != t.shape.dim[d])) {
                char a[96], b[96];
                return infer_fail(c, "input %d is %s, input 0 is %s; all but dimension %lld must agree", i,
                                  shape_text(s, a, sizeof a), shape_text(&c->in[0].shape, b, sizeof b), (long long)dim);
            }
        t.shape.dim[dim] += s->dim[dim];
    }
    c->out[0] = t;
    return DYN_OK;
}

static void grad(Grad *c)
{
    int64_t dim = attr_int(c->n, "dim"), at = 0;
    if (!c->dy[0].id) return;
    for (int i = 0; i < c->n->n_in; i++) {
        int64_t size = value_dim(c->g, c->in[i], (int)dim);
        if (c->need[i])
            c->dx[i] =
                EMIT(c->g, slice, INS(c->dy[0]), ATTRS(A_INT("dim", dim), A_INT("lo", at), A_INT("hi", at + size)));
        at += size;
    }
}

static void ref(const RefCall *c)
{
    int64_t dim = attr_int(c->n, "dim"), at = 0;
    for (int i = 0; i < c->n->n_in; i++) {
        Tensor part = c->out[0];
        part.dim[dim] = c->in[i].dim[dim];
        part.data = (char *)part.data + (size_t)(at * part.stride[dim]) * dtype_bytes(part.dtype);
        at += part.dim[dim];
        for (int64_t k = 0, n = tensor_count(&part); k < n; k++)
            tensor_set(&part, k, tensor_get(&c->in[i], k));
    }
}

const OpDef op_concat = { .name = "concat",
                          .doc = "inputs side by side",
                          .in = "x*",
                          .out = "y",
                          .attrs = "dim=1",
                          .flags = OP_GATHER,
                          .infer = infer,
                          .grad = grad,
                          .ref = ref,
                          .cost = cost_nothing,
                          .cases = "x[2,3,4,4] x[2,5,4,4] dim=1\nx[1,2,3,3] x[1,1,3,3] x[1,4,3,3] x[1,1,3,3] dim=1\n" };
