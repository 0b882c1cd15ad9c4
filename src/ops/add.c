/* SPDX-License-Identifier: Apache-2.0
 *
 * add - a + b, dimensions of size 1 repeated to fit (equal ranks). y has the dtype of a. */
#include "ops/ops_util.h"

static double value(double a, double b)
{
    return a + b;
}

static void grad(Grad *c)
{
    if (!c->dy[0].id) return;
    for (int i = 0; i < 2; i++)
        if (c->need[i]) c->dx[i] = sum_like(c, c->dy[0], i);
}

static void ref(const RefCall *c)
{
    ref_binary(c, value);
}

const OpDef op_add = { .name = "add",
                       .doc = "elementwise sum",
                       .in = "a b",
                       .out = "y",
                       .flags = OP_INPLACE,
                       .infer = infer_binary,
                       .grad = grad,
                       .ref = ref,
                       .cost = cost_of_result,
                       .cases = "a[3,5,3,7] b[3,5,3,7]\na[1,5,3,7] b[1,5,1,1]:param\na[1,5,1,1] b[3,5,2,3]\n"
                                "a[3,1,5,1] b[1,4,1,2]\na[6] b[1]\n" };
