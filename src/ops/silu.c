/* SPDX-License-Identifier: Apache-2.0
 *
 * silu - x sigmoid(x) (Elfwing et al. 2017; "swish"). Its gradient is taken from x, not from y: y does not tell x. */
#include "ops/ops_util.h"

static Status infer(Infer *c)
{
    return infer_like(c, 0);
}

static void grad(Grad *c)
{
    if (c->dy[0].id) c->dx[0] = graph_emit(c->g, op_silu.also, INS(c->dy[0], c->in[0]), NO_ATTRS);
}

static void ref(const RefCall *c)
{
    ref_act(c, "silu");
}

static Cost cost(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { act_flops("silu") * count_of(&out[0]), 0 };
}

/* ---- silu_grad: dy, x -> dx ------------------------------------------------------------------------------------- */

static void ref_grad(const RefCall *c)
{
    ref_act_grad(c, "silu");
}

static Cost cost_grad(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { (act_flops("silu") + 4) * count_of(&out[0]), 0 };
}

static const OpDef op_silu_grad = { .name = "silu_grad",
                                    .doc = "gradient of silu",
                                    .in = "dy x",
                                    .out = "dx",
                                    .flags = OP_INPLACE,
                                    .infer = infer_pair,
                                    .ref = ref_grad,
                                    .cost = cost_grad };
const OpDef op_silu = { .name = "silu",
                        .doc = "x sigmoid(x)",
                        .in = "x",
                        .out = "y",
                        .flags = OP_INPLACE,
                        .infer = infer,
                        .grad = grad,
                        .ref = ref,
                        .cost = cost,
                        .also = &op_silu_grad,
                        .cases = "x[1,5,3,7]\nx[3,17,2,1]\nx[7]\n" };
