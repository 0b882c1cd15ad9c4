/* SPDX-License-Identifier: Apache-2.0
 *
 * softmax - exp(x) over its sum along dim; the largest element is taken out first, so that nothing overflows. Backends
 * compute in f32 or wider. Gradient: y (dy - sum(dy y)). */
#include "ops/ops_util.h"

#include <math.h>

static Status check_dim(Infer *c)
{
    int64_t dim = attr_int(c->n, "dim");
    if (dim < 0 || dim >= c->in[0].shape.rank)
        return infer_fail(c, "dimension %lld of a rank-%d tensor", (long long)dim, c->in[0].shape.rank);
    return DYN_OK;
}

static Status infer(Infer *c)
{
    TRY(check_dim(c));
    return infer_like(c, 0);
}

static void grad(Grad *c)
{
    if (c->dy[0].id) c->dx[0] = graph_emit(c->g, op_softmax.also, INS(c->dy[0], c->out[0]), c->n->attr, c->n->n_attr);
}

/* The i-th line along dim as a rank-1 tensor. */
static Tensor line(const Tensor *t, int64_t dim, int64_t i)
{
    Tensor start = *t;
    start.dim[dim] = 1;
    char *data = (char *)t->data + (size_t)offset_of(&start, i) * dtype_bytes(t->dtype);
    return (Tensor) { data, t->dtype, 1, { t->dim[dim] }, { t->stride[dim] } };
}

static void ref(const RefCall *c)
{
    int64_t dim = attr_int(c->n, "dim"), D = c->in[0].dim[dim];
    for (int64_t i = 0, n = tensor_count(&c->in[0]) / D; i < n; i++) {
        Tensor x = line(&c->in[0], dim, i), y = line(&c->out[0], dim, i);
        double top = -INFINITY, sum = 0;
        for (int64_t k = 0; k < D; k++)
            top = MAX(top, load_i(&x, k));
        for (int64_t k = 0; k < D; k++)
            sum += exp(load_i(&x, k) - top);
        for (int64_t k = 0; k < D; k++)
            store_i(&y, k, exp(load_i(&x, k) - top) / sum);
    }
}

static Cost cost(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { 5 * count_of(&out[0]), 0 };
}

/* ---- softmax_grad: dy, y -> dx */

static Status infer_grad(Infer *c)
{
    TRY(check_dim(c));
    return infer_pair(c);
}

static void ref_grad(const RefCall *c)
{
    int64_t dim = attr_int(c->n, "dim"), D = c->in[0].dim[dim];
    for (int64_t i = 0, n = tensor_count(&c->in[0]) / D; i < n; i++) {
        Tensor dy = line(&c->in[0], dim, i), y = line(&c->in[1], dim, i), dx = line(&c->out[0], dim, i);
        double dot = 0;
        for (int64_t k = 0; k < D; k++)
            dot += load_i(&dy, k) * load_i(&y, k);
        for (int64_t k = 0; k < D; k++)
            store_i(&dx, k, load_i(&y, k) * (load_i(&dy, k) - dot));
    }
}

static Cost cost_grad(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { 4 * count_of(&out[0]), 0 };
}

static const OpDef op_softmax_grad = { .name = "softmax_grad",
                                       .doc = "gradient of softmax",
                                       .in = "dy y",
                                       .out = "dx",
                                       .attrs = "dim=1",
                                       .flags = OP_INPLACE,
                                       .infer = infer_grad,
                                       .ref = ref_grad,
                                       .cost = cost_grad };
const OpDef op_softmax = { .name = "softmax",
                           .doc = "normalised exponentials along a dimension",
                           .in = "x",
                           .out = "y",
                           .attrs = "dim=1",
                           .flags = OP_INPLACE,
                           .infer = infer,
                           .grad = grad,
                           .ref = ref,
                           .cost = cost,
                           .also = &op_softmax_grad,
                           .cases = "x[3,5,3,7]\nx[1,3,4,5] dim=3\nx[3,4] dim=0\nx[1,17] dim=1\n" };
