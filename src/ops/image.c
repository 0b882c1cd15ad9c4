/* SPDX-License-Identifier: Apache-2.0
 *
 * image - bytes to activations: x u8 [N,C,H,W] times scale, in the dtype that the program is compiled for. Where a
 * batch of pictures enters the network; nothing flows back. */
#include "ops/ops_util.h"

static Status infer(Infer *c)
{
    if (c->in[0].dtype != U8 || c->in[0].shape.rank != 4) return infer_fail(c, "wants x[N,C,H,W] of bytes");
    c->out[0] = c->in[0];
    c->out[0].dtype = c->bind->act;
    c->out[0].rowmajor = false;
    return DYN_OK;
}

static void ref(const RefCall *c)
{
    double scale = attr_float(c->n, "scale");
    for (int64_t i = 0, n = tensor_count(&c->out[0]); i < n; i++)
        tensor_set(&c->out[0], i, tensor_get(&c->in[0], i) * scale);
}

const OpDef op_image = { .name = "image",
                         .doc = "bytes to scaled activations",
                         .in = "x",
                         .out = "y",
                         .attrs = "scale=0.00392156862745098",
                         .infer = infer,
                         .ref = ref,
                         .cost = cost_of_result,
                         .cases = "x[1,3,5,7]:u8\nx[3,3,4,4]:u8 scale=0.5\n" };
