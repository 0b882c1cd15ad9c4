/* SPDX-License-Identifier: Apache-2.0
 *
 * upsample_nearest - every pixel repeated scale x scale times: x [N,C,H,W] -> y [N,C,scale H,scale W]. Whole factors
 * only. */
#include "ops/ops_util.h"

static Status infer(Infer *c)
{
    int64_t scale = attr_int(c->n, "scale");
    if (c->in[0].shape.rank != 4) return infer_fail(c, "wants x[N,C,H,W]");
    if (scale < 1 || scale > 1024) return infer_fail(c, "scale is %lld, wants 1 to 1024", (long long)scale);
    c->out[0] = c->in[0];
    c->out[0].rowmajor = false;
    c->out[0].shape.dim[2] *= scale;
    c->out[0].shape.dim[3] *= scale;
    return DYN_OK;
}

static void grad(Grad *c)
{
    if (c->dy[0].id) c->dx[0] = graph_emit(c->g, op_upsample_nearest.also, INS(c->dy[0]), c->n->attr, c->n->n_attr);
}

static void ref(const RefCall *c)
{
    Tensor *y = &c->out[0];
    int64_t scale = attr_int(c->n, "scale");
    for (int64_t n = 0; n < y->dim[0]; n++)
        for (int64_t ch = 0; ch < y->dim[1]; ch++)
            for (int64_t h = 0; h < y->dim[2]; h++)
                for (int64_t w = 0; w < y->dim[3]; w++)
                    store4(y, n, ch, h, w, load4(&c->in[0], n, ch, h / scale, w / scale));
}

/* No arithmetic; a profiler counts one per output element (spec 2.10). */
static Cost cost(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { 0, count_of(&out[0]) };
}

/* ---- upsample_nearest_grad: dy [N,C,scale H,scale W] -> dx [N,C,H,W] -------------------------------------------- */

static Status infer_grad(Infer *c)
{
    int64_t scale = attr_int(c->n, "scale");
    c->out[0] = c->in[0];
    for (int d = 2; d < 4; d++) {
        if (c->in[0].shape.rank != 4 || scale < 1 || c->in[0].shape.dim[d] % scale)
            return infer_fail(c, "wants dy[N,C,H,W] with H and W multiples of scale");
        c->out[0].shape.dim[d] /= scale;
    }
    return DYN_OK;
}

static void ref_grad(const RefCall *c)
{
    Tensor *dx = &c->out[0];
    int64_t scale = attr_int(c->n, "scale");
    for (int64_t n = 0; n < dx->dim[0]; n++)
        for (int64_t ch = 0; ch < dx->dim[1]; ch++)
            for (int64_t h = 0; h < dx->dim[2]; h++)
                for (int64_t w = 0; w < dx->dim[3]; w++) {
                    double sum = 0;
                    for (int64_t k = 0; k < scale * scale; k++)
                        sum += load4(&c->in[0], n, ch, h * scale + k / scale, w * scale + k % scale);
                    store4(dx, n, ch, h, w, sum);
                }
}

static Cost cost_grad(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { count_of(&in[0]), 0 };
}

static const OpDef op_upsample_nearest_grad = { .name = "upsample_nearest_grad",
                                                .doc = "gradient of upsample_nearest",
                                                .in = "dy",
                                                .out = "dx",
                                                .attrs = "scale=2",
                                                .infer = infer_grad,
                                                .ref = ref_grad,
                                                .cost = cost_grad };
const OpDef op_upsample_nearest = { .name = "upsample_nearest",
                                    .doc = "pixels repeated by a whole factor",
                                    .in = "x",
                                    .out = "y",
                                    .attrs = "scale=2",
                                    .infer = infer,
                                    .grad = grad,
                                    .ref = ref,
                                    .cost = cost,
                                    .also = &op_upsample_nearest_grad,
                                    .cases = "x[1,5,3,7] scale=2\nx[3,2,1,3] scale=3\nx[1,17,1,1] scale=2\n" };
