/* SPDX-License-Identifier: Apache-2.0
 *
 * gap - global average: x [N,C,H,W] -> y [N,C,1,1]. Backends accumulate in f32 or wider, whatever the dtype of x;
 * out=f32 keeps that as the result (what routes dynamic convolutions is computed in f32).
 * layer=1: the reference has a pooling layer here, for which a profiler counts H W sums and a division a channel. */
#include "ops/ops_util.h"

static Status infer(Infer *c)
{
    if (c->in[0].shape.rank != 4) return infer_fail(c, "wants x[N,C,H,W]");
    c->out[0] = c->in[0];
    c->out[0].rowmajor = false;
    if (attr_is(c->n, "out", "f32")) c->out[0].dtype = wide_dtype(c->in[0].dtype);
    c->out[0].shape.dim[2] = c->out[0].shape.dim[3] = 1;
    return DYN_OK;
}

static void grad(Grad *c)
{
    if (c->dy[0].id) c->dx[0] = graph_emit(c->g, op_gap.also, INS(c->dy[0], c->in[0]), NO_ATTRS);
}

static void ref(const RefCall *c)
{
    double area = (double)(c->in[0].dim[2] * c->in[0].dim[3]);
    for (int64_t i = 0, n = tensor_count(&c->out[0]); i < n; i++)
        tensor_set(&c->out[0], i, sum_block(&c->in[0], &c->out[0], i) / area);
}

static Cost cost(const Node *n, const Type *in, const Type *out)
{
    bool layer = attr_int(n, "layer");
    return (Cost) { count_of(&in[0]), layer ? count_of(&in[0]) + count_of(&out[0]) : 0 };
}

/* ---- gap_grad: dy [N,C,1,1], x (only its type) -> dx [N,C,H,W] = dy / (H W) */

static Status infer_grad(Infer *c)
{
    const Shape *dy = &c->in[0].shape, *x = &c->in[1].shape, want = SHAPE(x->dim[0], x->dim[1], 1, 1);
    if (x->rank != 4 || !shape_eq(dy, &want)) return infer_fail(c, "wants dy[N,C,1,1] and x[N,C,H,W]");
    return infer_like(c, 1);
}

static void ref_grad(const RefCall *c)
{
    Tensor dy = repeated(&c->in[0], &c->out[0]);
    double area = (double)(c->out[0].dim[2] * c->out[0].dim[3]);
    for (int64_t i = 0, n = tensor_count(&c->out[0]); i < n; i++)
        tensor_set(&c->out[0], i, tensor_get(&dy, i) / area);
}

static Cost cost_grad(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { count_of(&in[0]), 0 };
}

static const OpDef op_gap_grad = { .name = "gap_grad",
                                   .doc = "gradient of gap",
                                   .in = "dy x",
                                   .out = "dx",
                                   .shape_only = 1 << 1,
                                   .infer = infer_grad,
                                   .ref = ref_grad,
                                   .cost = cost_grad };
const OpDef op_gap = { .name = "gap",
                       .doc = "global average over space",
                       .in = "x",
                       .out = "y",
                       .attrs = "out=act layer=0",
                       .infer = infer,
                       .grad = grad,
                       .ref = ref,
                       .cost = cost,
                       .also = &op_gap_grad,
                       .cases = "x[1,5,3,7]\nx[3,4,8,5] out=f32\nx[1,17,1,1]\n" };
