/* SPDX-License-Identifier: Apache-2.0
 *
 * exp - e^x. Gradient: dy y. */
#include "ops/ops_util.h"

#include <math.h>

static void grad(Grad *c)
{
    if (c->dy[0].id) c->dx[0] = EMIT(c->g, mul, INS(c->dy[0], c->out[0]), NO_ATTRS);
}

static void ref(const RefCall *c)
{
    ref_unary(c, exp);
}

const OpDef op_exp = { .name = "exp",
                       .doc = "exponential",
                       .in = "x",
                       .out = "y",
                       .flags = OP_INPLACE,
                       .infer = infer_same,
                       .grad = grad,
                       .ref = ref,
                       .cost = cost_of_result,
                       .cases = "x[1,5,3,7]\nx[3,17,2,1]\nx[7]\n" };
