/* SPDX-License-Identifier: Apache-2.0
 *
 * fold_conv - a convolution's weight and bias with the batchnorm after it folded in (spec 2.9):
 *   g = gamma / sqrt(var + eps)     w' [O,I,kh,kw] = w * g     b' [O] = beta + (b - mean) * g        b optional
 * dim is the dimension of w that the batchnorm's channels lie along: 0, or 1 for a bank [K,O,I,kh,kw] of kernels and
 * one [K,O] of biases, whose b' is the same for every mix of them: it is added once, not by each kernel. Over
 * parameters only: a program computes it once, when it is loaded. No gradient: training keeps the batchnorm. */
#include "ops/ops_util.h"

#include <math.h>

static Status infer(Infer *c)
{
    int64_t dim = attr_int(c->n, "dim");
    if (dim < 0 || dim >= c->in[0].shape.rank) return infer_fail(c, "the weight has no dimension %lld", (long long)dim);
    for (int i = 1; i < c->n->n_in; i++)
        if (c->in[i].shape.rank >= 0 && (c->in[i].shape.rank != 1 || c->in[i].shape.dim[0] != c->in[0].shape.dim[dim]))
            return infer_fail(c, "batchnorm has another number of channels than the weight");
    c->out[0] = c->in[0];
    c->out[1] = c->in[1];
    return DYN_OK;
}

static void ref(const RefCall *c)
{
    const Tensor *w = &c->in[0], *gamma = &c->in[1], *beta = &c->in[2], *mean = &c->in[3], *var = &c->in[4],
                 *b = &c->in[5];
    int64_t O = w->dim[attr_int(c->n, "dim")], kernels = 1;
    for (int d = 0; d < attr_int(c->n, "dim"); d++)
        kernels *= w->dim[d];
    int64_t per_out = tensor_count(w) / O / kernels;
    double eps = attr_float(c->n, "eps");
    for (int64_t o = 0; o < O; o++) {
        double g = tensor_get(gamma, o) / sqrt(tensor_get(var, o) + eps);
        for (int64_t k = 0; k < kernels; k++)
            for (int64_t i = (k * O + o) * per_out; i < (k * O + o + 1) * per_out; i++)
                tensor_set(&c->out[0], i, tensor_get(w, i) * g);
        tensor_set(&c->out[1], o, tensor_get(beta, o) + ((b->data ? tensor_get(b, o) : 0) - tensor_get(mean, o)) * g);
    }
}

static Cost cost(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { 0, 0 }; /* at load time, not per image */
}

const OpDef op_fold_conv = { .name = "fold_conv",
                             .doc = "batchnorm folded into a convolution's weight and bias",
                             .in = "w gamma beta mean var b?",
                             .out = "w b",
                             .attrs = "eps=1e-3 dim=0",
                             .infer = infer,
                             .ref = ref,
                             .cost = cost,
                             .cases = "w[4,3,3,3] gamma[4] beta[4] mean[4] var[4]:pos b[4]\n"
                                      "w[3,4,2,3,3] gamma[4] beta[4] mean[4] var[4]:pos b[4] dim=1\n"
                                      "w[3,4] gamma[4] beta[4] mean[4] var[4]:pos dim=1\n" };
