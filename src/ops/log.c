/* SPDX-License-Identifier: Apache-2.0
 *
 * log - natural logarithm. Gradient: dy / x. */
#include "ops/ops_util.h"

#include <math.h>

static Status infer(Infer *c)
{
    return infer_like(c, 0);
}

static void grad(Grad *c)
{
    if (c->dy[0].id) c->dx[0] = EMIT(c->g, div, INS(c->dy[0], c->in[0]), NO_ATTRS);
}

static void ref(const RefCall *c)
{
    for (int64_t i = 0, n = tensor_count(&c->out[0]); i < n; i++)
        tensor_set(&c->out[0], i, log(tensor_get(&c->in[0], i)));
}

static Cost cost(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { count_of(&out[0]), 0 };
}

const OpDef op_log = { .name = "log",
                       .doc = "natural logarithm",
                       .in = "x",
                       .out = "y",
                       .flags = OP_INPLACE,
                       .infer = infer,
                       .grad = grad,
                       .ref = ref,
                       .cost = cost,
                       .cases = "x[1,5,3,7]:pos\nx[3,17,2,1]:pos\nx[7]:pos\n" };
