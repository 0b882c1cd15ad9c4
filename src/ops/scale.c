/* SPDX-License-Identifier: Apache-2.0
 *
 * scale - a x + b with two numbers. */
#include "ops/ops_util.h"

static void grad(Grad *c)
{
    if (c->dy[0].id) c->dx[0] = EMIT(c->g, scale, INS(c->dy[0]), ATTRS(A_FLOAT("a", attr_float(c->n, "a"))));
}

static void ref(const RefCall *c)
{
    double a = attr_float(c->n, "a"), b = attr_float(c->n, "b");
    for (int64_t i = 0, n = tensor_count(&c->out[0]); i < n; i++)
        tensor_set(&c->out[0], i, a * tensor_get(&c->in[0], i) + b);
}

static Cost cost(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { (attr_float(n, "b") != 0 ? 2 : 1) * count_of(&out[0]), 0 };
}

const OpDef op_scale = { .name = "scale",
                         .doc = "a x + b with two numbers",
                         .in = "x",
                         .out = "y",
                         .attrs = "a=1.0 b=0.0",
                         .flags = OP_INPLACE,
                         .infer = infer_same,
                         .grad = grad,
                         .ref = ref,
                         .cost = cost,
                         .cases = "x[1,5,3,7] a=0.375\nx[3,17,2,1] a=-2 b=0.5\nx[7] b=1\n" };
