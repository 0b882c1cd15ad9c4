/* SPDX-License-Identifier: Apache-2.0
 *
 * relu - max(x, 0). The gradient needs y only, so x need not be kept; it is 0 at x = 0. */
#include "ops/ops_util.h"

static double slope(double y)
{
    return y > 0;
}

static Status infer(Infer *c)
{
    return infer_like(c, 0);
}

static void grad(Grad *c)
{
    if (c->dy[0].id) c->dx[0] = graph_emit(c->g, op_relu.also, INS(c->dy[0], c->out[0]), NO_ATTRS);
}

static void ref(const RefCall *c)
{
    ref_act(c, "relu");
}

static Cost cost(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { act_flops("relu") * count_of(&out[0]), 0 };
}

/* ---- relu_grad: dy, y -> dx */

static void ref_grad(const RefCall *c)
{
    ref_slope(c, slope);
}

static Cost cost_grad(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { 1 * count_of(&out[0]), 0 };
}

static const OpDef op_relu_grad = { .name = "relu_grad",
                                    .doc = "gradient of relu",
                                    .in = "dy y",
                                    .out = "dx",
                                    .flags = OP_INPLACE,
                                    .infer = infer_pair,
                                    .ref = ref_grad,
                                    .cost = cost_grad };
const OpDef op_relu = { .name = "relu",
                        .doc = "max(x, 0)",
                        .in = "x",
                        .out = "y",
                        .flags = OP_INPLACE,
                        .infer = infer,
                        .grad = grad,
                        .ref = ref,
                        .cost = cost,
                        .also = &op_relu_grad,
                        .cases = "x[1,5,3,7]\nx[3,17,2,1]\nx[7]\n" };
