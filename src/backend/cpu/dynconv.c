/* SPDX-License-Identifier: Apache-2.0
 *
 * dynconv2d and dynconv2d_dx: one sample after the other, its kernel mixed in the layout of the convolution that runs
 * with it (mixed_conv_util.h). A constant bank is packed once, another one at each run. The bias is mixed into one that
 * the convolution is given at run time; what else conv2d fuses is fused here. */
#include "backend/cpu/dynconv_util.h"
#include "backend/cpu/mixed_conv_util.h"

typedef struct State {
    MixedConv *conv;
    DynConvPorts port; /* -1: absent */
    int from;          /* the image that is convolved: x, or dy */
    int64_t N, O, K;
    bool constant;             /* the bank is packed once */
    size_t packed_at, bias_at; /* in scratch: a bank that is not; a sample's bias */
} State;

static void free_state(Kernel *k)
{
    State *s = k->state;
    if (!s) return;
    mixed_conv_free(&s->conv);
    mem_free(s);
    k->state = NULL;
}

static Status pack(Kernel *k, const KernelArgs *a, Error *err)
{
    State *s = k->state;
    return mixed_conv_pack(s->conv, a->in[s->port.bank].data, a->packed, err);
}

/* Operand [N,..,1,1] of sample n; NULL: absent. */
static const float *sample(const KernelArgs *a, int port, int64_t n)
{
    return port < 0 ? NULL : (const float *)a->in[port].data + n * a->in[port].stride[0];
}

/* b + sum_k mix[k] bias_bank[k]; NULL: none. */
static const float *bias_of(const State *s, const KernelArgs *a, const float *mix, float *sum)
{
    const float *b = s->port.b < 0 ? NULL : a->in[s->port.b].data;
    const float *bank = s->port.bias_bank < 0 ? NULL : a->in[s->port.bias_bank].data;
    if (!bank) return b;
    for (int64_t o = 0; o < s->O; o++)
        sum[o] = b ? b[o] : 0;
    for (int64_t k = 0; k < s->K; k++)
        for (int64_t o = 0; o < s->O; o++)
            sum[o] += (mix ? mix[k] : 1) * bank[k * s->O + o];
    return sum;
}

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    const DynConvPorts *p = &s->port;
    const Tensor *x = &a->in[s->from], *y = &a->out[0], *res = &a->in[MAX(p->res, 0)];
    char *scratch = a->scratch, *packed = s->constant ? a->packed : scratch + s->packed_at;
    MixedArgs c = { .x_pixel = rows_of(x).b.ld, .y_pixel = rows_of(y).b.ld };
    if (p->res >= 0) c.res_pixel = rows_of(res).b.ld;
    if (!s->constant) TRY(mixed_conv_pack(s->conv, a->in[p->bank].data, packed, err));
    for (int64_t n = 0; n < s->N; n++) {
        Mixture m = { sample(a, p->mix, n), sample(a, p->in_scale, n), sample(a, p->out_scale, n),
                      sample(a, p->spatial, n) };
        c.x = dynconv_image(x, n), c.y = dynconv_image(y, n), c.res = p->res < 0 ? NULL : dynconv_image(res, n);
        c.bias = bias_of(s, a, m.mix, (float *)(scratch + s->bias_at));
        TRY(mixed_conv_run(s->conv, packed, &m, &c, scratch, err));
    }
    return DYN_OK;
}

static uint64_t bit(int port)
{
    return port < 0 ? 0 : UINT64_C(1) << port;
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    State s = { 0 };
    char form[PACKED_FORM];
    DynConvPorts *q = &s.port;
    if (!dynconv_claim_operands(p, q, why, n)) return false;
    bool dx = q->dy >= 0;
    const Type *x = dx ? &p->out[0] : &p->in[q->x], *bank = &p->in[q->bank], *y = dx ? &p->in[q->dy] : &p->out[0];
    if (!conv_types(x, bank, y, why, n)) return false;
    if (q->res >= 0 && p->in[q->res].dtype != y->dtype) return decline(why, n, "residual of another type");
    if (dx && x->dtype != y->dtype) return decline(why, n, "gradients of mixed types");
    ConvGeometry g = dynconv_geometry(p->node, x->shape.dim, bank->shape.dim);
    DnnConv c = conv_of(&g, dx ? DNN_DX : DNN_FORWARD, 1, x->dtype, y->dtype);
    c.act = dx ? "none" : attr_text(p->node, "act"), c.bias = q->b >= 0 || q->bias_bank >= 0, c.residual = q->res >= 0;
    s.from = dx ? q->dy : q->x;
    s.N = x->shape.dim[0], s.O = g.O, s.K = bank->shape.dim[0];
    s.conv = mixed_conv_new(cpu, &c, s.K, q->in_scale >= 0 || q->out_scale >= 0 || q->spatial >= 0, p->threads, why, n);
    if (!s.conv) return false;
    size_t bytes = mixed_conv_bank_bytes(s.conv);
    s.constant = p->in_const[q->bank];
    s.bias_at = mixed_conv_scratch_bytes(s.conv);
    s.packed_at = mem_round(s.bias_at + (size_t)s.O * sizeof(float));
    if (!accept(k, cpu, &s, sizeof s, run, why, n)) return mixed_conv_free(&s.conv), false;
    k->impl = mixed_conv_impl(s.conv);
    k->scratch_bytes = s.packed_at + (s.constant ? 0 : bytes);
    if (s.constant) kernel_packs(k, bytes, pack, "%s", mixed_conv_form(s.conv, form, sizeof form));
    k->free = free_state;
    k->strided_in = bit(q->mix) | bit(q->in_scale) | bit(q->out_scale) | bit(q->spatial);
    if (mixed_conv_strided(s.conv)) k->strided_in |= bit(s.from) | bit(q->res), k->strided_out = 1;
    return true;
}

const CpuKernel cpu_dynconv = {
    .name = "dynconv", .ops = "dynconv2d dynconv2d_dx", .priority = PRIORITY_OWN, .claim = claim
};
