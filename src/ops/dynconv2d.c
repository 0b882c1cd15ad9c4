/* SPDX-License-Identifier: Apache-2.0
 *
 * dynconv2d - convolution with a kernel of its own for every sample: a mix of the kernels of a bank, scaled along its
 * input channels, output channels and taps. One operator under all dynamic convolutions: CondConv (arXiv 1904.04971),
 * Dynamic Convolution (1912.03458), ODConv (2209.07947).
 *   x [N,C,H,W]   bank [K,O,C/groups,kh,kw]   mix [N,K,1,1] (without: K = 1, weight 1)   bias_bank [K,O]
 *   in_scale [N,C,1,1]   out_scale [N,O,1,1]   spatial [N,kh*kw,1,1]   b [O]   res [N,O,Ho,Wo]
 *   W_n = spatial[n] * sum_k mix[n,k] bank[k]
 *   y_n = act(out_scale[n] * conv(in_scale[n] * x_n, W_n) + sum_k mix[n,k] bias_bank[k] + b) + res
 * All but x and bank are optional; mix and the scales are f32 also where x is bf16. b is added once, whatever the mix
 * sums to: a folded batchnorm's shift. same=1: see conv_geometry. Attributes else, and gradients, as in conv2d.
 *
 * Gradients (spec D.4), per sample, from the raw gradient of its kernel E = conv_dw(x_n, dy_n), which needs none of the
 * operands; c, f, s the scales, M = sum_k mix W_k:
 *   dx = c conv_dx(f dy, s M)        dbank_k = mix_k c f s E        dmix_k = <W_k, c f s E> + <bias_k, sum dy>
 *   dc_i = sum f s M E over the weights that read channel i;  df_o = sum c s M E over output o;  ds_t = sum c f M E
 *   over tap t;  dbias_k = mix_k sum dy */
#include "ops/dynconv_util.h"

#include "ops/ops.h"

static Status infer(Infer *c)
{
    ConvGeometry q;
    const DynConvPorts *p = dynconv_ports(c->n->op);
    TRY(dynconv_check(c, p, &q));
    return conv_infer_y(c, &q, &c->in[p->x], p->res < c->n->n_in ? &c->in[p->res] : NULL);
}

static bool there(const Node *n, const Type *in, int port)
{
    return port < n->n_in && in[port].shape.rank >= 0;
}

static double macs(const Node *n, const Type *in, const Type *out)
{
    const DynConvPorts *p = dynconv_ports(n->op);
    const Type *x = &in[p->x];
    ConvGeometry q = dynconv_geometry(n, x->shape.dim, in[p->bank].shape.dim);
    double bias = there(n, in, p->bias_bank) ? (double)x->shape.dim[0] * count_of(&in[p->bias_bank]) : 0;
    return conv_macs(&q, x->shape.dim[0]) + dynconv_mix_macs(n, in, &q, x->shape.dim[0]) + bias;
}

/* A profiler of layers sees nothing of this: the reference's modules call the convolution as a function (spec G.1). */
static Cost cost(const Node *n, const Type *in, const Type *out)
{
    const DynConvPorts *p = dynconv_ports(n->op);
    const Type *x = &in[p->x];
    double extra = 0;
    if (there(n, in, p->in_scale)) extra += count_of(x);
    if (there(n, in, p->out_scale)) extra += count_of(&out[0]);
    bool bias = there(n, in, p->bias_bank) || there(n, in, p->b);
    return (Cost) { 2 * macs(n, in, out) + extra + conv_extra_flops(n, &out[0], bias, there(n, in, p->res)), 0 };
}

/* sum_k mix[n,k] bias_bank[k,o] + b[o] */
static double bias_at(const RefCall *c, const DynConvPorts *p, int64_t n, int64_t o)
{
    const Tensor *bias = dynconv_operand(c, p->bias_bank), *b = dynconv_operand(c, p->b);
    double sum = b ? tensor_get(b, o) : 0;
    for (int64_t k = 0; bias && k < bias->dim[0]; k++)
        sum += dynconv_mix_at(c, n, k) * tensor_get(bias, k * bias->dim[1] + o);
    return sum;
}

