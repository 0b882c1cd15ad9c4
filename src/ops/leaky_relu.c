/* SPDX-License-Identifier: Apache-2.0
 *
 * leaky_relu - x where positive, slope x elsewhere. The gradient is taken from x. (As act= of a fused node its slope is
 * 0.01.) */
#include "ops/ops_util.h"

static double at(const Node *n, double x, double positive, double negative)
{
    return x > 0 ? positive : attr_float(n, "slope") * negative;
}

static void grad(Grad *c)
{
    if (c->dy[0].id) c->dx[0] = graph_emit(c->g, op_leaky_relu.also, INS(c->dy[0], c->in[0]), c->n->attr, c->n->n_attr);
}

static void ref(const RefCall *c)
{
    for (int64_t i = 0, n = tensor_count(&c->out[0]); i < n; i++) {
        double x = tensor_get(&c->in[0], i);
        tensor_set(&c->out[0], i, at(c->n, x, x, x));
    }
}

static Cost cost(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { 2 * count_of(&out[0]), 0 };
}

/* ---- leaky_relu_grad: dy, x -> dx */

static void ref_grad(const RefCall *c)
{
    for (int64_t i = 0, n = tensor_count(&c->out[0]); i < n; i++) {
        double dy = tensor_get(&c->in[0], i);
        tensor_set(&c->out[0], i, at(c->n, tensor_get(&c->in[1], i), dy, dy));
    }
}

static const OpDef op_leaky_relu_grad = { .name = "leaky_relu_grad",
                                          .doc = "gradient of leaky_relu",
                                          .in = "dy x",
                                          .out = "dx",
                                          .attrs = "slope=0.01",
                                          .flags = OP_INPLACE,
                                          .infer = infer_pair,
                                          .ref = ref_grad,
                                          .cost = cost };
const OpDef op_leaky_relu = { .name = "leaky_relu",
                              .doc = "x, or slope x where negative",
                              .in = "x",
                              .out = "y",
                              .attrs = "slope=0.01",
                              .flags = OP_INPLACE,
                              .infer = infer_same,
                              .grad = grad,
                              .ref = ref,
                              .cost = cost,
                              .also = &op_leaky_relu_grad,
                              .cases = "x[1,5,3,7]\nx[3,17,2,1] slope=0.1\nx[7] slope=0.2\n" };
