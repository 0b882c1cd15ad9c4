/* SPDX-License-Identifier: Apache-2.0
 *
 * exp - e^x. Gradient: dy y. */
#include "ops/ops_util.h"

#include <math.h>

static Status infer(Infer *c)
{
    return infer_like(c, 0);
}

static void grad(Grad *c)
{
    if (c->dy[0].id) c->dx[0] = EMIT(c->g, mul, INS(c->dy[0], c->out[0]), NO_ATTRS);
}

static void ref(const RefCall *c)
{
    for (int64_t i = 0, n = tensor_count(&c->out[0]); i < n; i++)
        tensor_set(&c->out[0], i, exp(tensor_get(&c->in[0], i)));
}

static Cost cost(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { count_of(&out[0]), 0 };
}

const OpDef op_exp = { .name = "exp",
                       .doc = "exponential",
                       .in = "x",
                       .out = "y",
                       .flags = OP_INPLACE,
                       .infer = infer,
                       .grad = grad,
                       .ref = ref,
                       .cost = cost,
                       .cases = "x[1,5,3,7]\nx[3,17,2,1]\nx[7]\n" };