static void ref(const RefCall *c)
{
    const DynConvPorts *p = dynconv_ports(c->n->op);
    const Tensor *x = &c->in[p->x], *r = dynconv_operand(c, p->res);
    Tensor *y = &c->out[0];
    ConvGeometry q = dynconv_geometry(c->n, x->dim, c->in[p->bank].dim);
    for (int64_t n = 0; n < y->dim[0]; n++)
        for (int64_t o = 0; o < q.O; o++)
            for (int64_t h = 0; h < q.Ho; h++)
                for (int64_t v = 0; v < q.Wo; v++) {
                    double sum = conv_y_at(&q, c, dynconv_weight_at, x, n, o, h, v) + bias_at(c, p, n, o);
                    sum = act_value(attr_text(c->n, "act"), sum);
                    store4(y, n, o, h, v, r ? sum + load4(r, n, o, h, v) : sum);
                }
}

static void grad(Grad *c)
{
    const DynConvPorts *p = dynconv_ports(c->n->op);
    Value dy = c->dy[0], in[9] = { 0 };
    for (int i = 0; i < c->n->n_in; i++)
        in[i] = c->in[i];
    if (!dy.id) return;
    if (!attr_is(c->n, "act", "none") || in[p->res].id) {
        graph_fail(c->g, DYN_UNSUPPORTED,
                   "dynconv2d '%s' has a fused activation or residual: differentiate before fusing", c->n->name);
        return;
    }
    if (attr_is(c->n, "out", "f32")) dy = EMIT(c->g, cast, INS(dy, in[p->x]), NO_ATTRS);
    if (c->need[p->x])
        c->dx[p->x] =
            graph_emit(c->g, op_dynconv2d.also,
                       INS(dy, in[p->bank], in[p->mix], in[p->in_scale], in[p->out_scale], in[p->spatial], in[p->x]),
                       c->n->attr, c->n->n_attr);
    bool any = false;
    for (int i = p->bank; i <= p->spatial && i < c->n->n_in; i++)
        any |= in[i].id && c->need[i];
    if (any) {
        Value dw = graph_emit(c->g, &op_dynconv2d_dw,
                              INS(dy, in[p->x], in[p->bank], in[p->mix], in[p->bias_bank], in[p->in_scale],
                                  in[p->out_scale], in[p->spatial]),
                              c->n->attr, c->n->n_attr);
        for (int i = p->bank; i <= p->spatial && i < c->n->n_in; i++)
            if (in[i].id && c->need[i]) c->dx[i] = value_at(dw, i - p->bank);
    }
    if (in[p->b].id && c->need[p->b]) c->dx[p->b] = EMIT(c->g, bias_grad, INS(dy), NO_ATTRS);
}

/* ---- dynconv2d_dx: dy, bank, mix, in_scale, out_scale, spatial, x (shape only) -> dx like x -----------------------
 */

static Status infer_dx(Infer *c)
{
    ConvGeometry q;
    const DynConvPorts *p = dynconv_ports(c->n->op);
    TRY(dynconv_check(c, p, &q));
    return infer_like(c, p->x);
}

static Cost cost_dx(const Node *n, const Type *in, const Type *out)
{
    const DynConvPorts *p = dynconv_ports(n->op);
    int64_t N = in[p->x].shape.dim[0];
    ConvGeometry q = dynconv_geometry(n, in[p->x].shape.dim, in[p->bank].shape.dim);
    return (Cost) { 2 * (conv_macs(&q, N) + dynconv_mix_macs(n, in, &q, N)), 0 };
}

