/* SPDX-License-Identifier: Apache-2.0
 *
 * copy - the same values elsewhere. Programs insert it where a kernel cannot read or write a channel range in place. */
#include "ops/ops_util.h"

static Status infer(Infer *c)
{
    c->out[0] = c->in[0];
    return DYN_OK;
}

static void grad(Grad *c)
{
    c->dx[0] = c->dy[0];
}

static void ref(const RefCall *c)
{
    for (int64_t k = 0, n = tensor_count(&c->in[0]); k < n; k++)
        tensor_set(&c->out[0], k, tensor_get(&c->in[0], k));
}

const OpDef op_copy = { .name = "copy",
                        .doc = "the same values elsewhere",
                        .in = "x",
                        .out = "y",
                        .infer = infer,
                        .grad = grad,
                        .ref = ref,
                        .cost = cost_nothing,
                        .cases = "x[2,3,4,5]\n" };
