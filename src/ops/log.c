/* SPDX-License-Identifier: Apache-2.0
 *
 * log - natural logarithm. Gradient: dy / x. */
#include "ops/ops_util.h"

#include <math.h>

static void grad(Grad *c)
{
    if (c->dy[0].id) c->dx[0] = EMIT(c->g, div, INS(c->dy[0], c->in[0]), NO_ATTRS);
}

static void ref(const RefCall *c)
{
    ref_unary(c, log);
}

const OpDef op_log = { .name = "log",
                       .doc = "natural logarithm",
                       .in = "x",
                       .out = "y",
                       .flags = OP_INPLACE,
                       .infer = infer_same,
                       .grad = grad,
                       .ref = ref,
                       .cost = cost_of_result,
                       .cases = "x[1,5,3,7]:pos\nx[3,17,2,1]:pos\nx[7]:pos\n" };
