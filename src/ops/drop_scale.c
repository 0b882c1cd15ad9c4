/* SPDX-License-Identifier: Apache-2.0
 *
 * drop_scale - u [N,1,1,1], uniform in [0,1), f32 -> y [N,1,1,1]: 0 where u < rate, else 1 / (1 - rate), so that a
 * branch times y has the branch's mean. No gradient: u is chance. */
#include "ops/ops_util.h"

static void ref(const RefCall *c)
{
    double rate = attr_float(c->n, "rate");
    for (int64_t i = 0, n = tensor_count(&c->in[0]); i < n; i++)
        tensor_set(&c->out[0], i, tensor_get(&c->in[0], i) < rate ? 0 : 1 / (1 - rate));
}

const OpDef op_drop_scale = { .name = "drop_scale",
                              .doc = "which samples keep a branch, and by what factor",
                              .in = "u",
                              .out = "y",
                              .attrs = "rate=0.0",
                              .infer = infer_same,
                              .ref = ref,
                              .cost = cost_of_result,
                              .cases = "u[7,1,1,1]:wide rate=0.3\n" };
