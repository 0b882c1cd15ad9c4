/* SPDX-License-Identifier: Apache-2.0
 *
 * Small dense layers: conv2d of f32 images of one pixel with 1x1 kernels, and its gradients. The heads that route
 * dynamic convolutions are such: a microsecond of work, less than it takes to call a library or to wake a thread. */
#include "backend/cpu/conv_util.h"

#include "ops/ops.h"

/* Products above which blocking and several threads pay. */
enum { MOST = 1 << 20 };

typedef struct State {
    const Isa *isa;
    Act act;
    int64_t N, C, O;
    bool bias;
} State;

static float *row(const Tensor *t, int64_t n)
{
    return (float *)t->data + n * t->stride[0];
}

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    for (int64_t n = 0; n < s->N; n++)
        s->isa->dense(s->act, row(&a->in[0], n), a->in[1].data, s->bias ? a->in[2].data : NULL, row(&a->out[0], n),
                      s->C, s->O);
    return DYN_OK;
}

/* dx[n] = sum_o dy[n,o] w[o] */
static Status run_dx(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    for (int64_t n = 0; n < s->N; n++)
        s->isa->row_sum(row(&a->in[0], n), 1, a->in[1].data, s->C, s->O, row(&a->out[0], n), s->C);
    return DYN_OK;
}

/* dw[o] = sum_n dy[n,o] x[n] */
static Status run_dw(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    const Tensor *dy = &a->in[0], *x = &a->in[1];
    for (int64_t o = 0; o < s->O; o++)
        s->isa->row_sum(row(dy, 0) + o, dy->stride[0], row(x, 0), x->stride[0], s->N,
                        (float *)a->out[0].data + o * s->C, s->C);
    return DYN_OK;
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    DnnConv c;
    if (!conv_of_plan(p, &c, why, n)) return false;
    if (c.h * c.w != 1 || c.kh * c.kw != 1 || c.ho * c.wo != 1) return decline(why, n, "more than one pixel");
    if (c.x != F32 || c.y != F32) return decline(why, n, "not f32");
    if (c.groups != 1 || c.residual) return decline(why, n, "groups, or a residual");
    if (c.n * c.c * c.o > MOST) return decline(why, n, "%lld products", (long long)(c.n * c.c * c.o));
    State s = { cpu->isa, act_of(c.act), c.n, c.c, c.o, c.bias };
    if (s.act == N_ACT) return decline(why, n, "activation '%s'", c.act);
    if (!accept(k, cpu, &s, sizeof s, c.pass == DNN_DX ? run_dx : c.pass == DNN_DW ? run_dw : run, why, n))
        return false;
    k->strided_in = c.pass == DNN_DW ? 3 : 1;
    k->strided_out = c.pass != DNN_DW;
    return true;
}

/* Asked before the convolutions. */
const CpuKernel cpu_dense = {
    .name = "dense", .ops = "conv2d conv2d_dx conv2d_dw", .priority = PRIORITY_OWN + 2, .claim = claim
};
