/* SPDX-License-Identifier: Apache-2.0
 *
 * div - a / b, dimensions of size 1 repeated to fit (equal ranks). y has the dtype of a. Gradients: dy / b and -dy y /
 * b. */
#include "ops/ops_util.h"

static double value(double a, double b)
{
    return a / b;
}

static void grad(Grad *c)
{
    if (!c->dy[0].id) return;
    Value da = EMIT(c->g, div, INS(c->dy[0], c->in[1]), NO_ATTRS);
    if (c->need[0]) c->dx[0] = sum_like(c, da, 0);
    if (!c->need[1]) return;
    Value db = EMIT(c->g, mul, INS(da, c->out[0]), NO_ATTRS);
    c->dx[1] = sum_like(c, EMIT(c->g, scale, INS(db), ATTRS(A_FLOAT("a", -1))), 1);
}

static void ref(const RefCall *c)
{
    ref_binary(c, value);
}

const OpDef op_div = { .name = "div",
                       .doc = "elementwise quotient",
                       .in = "a b",
                       .out = "y",
                       .flags = OP_INPLACE,
                       .infer = infer_binary,
                       .grad = grad,
                       .ref = ref,
                       .cost = cost_of_result,
                       .cases = "a[3,5,3,7] b[3,5,3,7]:pos\na[1,5,3,7] b[1,5,1,1]:pos\na[1,5,1,1] "
                                "b[3,5,2,3]:pos\na[3,1,5,1] b[1,4,1,2]:pos\na[6] b[1]:pos\n" };
