/* SPDX-License-Identifier: Apache-2.0
 *
 * tanh - hyperbolic tangent. The gradient needs y only, dy (1 - y y), so x need not be kept. */
#include "ops/ops_util.h"

static double slope(double y)
{
    return 1 - y * y;
}

static Status infer(Infer *c)
{
    return infer_like(c, 0);
}

static void grad(Grad *c)
{
    if (c->dy[0].id) c->dx[0] = graph_emit(c->g, op_tanh.also, INS(c->dy[0], c->out[0]), NO_ATTRS);
}

static void ref(const RefCall *c)
{
    ref_act(c, "tanh");
}

static Cost cost(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { act_flops("tanh") * count_of(&out[0]), 0 };
}

/* ---- tanh_grad: dy, y -> dx */

static void ref_grad(const RefCall *c)
{
    ref_slope(c, slope);
}

static Cost cost_grad(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { 3 * count_of(&out[0]), 0 };
}

static const OpDef op_tanh_grad = { .name = "tanh_grad",
                                    .doc = "gradient of tanh",
                                    .in = "dy y",
                                    .out = "dx",
                                    .flags = OP_INPLACE,
                                    .infer = infer_pair,
                                    .ref = ref_grad,
                                    .cost = cost_grad };
const OpDef op_tanh = { .name = "tanh",
                        .doc = "hyperbolic tangent",
                        .in = "x",
                        .out = "y",
                        .flags = OP_INPLACE,
                        .infer = infer,
                        .grad = grad,
                        .ref = ref,
                        .cost = cost,
                        .also = &op_tanh_grad,
                        .cases = "x[1,5,3,7]\nx[3,17,2,1]\nx[7]\n" };
