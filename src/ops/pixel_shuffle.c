/* SPDX-License-Identifier: Apache-2.0
 *
 * pixel_shuffle - channels to space (Shi et al. 2016): x [N,C r^2,H,W] -> y [N,C,r H,r W],
 *   y[n, c, h r + i, w r + j] = x[n, (c r + i) r + j, h, w]. pixel_unshuffle is its inverse and its gradient. */
#include "ops/ops_util.h"

static Status infer_shuffle(Infer *c, bool down)
{
    int64_t r = attr_int(c->n, "scale"), *dim = c->out[0].shape.dim;
    if (c->in[0].shape.rank != 4 || r < 1 || r > 1024)
        return infer_fail(c, "wants x[N,C,H,W] and a scale of 1 to 1024");
    c->out[0] = c->in[0];
    c->out[0].rowmajor = false;
    if (down ? dim[2] % r || dim[3] % r : dim[1] % (r * r) != 0)
        return infer_fail(c,
                          down ? "height and width must be multiples of the scale, %lld"
                               : "channels must be a multiple of the scale's square, scale is %lld",
                          (long long)r);
    dim[1] = down ? dim[1] * r * r : dim[1] / (r * r);
    dim[2] = down ? dim[2] / r : dim[2] * r;
    dim[3] = down ? dim[3] / r : dim[3] * r;
    return DYN_OK;
}

/* fine [N,C,rH,rW] and coarse [N,C r^2,H,W] hold the same elements: visits each pair. */
static void copy_shuffled(const Tensor *from, Tensor *to, const Tensor *fine, int64_t r)
{
    for (int64_t i = 0, count = tensor_count(fine); i < count; i++) {
        int64_t w = i % fine->dim[3], h = i / fine->dim[3] % fine->dim[2], plane = i / fine->dim[3] / fine->dim[2];
        int64_t n = plane / fine->dim[1], ch = plane % fine->dim[1], deep = (ch * r + h % r) * r + w % r;
        if (fine == to)
            store4(to, n, ch, h, w, load4(from, n, deep, h / r, w / r));
        else
            store4(to, n, deep, h / r, w / r, load4(from, n, ch, h, w));
    }
}

static Status infer(Infer *c)
{
    return infer_shuffle(c, false);
}

static void grad(Grad *c)
{
    if (c->dy[0].id) c->dx[0] = graph_emit(c->g, op_pixel_shuffle.also, INS(c->dy[0]), c->n->attr, c->n->n_attr);
}

static void ref(const RefCall *c)
{
    copy_shuffled(&c->in[0], &c->out[0], &c->out[0], attr_int(c->n, "scale"));
}

/* ---- pixel_unshuffle: x [N,C,r H,r W] -> y [N,C r^2,H,W] -------------------------------------------------------- */

static Status infer_down(Infer *c)
{
    return infer_shuffle(c, true);
}

static void grad_down(Grad *c)
{
    if (c->dy[0].id) c->dx[0] = EMIT(c->g, pixel_shuffle, INS(c->dy[0]), c->n->attr, c->n->n_attr);
}

static void ref_down(const RefCall *c)
{
    copy_shuffled(&c->in[0], &c->out[0], &c->in[0], attr_int(c->n, "scale"));
}

static const OpDef op_pixel_unshuffle = { .name = "pixel_unshuffle",
                                          .doc = "space to channels",
                                          .in = "x",
                                          .out = "y",
                                          .attrs = "scale=2",
                                          .infer = infer_down,
                                          .grad = grad_down,
                                          .ref = ref_down,
                                          .cost = cost_nothing };
const OpDef op_pixel_shuffle = { .name = "pixel_shuffle",
                                 .doc = "channels to space",
                                 .in = "x",
                                 .out = "y",
                                 .attrs = "scale=2",
                                 .infer = infer,
                                 .grad = grad,
                                 .ref = ref,
                                 .cost = cost_nothing,
                                 .also = &op_pixel_unshuffle,
                                 .cases = "x[1,8,3,2]\nx[3,9,2,3] scale=3\nx[1,4,1,1]\n" };
