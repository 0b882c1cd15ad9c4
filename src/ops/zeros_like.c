/* SPDX-License-Identifier: Apache-2.0
 *
 * zeros_like - zeros with the type of x, whose data is not used. */
#include "ops/ops_util.h"

static Status infer(Infer *c)
{
    c->out[0] = c->in[0];
    return DYN_OK;
}

static void ref(const RefCall *c)
{
    for (int64_t k = 0, n = tensor_count(&c->out[0]); k < n; k++)
        tensor_set(&c->out[0], k, 0);
}

const OpDef op_zeros_like = { .name = "zeros_like",
                              .doc = "zeros of a given type",
                              .in = "x",
                              .out = "y",
                              .shape_only = 1,
                              .infer = infer,
                              .ref = ref,
                              .cost = cost_nothing,
                              .cases = "x[2,3,2,2]\n" };
