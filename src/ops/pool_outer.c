/* SPDX-License-Identifier: Apache-2.0
 *
 * pool_outer - sum over all positions of the outer product of two images' channels: the gathering of A2-Nets (Chen et
 * al., arXiv 1810.11579), where b is an attention map, and any other second-order pooling.
 *   a [N,C,H,W]   b [N,M,H,W]   ->   y [N,C,M,1] = sum over positions s of a[n,c,s] b[n,m,s], f32 in a bf16 program
 * y is an image of M pixels, so that what holds for every descriptor (a 1x1 convolution) is an ordinary convolution of
 * it. Gradients: mix_channels of dy with the other operand. */
#include "ops/ops_util.h"

static Status infer(Infer *c)
{
    const Shape *a = &c->in[0].shape, *b = &c->in[1].shape;
    if (a->rank != 4 || b->rank != 4 || a->dim[0] != b->dim[0] || a->dim[2] != b->dim[2] || a->dim[3] != b->dim[3])
        return infer_fail(c, "wants a[N,C,H,W] and b[N,M,H,W] of equal batch, height and width");
    c->out[0] = (Type) { .dtype = wide_dtype(c->in[0].dtype), .shape = SHAPE(a->dim[0], a->dim[1], b->dim[1], 1) };
    return DYN_OK;
}

static void grad(Grad *c)
{
    Value dg = c->dy[0], a = c->in[0], b = c->in[1], none = { 0 };
    if (!dg.id) return;
    if (c->need[0]) c->dx[0] = EMIT(c->g, mix_channels, INS(dg, b, none, a), NO_ATTRS);
    if (c->need[1]) c->dx[1] = EMIT(c->g, mix_channels, INS(dg, a, none, b), ATTRS(A_INT("t", 1)));
}

static void ref(const RefCall *c)
{
    const Tensor *a = &c->in[0], *b = &c->in[1];
    Tensor *g = &c->out[0];
    for (int64_t n = 0; n < g->dim[0]; n++)
        for (int64_t i = 0; i < g->dim[1]; i++)
            for (int64_t m = 0; m < g->dim[2]; m++) {
                double sum = 0;
                for (int64_t h = 0; h < a->dim[2]; h++)
                    for (int64_t w = 0; w < a->dim[3]; w++)
                        sum += load4(a, n, i, h, w) * load4(b, n, m, h, w);
                store4(g, n, i, m, 0, sum);
            }
}

static double macs(const Node *n, const Type *in, const Type *out)
{
    return count_of(&in[0]) * (double)in[1].shape.dim[1];
}

static Cost cost(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { 2 * macs(n, in, out), 0 };
}

const OpDef op_pool_outer = { .name = "pool_outer",
                              .doc = "outer product of channels, summed over space",
                              .in = "a b",
                              .out = "y",
                              .infer = infer,
                              .grad = grad,
                              .ref = ref,
                              .cost = cost,
                              .macs = macs,
                              .cases = "a[1,5,3,7] b[1,4,3,7]\na[3,2,4,5] b[3,6,4,5]:wide\na[2,17,1,1] b[2,1,1,1]\n" };
