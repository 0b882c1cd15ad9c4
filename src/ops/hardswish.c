/* SPDX-License-Identifier: Apache-2.0
 *
 * hardswish - x relu6(x + 3) / 6 (Howard et al. 2019). The gradient is taken from x: y does not tell x. */
#include "ops/ops_util.h"

static Status infer(Infer *c)
{
    return infer_like(c, 0);
}

static void grad(Grad *c)
{
    if (c->dy[0].id) c->dx[0] = graph_emit(c->g, op_hardswish.also, INS(c->dy[0], c->in[0]), NO_ATTRS);
}

static void ref(const RefCall *c)
{
    ref_act(c, "hardswish");
}

static Cost cost(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { act_flops("hardswish") * count_of(&out[0]), 0 };
}

/* ---- hardswish_grad: dy, x -> dx */

static void ref_grad(const RefCall *c)
{
    ref_act_grad(c, "hardswish");
}

static Cost cost_grad(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { (act_flops("hardswish") + 4) * count_of(&out[0]), 0 };
}

static const OpDef op_hardswish_grad = { .name = "hardswish_grad",
                                         .doc = "gradient of hardswish",
                                         .in = "dy x",
                                         .out = "dx",
                                         .flags = OP_INPLACE,
                                         .infer = infer_pair,
                                         .ref = ref_grad,
                                         .cost = cost_grad };
const OpDef op_hardswish = { .name = "hardswish",
                             .doc = "x relu6(x + 3) / 6",
                             .in = "x",
                             .out = "y",
                             .flags = OP_INPLACE,
                             .infer = infer,
                             .grad = grad,
                             .ref = ref,
                             .cost = cost,
                             .also = &op_hardswish_grad,
                             .cases = "x[1,5,3,7]\nx[3,17,2,1]\nx[7]\n" };
