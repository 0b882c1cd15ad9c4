/* SPDX-License-Identifier: Apache-2.0
 *
 * mix_channels - each sample's own 1x1 convolution: the distribution of A2-Nets (Chen et al., arXiv 1810.11579), where
 * v says how much of each descriptor a position takes.
 *   g [N,C,M,1]   v [N,M,H,W]   res [N,C,H,W] optional   ->   y [N,C,H,W] = sum over m of g[n,c,m] v[n,m,h,w] + res
 * t=1 takes g the other way: v [N,C,H,W] -> y [N,M,H,W]. y has the dtype of like, of which only the type is used; of v
 * where like is left out. Gradients: of g pool_outer, of v mix_channels with the other t; none with res, which passes
 * fuse at inference only. */
#include "ops/ops_util.h"

static bool has(const Node *n, int i)
{
    return i < n->n_in && n->in[i].id;
}

static Status infer(Infer *c)
{
    const Shape *g = &c->in[0].shape, *v = &c->in[1].shape;
    bool t = attr_int(c->n, "t");
    if (g->rank != 4 || v->rank != 4 || g->dim[3] != 1 || g->dim[0] != v->dim[0] || g->dim[t ? 1 : 2] != v->dim[1]) {
        char s[96], u[96];
        return infer_fail(c, "g%s and v%s do not fit: wants g[N,C,M,1] and v[N,%s,H,W]", shape_text(g, s, sizeof s),
                          shape_text(v, u, sizeof u), t ? "C" : "M");
    }
    c->out[0] = c->in[1];
    c->out[0].rowmajor = false;
    if (has(c->n, 3)) c->out[0].dtype = c->in[3].dtype;
    c->out[0].shape.dim[1] = g->dim[t ? 2 : 1];
    if (has(c->n, 2) && !shape_eq(&c->in[2].shape, &c->out[0].shape))
        return infer_fail(c, "the residual has another shape than the result");
    return DYN_OK;
}

static void grad(Grad *c)
{
    Value dy = c->dy[0], g = c->in[0], v = c->in[1], none = { 0 };
    bool t = attr_int(c->n, "t");
    if (!dy.id) return;
    if (has(c->n, 2)) {
        graph_fail(c->g, DYN_UNSUPPORTED, "mix_channels '%s' has a fused residual: differentiate before fusing",
                   c->n->name);
        return;
    }
    if (c->need[0]) c->dx[0] = sum_like(c, EMIT(c->g, pool_outer, INS(t ? v : dy, t ? dy : v), NO_ATTRS), 0);
    if (c->need[1]) c->dx[1] = EMIT(c->g, mix_channels, INS(g, dy, none, v), ATTRS(A_INT("t", !t)));
}

static void ref(const RefCall *c)
{
    const Tensor *g = &c->in[0], *v = &c->in[1], *res = &c->in[2];
    Tensor *y = &c->out[0];
    bool t = attr_int(c->n, "t"), add = has(c->n, 2);
    for (int64_t n = 0; n < y->dim[0]; n++)
        for (int64_t i = 0; i < y->dim[1]; i++)
            for (int64_t h = 0; h < y->dim[2]; h++)
                for (int64_t w = 0; w < y->dim[3]; w++) {
                    double sum = add ? load4(res, n, i, h, w) : 0;
                    for (int64_t m = 0; m < v->dim[1]; m++)
                        sum += load4(g, n, t ? m : i, t ? i : m, 0) * load4(v, n, m, h, w);
                    store4(y, n, i, h, w, sum);
                }
}

static double macs(const Node *n, const Type *in, const Type *out)
{
    return count_of(&out[0]) * (double)in[1].shape.dim[1];
}

static Cost cost(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { 2 * macs(n, in, out) + count_of(&out[0]) * has(n, 2), 0 };
}

const OpDef op_mix_channels = { .name = "mix_channels",
                                .doc = "1x1 convolution with weights of each sample's own",
                                .in = "g v res? like?",
                                .out = "y",
                                .attrs = "t=0",
                                .shape_only = 1 << 3,
                                .infer = infer,
                                .grad = grad,
                                .ref = ref,
                                .cost = cost,
                                .macs = macs,
                                .cases = "g[1,5,4,1]:wide v[1,4,3,7]\ng[3,2,6,1]:wide v[3,2,4,5] t=1\n"
                                         "g[2,3,5,1] v[2,5,2,3]:wide - like[1]\ng[1,17,1,1]:wide v[1,1,1,1]\n"
                                         "g[2,3,5,1]:wide v[2,5,2,3] res[2,3,2,3]\n" };
