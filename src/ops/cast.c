/* SPDX-License-Identifier: Apache-2.0
 *
 * cast - x in the dtype of like (only its dtype is used). Where two precisions meet: logits and their gradients. */
#include "ops/ops_util.h"

static Status infer(Infer *c)
{
    c->out[0] = c->in[0];
    c->out[0].dtype = c->in[1].dtype;
    return DYN_OK;
}

static void grad(Grad *c)
{
    if (c->dy[0].id) c->dx[0] = EMIT(c->g, cast, INS(c->dy[0], c->in[0]), NO_ATTRS);
}

static void ref(const RefCall *c)
{
    for (int64_t i = 0, n = tensor_count(&c->in[0]); i < n; i++)
        tensor_set(&c->out[0], i, tensor_get(&c->in[0], i));
}

const OpDef op_cast = { .name = "cast",
                        .doc = "change of dtype",
                        .in = "x like",
                        .out = "y",
                        .shape_only = 1 << 1,
                        .infer = infer,
                        .grad = grad,
                        .ref = ref,
                        .cost = cost_nothing,
                        .cases = "x[2,3,4,5] like[1]\n" };
