/* SPDX-License-Identifier: Apache-2.0
 *
 * gelu - x Phi(x) with the exact normal distribution function (erf), not its tanh approximation (Hendrycks & Gimpel
 * 2016). The gradient is taken from x. */
#include "ops/ops_util.h"

static Status infer(Infer *c)
{
    return infer_like(c, 0);
}

static void grad(Grad *c)
{
    if (c->dy[0].id) c->dx[0] = graph_emit(c->g, op_gelu.also, INS(c->dy[0], c->in[0]), NO_ATTRS);
}

static void ref(const RefCall *c)
{
    ref_act(c, "gelu");
}

static Cost cost(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { act_flops("gelu") * count_of(&out[0]), 0 };
}

/* ---- gelu_grad: dy, x -> dx */

static void ref_grad(const RefCall *c)
{
    ref_act_grad(c, "gelu");
}

static Cost cost_grad(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { (act_flops("gelu") + 4) * count_of(&out[0]), 0 };
}

static const OpDef op_gelu_grad = { .name = "gelu_grad",
                                    .doc = "gradient of gelu",
                                    .in = "dy x",
                                    .out = "dx",
                                    .flags = OP_INPLACE,
                                    .infer = infer_pair,
                                    .ref = ref_grad,
                                    .cost = cost_grad };
const OpDef op_gelu = { .name = "gelu",
                        .doc = "x times the normal distribution function",
                        .in = "x",
                        .out = "y",
                        .flags = OP_INPLACE,
                        .infer = infer,
                        .grad = grad,
                        .ref = ref,
                        .cost = cost,
                        .also = &op_gelu_grad,
                        .cases = "x[1,5,3,7]\nx[3,17,2,1]\nx[7]\n" };
