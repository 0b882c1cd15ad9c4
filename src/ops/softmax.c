/* SPDX-License-Identifier: Apache-2.0
 *
 * softmax - exp(x) over its sum along dim, or with space=1 over all positions of each channel of an image (dim is not
 * read then); the largest element is taken out first, so that nothing overflows. Backends compute in f32 or wider. Over
 * space, x should be f32 also in a bf16 program: 1/S of a large map is lost beside an attention peak otherwise.
 * Gradient: y (dy - sum(dy y)). */
#include "ops/ops_util.h"

#include <math.h>

static Status check_dim(Infer *c)
{
    int64_t dim = attr_int(c->n, "dim");
    if (attr_int(c->n, "space")) return c->in[0].shape.rank == 4 ? DYN_OK : infer_fail(c, "space=1 wants x[N,C,H,W]");
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

/* What is normalised together: line i of x, as a tensor of rank 2. Dimensions [first, last]: one, or H and W. */
typedef struct Lines {
    int first, last;
    int64_t count, length;
} Lines;

static Lines lines_of(const Node *n, const Tensor *x)
{
    int dim = (int)attr_int(n, "dim");
    Lines l = attr_int(n, "space") ? (Lines) { .first = 2, .last = 3 } : (Lines) { .first = dim, .last = dim };
    l.length = x->dim[l.first] * (l.last > l.first ? x->dim[l.last] : 1);
    l.count = tensor_count(x) / l.length;
    return l;
}

static Tensor line(const Tensor *t, const Lines *l, int64_t i)
{
    Tensor start = *t;
    for (int d = l->first; d <= l->last; d++)
        start.dim[d] = 1;
    char *data = (char *)t->data + (size_t)tensor_offset(&start, i) * dtype_bytes(t->dtype);
    return (Tensor) { data,
                      t->dtype,
                      l->last - l->first + 1,
                      { t->dim[l->first], t->dim[l->last] },
                      { t->stride[l->first], t->stride[l->last] } };
}

static void ref(const RefCall *c)
{
    Lines l = lines_of(c->n, &c->in[0]);
    for (int64_t i = 0; i < l.count; i++) {
        Tensor x = line(&c->in[0], &l, i), y = line(&c->out[0], &l, i);
        double top = -INFINITY, sum = 0;
        for (int64_t k = 0; k < l.length; k++)
            top = MAX(top, tensor_get(&x, k));
        for (int64_t k = 0; k < l.length; k++)
            sum += exp(tensor_get(&x, k) - top);
        for (int64_t k = 0; k < l.length; k++)
            tensor_set(&y, k, exp(tensor_get(&x, k) - top) / sum);
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
    Lines l = lines_of(c->n, &c->in[0]);
    for (int64_t i = 0; i < l.count; i++) {
        Tensor dy = line(&c->in[0], &l, i), y = line(&c->in[1], &l, i), dx = line(&c->out[0], &l, i);
        double dot = 0;
        for (int64_t k = 0; k < l.length; k++)
            dot += tensor_get(&dy, k) * tensor_get(&y, k);
        for (int64_t k = 0; k < l.length; k++)
            tensor_set(&dx, k, tensor_get(&y, k) * (tensor_get(&dy, k) - dot));
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
                                       .attrs = "dim=1 space=0",
                                       .flags = OP_INPLACE,
                                       .infer = infer_grad,
                                       .ref = ref_grad,
                                       .cost = cost_grad };
const OpDef op_softmax = {
    .name = "softmax",
    .doc = "normalised exponentials along a dimension or over space",
    .in = "x",
    .out = "y",
    .attrs = "dim=1 space=0",
    .flags = OP_INPLACE,
    .infer = infer,
    .grad = grad,
    .ref = ref,
    .cost = cost,
    .also = &op_softmax_grad,
    .cases = "x[3,5,3,7]\nx[1,3,4,5] dim=3\nx[3,4] dim=0\nx[1,17] dim=1\nx[2,5,3,4] space=1\nx[1,3,1,7] space=1\n"
};
