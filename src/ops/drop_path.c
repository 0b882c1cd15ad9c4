/* SPDX-License-Identifier: Apache-2.0
 *
 * drop_path - marks a branch that training leaves out for a random part of the samples (stochastic depth, arXiv
 * 1603.09382). At inference, and until train_mode has been over it, y is x and nothing is computed; train_mode puts
 * x * drop_scale(u) in its place, u being an input that the trainer fills with numbers of its own. */
#include "ops/ops_util.h"

static Status infer(Infer *c)
{
    double rate = attr_float(c->n, "rate");
    if (!(rate >= 0 && rate < 1)) return infer_fail(c, "rate must be from 0 to below 1, not %g", rate);
    return infer_like(c, 0);
}

static void grad(Grad *c)
{
    c->dx[0] = c->dy[0];
}

static void ref(const RefCall *c)
{
    for (int64_t i = 0, n = tensor_count(&c->in[0]); i < n; i++)
        tensor_set(&c->out[0], i, tensor_get(&c->in[0], i));
}

static int64_t view(const Node *n, const Type *in, const Type *out, int k)
{
    return 0;
}

const OpDef op_drop_path = { .name = "drop_path",
                             .doc = "a branch that training drops at random",
                             .in = "x",
                             .out = "y",
                             .attrs = "rate=0.0",
                             .flags = OP_INPLACE,
                             .infer = infer,
                             .grad = grad,
                             .ref = ref,
                             .cost = cost_nothing,
                             .view = view,
                             .cases = "x[2,5,3,7] rate=0.25\n" };
