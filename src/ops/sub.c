/* SPDX-License-Identifier: Apache-2.0
 *
 * sub - a - b, dimensions of size 1 repeated to fit (equal ranks). y has the dtype of a. */
#include "ops/ops_util.h"

static double value(double a, double b)
{
    return a - b;
}

static void grad(Grad *c)
{
    Value dy = c->dy[0];
    if (!dy.id) return;
    if (c->need[0]) c->dx[0] = sum_like(c, dy, 0);
    if (c->need[1]) c->dx[1] = sum_like(c, EMIT(c->g, scale, INS(dy), ATTRS(A_FLOAT("a", -1))), 1);
}

static void ref(const RefCall *c)
{
    ref_binary(c, value);
}

const OpDef op_sub = {
    .name = "sub",
    .doc = "elementwise difference",
    .in = "a b",
    .out = "y",
    .flags = OP_INPLACE,
    .infer = infer_binary,
    .grad = grad,
    .ref = ref,
    .cost = cost_of_result,
    .cases = "a[3,5,3,7] b[3,5,3,7]\na[1,5,3,7] b[1,5,1,1]\na[1,5,1,1] b[3,5,2,3]\na[3,1,5,1] b[1,4,1,2]\na[6] b[1]\n"
};
