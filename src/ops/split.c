/* SPDX-License-Identifier: Apache-2.0
 *
 * split - n_out equal ranges of dimension dim, in order: how C2f halves its channels. One operator with several
 * results, so that its gradient is a concat and not a sum of padded pieces. Along channels the results are views. */
#include "ops/ops_util.h"

static Status infer(Infer *c)
{
    int64_t dim = attr_int(c->n, "dim"), parts = attr_int(c->n, "n_out");
    Type t = c->in[0];
    if (dim < 0 || dim >= t.shape.rank)
        return infer_fail(c, "dimension %lld of a rank-%d tensor", (long long)dim, t.shape.rank);
    if (t.shape.dim[dim] % parts)
        return infer_fail(c, "%lld does not divide into %lld equal parts", (long long)t.shape.dim[dim],
                          (long long)parts);
    t.shape.dim[dim] /= parts;
    for (int i = 0; i < c->n->n_out; i++)
        c->out[i] = t;
    return DYN_OK;
}

static void grad(Grad *c)
{
    Value part[64];
    for (int i = 0; i < c->n->n_out; i++) {
        part[i] = c->dy[i];
        if (!part[i].id) part[i] = EMIT(c->g, zeros_like, INS(value_at(c->out[0], i)), NO_ATTRS);
    }
    c->dx[0] = EMIT(c->g, concat, part, c->n->n_out, ATTRS(A_INT("dim", attr_int(c->n, "dim"))));
}

static void ref(const RefCall *c)
{
    int64_t dim = attr_int(c->n, "dim");
    for (int i = 0; i < c->n->n_out; i++) {
        Tensor part = c->in[0];
        part.dim[dim] = c->out[i].dim[dim];
        part.data = (char *)part.data + (size_t)(i * part.dim[dim] * part.stride[dim]) * dtype_bytes(part.dtype);
        for (int64_t k = 0, n = tensor_count(&part); k < n; k++)
            tensor_set(&c->out[i], k, tensor_get(&part, k));
    }
}

static int64_t view(const Node *n, const Type *in, const Type *out, int k)
{
    return attr_int(n, "dim") == 1 ? k * out[k].shape.dim[1] : -1;
}

const OpDef op_split = { .name = "split",
                         .doc = "equal ranges of one dimension",
                         .in = "x",
                         .out = "y*",
                         .attrs = "n_out=2 dim=1",
                         .view = view,
                         .infer = infer,
                         .grad = grad,
                         .ref = ref,
                         .cost = cost_nothing,
                         .cases = "x[2,6,3,3] n_out=2 dim=1\nx[1,6,2,5] n_out=3 dim=1\n" };