static void ref_dx(const RefCall *c)
{
    const DynConvPorts *p = dynconv_ports(c->n->op);
    Tensor *dx = &c->out[0];
    ConvGeometry q = dynconv_geometry(c->n, dx->dim, c->in[p->bank].dim);
    for (int64_t n = 0; n < dx->dim[0]; n++)
        for (int64_t ch = 0; ch < q.C; ch++)
            for (int64_t h = 0; h < q.H; h++)
                for (int64_t v = 0; v < q.W; v++)
                    store4(dx, n, ch, h, v, conv_dx_at(&q, c, dynconv_weight_at, &c->in[p->dy], n, ch, h, v));
}

/* ---- dynconv2d_dw: dy, x, bank, mix, bias_bank, in_scale, out_scale, spatial -> the gradients of the last six -------
 * All f32. For an operand that is void: one element, 0. */

enum { D_BANK, D_MIX, D_BIAS_BANK, D_IN_SCALE, D_OUT_SCALE, D_SPATIAL, N_DW };

static Status infer_dw(Infer *c)
{
    ConvGeometry q;
    const DynConvPorts *p = dynconv_ports(c->n->op);
    TRY(dynconv_check(c, p, &q));
    for (int k = 0; k < N_DW; k++) {
        c->out[k] = there(c->n, c->in, p->bank + k) ? c->in[p->bank + k] : (Type) { .shape = SHAPE(1) };
        c->out[k].dtype = wide_dtype(c->in[p->x].dtype);
    }
    return DYN_OK;
}

/* E as conv2d_dw; per sample and kernel of the bank a product for dmix and a sum for dbank, and as much for making M
 * where a scale is learned; a product and a sum of each weight for every scale. */
static Cost cost_dw(const Node *n, const Type *in, const Type *out)
{
    const DynConvPorts *p = dynconv_ports(n->op);
    int64_t N = in[p->x].shape.dim[0];
    ConvGeometry q = dynconv_geometry(n, in[p->x].shape.dim, in[p->bank].shape.dim);
    int scales = there(n, in, p->in_scale) + there(n, in, p->out_scale) + there(n, in, p->spatial);
    double each = (double)(q.O * q.I * q.kh * q.kw), macs = conv_macs(&q, N);
    macs += (double)N * count_of(&in[p->bank]) * (1 + there(n, in, p->mix) + (scales > 0));
    return (Cost) { 2 * (macs + (double)N * each * scales), 0 };
}

typedef struct DwCall {
    const RefCall *c;
    const DynConvPorts *p;
    ConvGeometry q;
    int64_t N, K;
} DwCall;

static double raw(const DwCall *d, int64_t n, int64_t o, int64_t i, int64_t t)
{
    return conv_dw_at(&d->q, &d->c->in[d->p->dy], &d->c->in[d->p->x], n, o, i, t / d->q.kw, t % d->q.kw);
}

/* c f s E, without the scale `but` (a port; -1: with all). */
static double scaled(const DwCall *d, int but, int64_t n, int64_t o, int64_t i, int64_t t)
{
    const Tensor *x = dynconv_operand(d->c, d->p->in_scale), *y = dynconv_operand(d->c, d->p->out_scale),
                 *s = dynconv_operand(d->c, d->p->spatial);
    double e = raw(d, n, o, i, t);
    if (x && but != d->p->in_scale) e *= load4(x, n, o / (d->q.O / d->q.groups) * d->q.I + i, 0, 0);
    if (y && but != d->p->out_scale) e *= load4(y, n, o, 0, 0);
    if (s && but != d->p->spatial) e *= load4(s, n, t, 0, 0);
    return e;
}

/* The same times M: what the scale `but` of this weight gains. */
static double gain(const DwCall *d, int but, int64_t n, int64_t o, int64_t i, int64_t t)
{
    return scaled(d, but, n, o, i, t) * dynconv_mixed_at(&d->q, d->c, n, o, i, t / d->q.kw, t % d->q.kw);
}

