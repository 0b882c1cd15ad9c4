/* SPDX-License-Identifier: Apache-2.0
 *
 * batchnorm - normalisation per channel over batch and space (Ioffe & Szegedy 2015), with the activation that follows.
 *   x [N,C,H,W] or [N,C]   gamma beta mean var [C]   y = act(gamma (x - mu) rstd + beta) + res, rstd = 1 / sqrt(v +
 * eps) save_mean save_rstd [C]: the mu and rstd that were used; f32 (F64 when x is) train=1: mu and v are the batch's
 * own (v biased), and the running statistics move: running <- (1-m) running + m batch, with the unbiased variance.
 * train=0: mu and v are the running ones. One value per channel has no variance: then train=1 normalises with the
 * running statistics, too, and leaves them alone (PyTorch refuses such a batch). */
#include "ops/ops_util.h"

#include <math.h>

/* [N,C] as [N,C,1,1] */
static Tensor as_image(const Tensor *t)
{
    Tensor x = *t;
    for (; x.rank < 4; x.rank++)
        x.dim[x.rank] = 1, x.stride[x.rank] = 0;
    return x;
}

static int64_t per_channel(const Tensor *x)
{
    return x->dim[0] * x->dim[2] * x->dim[3];
}

static bool uses_batch(const Node *n, const Tensor *x)
{
    return attr_int(n, "train") && per_channel(x) > 1;
}

/* x, and four inputs from first on that have an element a channel. */
static Status check(Infer *c, const Shape *x, int first)
{
    if (x->rank != 4 && x->rank != 2) return infer_fail(c, "wants x[N,C,H,W] or x[N,C]");
    for (int i = first; i < first + 4; i++)
        if (c->in[i].shape.rank != 1 || c->in[i].shape.dim[0] != x->dim[1])
            return infer_fail(c, "input has %lld channels, gamma, beta, mean and var must be [%lld]",
                              (long long)x->dim[1], (long long)x->dim[1]);
    if (!act_known(attr_text(c->n, "act"))) return infer_fail(c, "unknown activation '%s'", attr_text(c->n, "act"));
    return DYN_OK;
}

static Status infer(Infer *c)
{
    const Shape *x = &c->in[0].shape;
    TRY(check(c, x, 1));
    if (c->in[5].shape.rank >= 0 && (!shape_eq(&c->in[5].shape, x) || c->in[5].dtype != c->in[0].dtype))
        return infer_fail(c, "the residual must be of the type of x");
    c->out[0] = c->in[0];
    c->out[0].rowmajor = false;
    c->out[1] = c->out[2] = (Type) { .dtype = wide_dtype(c->in[0].dtype), .shape = SHAPE(x->dim[1]) };
    return DYN_OK;
}

static void batch_statistics(const Tensor *x, int64_t ch, double *mean, double *var)
{
    double sum = 0, squares = 0;
    for (int64_t n = 0; n < x->dim[0]; n++)
        for (int64_t h = 0; h < x->dim[2]; h++)
            for (int64_t w = 0; w < x->dim[3]; w++)
                sum += load4(x, n, ch, h, w);
    *mean = sum / (double)per_channel(x);
    for (int64_t n = 0; n < x->dim[0]; n++)
        for (int64_t h = 0; h < x->dim[2]; h++)
            for (int64_t w = 0; w < x->dim[3]; w++) {
                double d = load4(x, n, ch, h, w) - *mean;
                squares += d * d;
            }
    *var = squares / (double)per_channel(x);
}

static void ref(const RefCall *c)
{
    Tensor x = as_image(&c->in[0]), y = as_image(&c->out[0]), running_mean = c->in[3], running_var = c->in[4];
    Tensor res = c->in[5].data ? as_image(&c->in[5]) : (Tensor) { 0 };
    const char *act = attr_text(c->n, "act");
    double m = attr_float(c->n, "momentum"), count = (double)per_channel(&x);
    for (int64_t ch = 0; ch < x.dim[1]; ch++) {
        double mean = tensor_get(&running_mean, ch), var = tensor_get(&running_var, ch);
        if (uses_batch(c->n, &x)) {
            double old_mean = mean, old_var = var;
            batch_statistics(&x, ch, &mean, &var);
            tensor_set(&running_mean, ch, (1 - m) * old_mean + m * mean);
            tensor_set(&running_var, ch, (1 - m) * old_var + m * var * count / (count - 1));
        }
        double rstd = 1 / sqrt(var + attr_float(c->n, "eps"));
        double a = tensor_get(&c->in[1], ch) * rstd, b = tensor_get(&c->in[2], ch);
        for (int64_t n = 0; n < x.dim[0]; n++)
            for (int64_t h = 0; h < x.dim[2]; h++)
                for (int64_t w = 0; w < x.dim[3]; w++) {
                    double v = act_value(act, a * (load4(&x, n, ch, h, w) - mean) + b);
                    store4(&y, n, ch, h, w, res.data ? v + load4(&res, n, ch, h, w) : v);
                }
        tensor_set(&c->out[1], ch, mean);
        tensor_set(&c->out[2], ch, rstd);
    }
}

static void grad(Grad *c)
{
    Value out;
    if (!c->dy[0].id) return;
    out = graph_emit(c->g, op_batchnorm.also,
                     INS(c->dy[0], c->in[0], c->in[1], c->in[2], value_at(c->out[0], 1), value_at(c->out[0], 2)),
                     c->n->attr, c->n->n_attr);
    for (int i = 0; i < 3; i++)
        c->dx[i] = value_at(out, i);
    if (c->in[5].id) c->dx[5] = c->dy[0];
}

