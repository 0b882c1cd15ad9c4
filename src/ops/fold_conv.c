/* SPDX-License-Identifier: Apache-2.0
 *
 * fold_conv - a convolution's weight and bias with the batchnorm after it folded in (spec 2.9):
 *   g = gamma / sqrt(var + eps)     w' [O,I,kh,kw] = w * g     b' [O] = beta + (b - mean) * g        b optional
 * Over parameters only: a program computes it once, when it is loaded. No gradient: training keeps the batchnorm. */
#include "ops/ops_util.h"

#include <math.h>

static Status infer(Infer *c)
{
    for (int i = 1; i < c->n->n_in; i++)
        if (c->in[i].shape.rank >= 0 && (c->in[i].shape.rank != 1 || c->in[i].shape.dim[0] != c->in[0].shape.dim[0]))
            return infer_fail(c, "batchnorm has another number of channels than the weight");
    c->out[0] = c->in[0];
    c->out[1] = c->in[1];
    return DYN_OK;
}

static void ref(const RefCall *c)
{
    const Tensor *w = &c->in[0], *gamma = &c->in[1], *beta = &c->in[2], *mean = &c->in[3], *var = &c->in[4],
                 *b = c->n->n_in > 5 ? &c->in[5] : NULL;
    int64_t O = w->dim[0], per_out = tensor_count(w) / O;
    double eps = attr_float(c->n, "eps");
    for (int64_t o = 0; o < O; o++) {
        double g = load_i(gamma, o) / sqrt(load_i(var, o) + eps);
        for (int64_t k = 0; k < per_out; k++)
            store_i(&c->out[0], o * per_out + k, load_i(w, o * per_out + k) * g);
        store_i(&c->out[1], o, load_i(beta, o) + ((b && b->data ? load_i(b, o) : 0) - load_i(mean, o)) * g);
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
                             .attrs = "eps=1e-3",
                             .infer = infer,
                             .ref = ref,
                             .cost = cost,
                             .cases = "w[4,3,3,3] gamma[4] beta[4] mean[4] var[4]:pos b[4]\n" };