static void ref_dbank(const DwCall *d)
{
    Tensor *dbank = &d->c->out[D_BANK];
    const Tensor *dy = &d->c->in[d->p->dy];
    int64_t taps = d->q.kh * d->q.kw, each = d->q.O * d->q.I * taps;
    for (int64_t o = 0; o < d->q.O; o++)
        for (int64_t i = 0; i < d->q.I; i++)
            for (int64_t t = 0; t < taps; t++) {
                double sum[DYNCONV_MAX_KERNELS] = { 0 };
                for (int64_t n = 0; n < d->N; n++) {
                    double e = scaled(d, -1, n, o, i, t);
                    for (int64_t k = 0; k < d->K; k++)
                        sum[k] += dynconv_mix_at(d->c, n, k) * e;
                }
                for (int64_t k = 0; k < d->K; k++)
                    tensor_set(dbank, k * each + (o * d->q.I + i) * taps + t, sum[k]);
            }
    for (int64_t k = 0; k < d->K && dynconv_operand(d->c, d->p->bias_bank); k++)
        for (int64_t o = 0; o < d->q.O; o++) {
            double sum = 0;
            for (int64_t n = 0; n < d->N; n++)
                sum += dynconv_mix_at(d->c, n, k) * conv_db_at(dy, n, o);
            tensor_set(&d->c->out[D_BIAS_BANK], k * d->q.O + o, sum);
        }
}

static void ref_dmix(const DwCall *d)
{
    const Tensor *bank = &d->c->in[d->p->bank], *bias = dynconv_operand(d->c, d->p->bias_bank);
    int64_t taps = d->q.kh * d->q.kw, each = d->q.O * d->q.I * taps;
    for (int64_t n = 0; n < d->N; n++) {
        double sum[DYNCONV_MAX_KERNELS] = { 0 };
        for (int64_t w = 0; w < each; w++) {
            double e = scaled(d, -1, n, w / taps / d->q.I, w / taps % d->q.I, w % taps);
            for (int64_t k = 0; k < d->K; k++)
                sum[k] += tensor_get(bank, k * each + w) * e;
        }
        for (int64_t o = 0; bias && o < d->q.O; o++)
            for (int64_t k = 0; k < d->K; k++)
                sum[k] += tensor_get(bias, k * d->q.O + o) * conv_db_at(&d->c->in[d->p->dy], n, o);
        for (int64_t k = 0; k < d->K; k++)
            store4(&d->c->out[D_MIX], n, k, 0, 0, sum[k]);
    }
}

static void ref_dscales(const DwCall *d, int64_t n)
{
    const DynConvPorts *p = d->p;
    int64_t taps = d->q.kh * d->q.kw, per_group = d->q.O / d->q.groups;
    for (int64_t ch = 0; ch < d->q.C && dynconv_operand(d->c, p->in_scale); ch++) {
        double sum = 0;
        for (int64_t j = 0; j < per_group * taps; j++)
            sum += gain(d, p->in_scale, n, ch / d->q.I * per_group + j / taps, ch % d->q.I, j % taps);
        store4(&d->c->out[D_IN_SCALE], n, ch, 0, 0, sum);
    }
    for (int64_t o = 0; o < d->q.O && dynconv_operand(d->c, p->out_scale); o++) {
        double sum = 0;
        for (int64_t j = 0; j < d->q.I * taps; j++)
            sum += gain(d, p->out_scale, n, o, j / taps, j % taps);
        store4(&d->c->out[D_OUT_SCALE], n, o, 0, 0, sum);
    }
    for (int64_t t = 0; t < taps && dynconv_operand(d->c, p->spatial); t++) {
        double sum = 0;
        for (int64_t j = 0; j < d->q.O * d->q.I; j++)
            sum += gain(d, p->spatial, n, j / d->q.I, j % d->q.I, t);
        store4(&d->c->out[D_SPATIAL], n, t, 0, 0, sum);
    }
}

