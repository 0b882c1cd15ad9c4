/* SPDX-License-Identifier: Apache-2.0
 *
 * reduce_sum - sum over the dimensions dims ("2,3"), which stay with size 1 (keep=1) or go (keep=0; all gone leaves
 * [1]). Backends accumulate in f32 or wider. */
#include "ops/ops_util.h"

static void grad(Grad *c)
{
    if (c->dy[0].id) c->dx[0] = graph_emit(c->g, op_reduce_sum.also, INS(c->dy[0], c->in[0]), c->n->attr, c->n->n_attr);
}

static void ref(const RefCall *c)
{
    Tensor y = kept(c->n, &c->out[0], &c->in[0]);
    for (int64_t i = 0, n = tensor_count(&y); i < n; i++)
        tensor_set(&y, i, sum_block(&c->in[0], &y, i));
}

static Cost cost(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { count_of(&in[0]), 0 };
}

/* ---- reduce_sum_grad: dy like y, x (only its type) -> dx */

static void ref_grad(const RefCall *c)
{
    Tensor dy = kept(c->n, &c->in[0], &c->out[0]);
    dy = repeated(&dy, &c->out[0]);
    for (int64_t i = 0, n = tensor_count(&c->out[0]); i < n; i++)
        tensor_set(&c->out[0], i, tensor_get(&dy, i));
}

static const OpDef op_reduce_sum_grad = { .name = "reduce_sum_grad",
                                          .doc = "gradient of reduce_sum",
                                          .in = "dy x",
                                          .out = "dx",
                                          .attrs = "dims=2,3 keep=1",
                                          .shape_only = 1 << 1,
                                          .infer = infer_reduce_grad,
                                          .ref = ref_grad,
                                          .cost = cost_nothing };
const OpDef op_reduce_sum = { .name = "reduce_sum",
                              .doc = "sum over dimensions",
                              .in = "x",
                              .out = "y",
                              .attrs = "dims=2,3 keep=1",
                              .infer = infer_reduce,
                              .grad = grad,
                              .ref = ref,
                              .cost = cost,
                              .also = &op_reduce_sum_grad,
                              .cases = "x[1,5,3,7]\nx[3,4,2,5] dims=1\nx[3,4,2,5] dims=0,2,3 keep=0\n"
                                       "x[3,4,5] dims=0 keep=0\nx[3,5,2] dims=0,1,2 keep=0\n" };
