/* SPDX-License-Identifier: Apache-2.0
 *
 * sqrt - square root. Gradient: dy / (2 y), infinite at 0. */
#include "ops/ops_util.h"

#include <math.h>

static void grad(Grad *c)
{
    if (c->dy[0].id)
        c->dx[0] =
            EMIT(c->g, scale, INS(EMIT(c->g, div, INS(c->dy[0], c->out[0]), NO_ATTRS)), ATTRS(A_FLOAT("a", 0.5)));
}

static void ref(const RefCall *c)
{
    ref_unary(c, sqrt);
}

const OpDef op_sqrt = { .name = "sqrt",
                        .doc = "square root",
                        .in = "x",
                        .out = "y",
                        .flags = OP_INPLACE,
                        .infer = infer_same,
                        .grad = grad,
                        .ref = ref,
                        .cost = cost_of_result,
                        .cases = "x[1,5,3,7]:pos\nx[3,17,2,1]:pos\nx[7]:pos\n" };