static void ref_dw(const RefCall *c)
{
    const DynConvPorts *p = dynconv_ports(c->n->op);
    const Tensor *x = &c->in[p->x], *bank = &c->in[p->bank];
    DwCall d = { c, p, dynconv_geometry(c->n, x->dim, bank->dim), x->dim[0], bank->dim[0] };
    for (int k = 0; k < N_DW; k++)
        if (!dynconv_operand(c, p->bank + k)) tensor_set(&c->out[k], 0, 0);
    ref_dbank(&d);
    if (dynconv_operand(c, p->mix)) ref_dmix(&d);
    for (int64_t n = 0; n < d.N; n++)
        ref_dscales(&d, n);
}

const OpDef op_dynconv2d_dw = { .name = "dynconv2d_dw",
                                .doc = "gradients of dynconv2d by its bank, mix and scales",
                                .in = "dy x bank mix? bias_bank? in_scale? out_scale? spatial?",
                                .out = "dbank dmix dbias_bank din_scale dout_scale dspatial",
                                .attrs = DYNCONV_ATTRS,
                                .infer = infer_dw,
                                .cost = cost_dw,
                                .ref = ref_dw };
static const OpDef op_dynconv2d_dx = { .name = "dynconv2d_dx",
                                       .doc = "gradient of dynconv2d by x",
                                       .in = "dy bank mix? in_scale? out_scale? spatial? x",
                                       .out = "dx",
                                       .attrs = DYNCONV_ATTRS,
                                       .shape_only = 1 << 6,
                                       .infer = infer_dx,
                                       .cost = cost_dx,
                                       .ref = ref_dx,
                                       .also = &op_dynconv2d_dw };
#define MIXED(n, k) "mix[" #n "," #k ",1,1]:wide "
const OpDef op_dynconv2d = {
    .name = "dynconv2d",
    .doc = "convolution with a kernel for every sample, mixed from a bank and scaled",
    .in = "x bank mix? bias_bank? in_scale? out_scale? spatial? b? res?",
    .out = "y",
    .attrs = DYNCONV_ATTRS,
    .infer = infer,
    .grad = grad,
    .cost = cost,
    .macs = macs,
    .ref = ref,
    .also = &op_dynconv2d_dx,
    .cases = "x[3,4,5,6] bank[3,6,4,3,3]:wide " MIXED(
        3,
        3) "stride=2 pad=1\n"
           "x[2,4,5,3] bank[4,6,2,3,3]:wide " MIXED(
               2,
               4) "bias_bank[4,6]:wide "
                  "in_scale[2,4,1,1]:wide out_scale[2,6,1,1]:wide spatial[2,9,1,1]:wide b[6]:wide "
                  "groups=2 pad=1\n"
                  "x[3,5,4,5] bank[2,5,1,3,3]:wide " MIXED(
                      3,
                      2) "bias_bank[2,5]:wide groups=5 pad=1\n"
                         "x[1,2,7,6] bank[2,3,2,3,3]:wide " MIXED(
                             1,
                             2) "dilation=2 pad=2 pad_w=1\n"
                                "x[2,3,4,5] bank[1,4,3,1,1]:wide - - in_scale[2,3,1,1]:wide out_scale[2,4,1,1]:wide\n"
                                "x[2,3,4,5] bank[1,4,3,3,3]:wide - bias_bank[1,4]:wide - - spatial[2,9,1,1]:wide pad=1 "
                                "out=f32\n"
                                "x[2,3,5,6] bank[2,2,3,3,3]:wide " MIXED(
                                    2, 2) "same=1 stride=2\n"
                                          "x[1,3,5,6] bank[2,2,3,2,4]:wide " MIXED(
                                              1, 2) "same=1 stride=3\n"
                                                    "x[2,4,6,5] bank[2,5,4,3,3]:wide " MIXED(
                                                        2, 2) "- - - - b[5]:wide res[2,5,6,5] pad=1 "
                                                              "act=silu\n"
};