/* Scale and shift; training adds two sums, a difference and a square. A profiler counts the layer on images only. */
static Cost cost(const Node *n, const Type *in, const Type *out)
{
    double each = (attr_int(n, "train") ? 6 : 2) + act_flops(attr_text(n, "act")) + (n->in[5].id ? 1 : 0);
    return (Cost) { each * count_of(&in[0]), in[0].shape.rank == 4 ? 4 * count_of(&in[0]) : 0 };
}

/* ---- batchnorm_grad: dy x gamma beta save_mean save_rstd -> dx like x, dgamma dbeta [C] ------------------------ */

static Status infer_grad(Infer *c)
{
    TRY(check(c, &c->in[1].shape, 2));
    TRY(infer_pair(c));
    c->out[1] = c->out[2] = (Type) { .dtype = wide_dtype(c->in[1].dtype), .shape = SHAPE(c->in[1].shape.dim[1]) };
    return DYN_OK;
}

typedef struct Channel {
    double gamma, beta, mean, rstd;
} Channel;

/* Normalised input and the gradient at the pre-activation z = gamma xhat + beta. */
static void at_pixel(double x, double dy, const Channel *q, const char *act, double *xhat, double *dz)
{
    *xhat = (x - q->mean) * q->rstd;
    *dz = dy * act_slope(act, q->gamma * *xhat + q->beta);
}

static void ref_grad(const RefCall *c)
{
    Tensor dy = as_image(&c->in[0]), x = as_image(&c->in[1]), dx = as_image(&c->out[0]);
    const char *act = attr_text(c->n, "act");
    double count = (double)per_channel(&x), xhat, dz;
    for (int64_t ch = 0; ch < x.dim[1]; ch++) {
        Channel q = { tensor_get(&c->in[2], ch), tensor_get(&c->in[3], ch), tensor_get(&c->in[4], ch),
                      tensor_get(&c->in[5], ch) };
        double dgamma = 0, dbeta = 0;
        for (int64_t n = 0; n < x.dim[0]; n++)
            for (int64_t h = 0; h < x.dim[2]; h++)
                for (int64_t w = 0; w < x.dim[3]; w++) {
                    at_pixel(load4(&x, n, ch, h, w), load4(&dy, n, ch, h, w), &q, act, &xhat, &dz);
                    dgamma += dz * xhat;
                    dbeta += dz;
                }
        /* The statistics follow the batch only when they are the batch's own. */
        double through_mean = uses_batch(c->n, &x) ? dbeta / count : 0;
        double through_var = uses_batch(c->n, &x) ? dgamma / count : 0;
        for (int64_t n = 0; n < x.dim[0]; n++)
            for (int64_t h = 0; h < x.dim[2]; h++)
                for (int64_t w = 0; w < x.dim[3]; w++) {
                    at_pixel(load4(&x, n, ch, h, w), load4(&dy, n, ch, h, w), &q, act, &xhat, &dz);
                    store4(&dx, n, ch, h, w, q.gamma * q.rstd * (dz - through_mean - xhat * through_var));
                }
        tensor_set(&c->out[1], ch, dgamma);
        tensor_set(&c->out[2], ch, dbeta);
    }
}

static Cost cost_grad(const Node *n, const Type *in, const Type *out)
{
    double each = (attr_int(n, "train") ? 10 : 6) + 2 * act_flops(attr_text(n, "act"));
    return (Cost) { each * count_of(&in[0]), 0 };
}

#define NORM_ATTRS "train=0 eps=1e-3 momentum=0.03 act=none"

static const OpDef op_batchnorm_grad = { .name = "batchnorm_grad",
                                         .doc = "gradients of batchnorm",
                                         .in = "dy x gamma beta save_mean save_rstd",
                                         .out = "dx dgamma dbeta",
                                         .attrs = NORM_ATTRS,
                                         .infer = infer_grad,
                                         .ref = ref_grad,
                                         .cost = cost_grad };
const OpDef op_batchnorm = { .name = "batchnorm",
                             .doc = "normalisation per channel with optional activation and residual",
                             .in = "x gamma beta mean var res?",
                             .out = "y save_mean save_rstd",
                             .attrs = NORM_ATTRS,
                             .updates = 1 << 3 | 1 << 4,
                             .infer = infer,
                             .grad = grad,
                             .ref = ref,
                             .cost = cost,
                             .also = &op_batchnorm_grad,
                             .cases = "x[1,5,3,7] gamma[5] beta[5] mean[5] var[5]:pos\n"
                                      "x[3,4,3,5] gamma[4] beta[4] mean[4] var[4]:pos act=silu\n"
                                      "x[3,4,3,5] gamma[4] beta[4] mean[4] var[4]:pos train=1 momentum=0.1\n"
                                      "x[1,17,2,3] gamma[17] beta[17] mean[17] var[17]:pos train=1 act=silu\n"
                                      "x[2,6,3,4] gamma[6] beta[6] mean[6] var[6]:pos res[2,6,3,4] train=1 act=silu\n"
                                      "x[5,3] gamma[3] beta[3] mean[3] var[3]:pos train=1 eps=1e-5\n"
                                      "x[1,3,1,1] gamma[3] beta[3] mean[3] var[3]:pos train=1 act=tanh\n" };
