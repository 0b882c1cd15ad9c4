/* SPDX-License-Identifier: Apache-2.0
 *
 * mish - x tanh(log(1 + exp(x))) (Misra 2019). The gradient is taken from x: y does not tell x. */
#include "ops/ops_util.h"

static Status infer(Infer *c)
{
    return infer_like(c, 0);
}

static void grad(Grad *c)
{
    if (c->dy[0].id) c->dx[0] = graph_emit(c->g, op_mish.also, INS(c->dy[0], c->in[0]), NO_ATTRS);
}

static void ref(const RefCall *c)
{
    ref_act(c, "mish");
}

static Cost cost(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { act_flops("mish") * count_of(&out[0]), 0 };
}

/* ---- mish_grad: dy, x -> dx */

static void ref_grad(const RefCall *c)
{
    ref_act_grad(c, "mish");
}

static Cost cost_grad(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { (act_flops("mish") + 4) * count_of(&out[0]), 0 };
}

static const OpDef op_mish_grad = { .name = "mish_grad",
                                    .doc = "gradient of mish",
                                    .in = "dy x",
                                    .out = "dx",
                                    .flags = OP_INPLACE,
                                    .infer = infer_pair,
                                    .ref = ref_grad,
                                    .cost = cost_grad };
const OpDef op_mish = { .name = "mish",
                        .doc = "x tanh(log(1 + exp(x)))",
                        .in = "x",
                        .out = "y",
                        .flags = OP_INPLACE,
                        .infer = infer,
                        .grad = grad,
                        .ref = ref,
                        .cost = cost,
                        .also = &op_mish_grad,
                        .cases = "x[1,5,3,7]\nx[3,17,2,1]\nx[7]\n" };
