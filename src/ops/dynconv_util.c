/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/dynconv_util.h"

const DynConvPorts *dynconv_ports(const OpDef *op)
{
    static const DynConvPorts y = { 0, -1, 1, 2, 3, 4, 5, 6, 7, 8 }, dx = { 6, 0, 1, 2, -1, 3, 4, 5, -1, -1 },
                              dw = { 1, 0, 2, 3, 4, 5, 6, 7, -1, -1 };
    return op == &op_dynconv2d ? &y : op == &op_dynconv2d_dw ? &dw : &dx;
}

ConvGeometry dynconv_geometry(const Node *n, const int64_t x[4], const int64_t bank[5])
{
    return conv_geometry(n, x, bank + 1, attr_int(n, "same"));
}

static const Type *type_at(const Node *n, const Type *in, int port)
{
    return port >= 0 && port < n->n_in && in[port].shape.rank >= 0 ? &in[port] : NULL;
}

/* Operand `port`, when it is there, has this shape; per_sample: and is f32 whatever the type of x. */
static Status check_shape(Infer *c, const DynConvPorts *p, int port, const char *name, Shape want, bool per_sample)
{
    const Type *t = type_at(c->n, c->in, port);
    char got[96], wanted[96];
    if (!t) return DYN_OK;
    if (!shape_eq(&t->shape, &want))
        return infer_fail(c, "%s is %s, x and the bank want %s", name, shape_text(&t->shape, got, sizeof got),
                          shape_text(&want, wanted, sizeof wanted));
    if (per_sample && t->dtype != wide_dtype(c->in[p->x].dtype))
        return infer_fail(c, "%s must be f32, it is %s", name, dtype_name(t->dtype));
    return DYN_OK;
}

Status dynconv_check(Infer *c, const DynConvPorts *p, ConvGeometry *q)
{
    const Shape *x = &c->in[p->x].shape, *bank = &c->in[p->bank].shape;
    int64_t N = x->dim[0], K = bank->dim[0];
    if (x->rank != 4 || bank->rank != 5) return infer_fail(c, "wants x[N,C,H,W] and bank[K,O,C/groups,kh,kw]");
    *q = dynconv_geometry(c->n, x->dim, bank->dim);
    TRY(conv_check(c, q));
    if (K > DYNCONV_MAX_KERNELS)
        return infer_fail(c, "a bank of %lld kernels; at most %d are mixed", (long long)K, DYNCONV_MAX_KERNELS);
    if (K > 1 && !type_at(c->n, c->in, p->mix))
        return infer_fail(c, "a bank of %lld kernels needs mix, the share of each", (long long)K);
    TRY(check_shape(c, p, p->dy, "dy", SHAPE(N, q->O, q->Ho, q->Wo), false));
    TRY(check_shape(c, p, p->mix, "mix", SHAPE(N, K, 1, 1), true));
    TRY(check_shape(c, p, p->bias_bank, "bias_bank", SHAPE(K, q->O), false));
    TRY(check_shape(c, p, p->in_scale, "in_scale", SHAPE(N, q->C, 1, 1), true));
    TRY(check_shape(c, p, p->out_scale, "out_scale", SHAPE(N, q->O, 1, 1), true));
    TRY(check_shape(c, p, p->spatial, "spatial", SHAPE(N, q->kh * q->kw, 1, 1), true));
    return check_shape(c, p, p->b, "b", SHAPE(q->O), false);
}

double dynconv_mix_macs(const Node *n, const Type *in, const ConvGeometry *q, int64_t batch)
{
    const DynConvPorts *p = dynconv_ports(n->op);
    if (!type_at(n, in, p->mix) && !type_at(n, in, p->spatial)) return 0;
    return (double)batch * count_of(&in[p->bank]);
}

const Tensor *dynconv_operand(const RefCall *c, int port)
{
    return port >= 0 && port < c->n->n_in && c->in[port].data ? &c->in[port] : NULL;
}

double dynconv_mix_at(const RefCall *c, int64_t n, int64_t k)
{
    const Tensor *mix = dynconv_operand(c, dynconv_ports(c->n->op)->mix);
    return mix ? load4(mix, n, k, 0, 0) : 1;
}

double dynconv_scale_at(const ConvGeometry *q, const RefCall *c, int64_t n, int64_t o, int64_t i, int64_t a, int64_t b)
{
    const DynConvPorts *p = dynconv_ports(c->n->op);
    const Tensor *in = dynconv_operand(c, p->in_scale), *out = dynconv_operand(c, p->out_scale),
                 *spatial = dynconv_operand(c, p->spatial);
    return (in ? load4(in, n, o / (q->O / q->groups) * q->I + i, 0, 0) : 1) * (out ? load4(out, n, o, 0, 0) : 1) *
           (spatial ? load4(spatial, n, a * q->kw + b, 0, 0) : 1);
}

double dynconv_mixed_at(const ConvGeometry *q, const RefCall *c, int64_t n, int64_t o, int64_t i, int64_t a, int64_t b)
{
    const Tensor *bank = &c->in[dynconv_ports(c->n->op)->bank];
    int64_t each = q->O * q->I * q->kh * q->kw, at = ((o * q->I + i) * q->kh + a) * q->kw + b;
    double sum = 0;
    for (int64_t k = 0; k < bank->dim[0]; k++)
        sum += dynconv_mix_at(c, n, k) * dtype_load(bank->data, bank->dtype, k * each + at);
    return sum;
}

double dynconv_weight_at(const ConvGeometry *q, const RefCall *c, int64_t n, int64_t o, int64_t i, int64_t a, int64_t b)
{
    return dynconv_scale_at(q, c, n, o, i, a, b) * dynconv_mixed_at(q, c, n, o, i, a, b);
}
