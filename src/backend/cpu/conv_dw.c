/* SPDX-License-Identifier: Apache-2.0
 *
 * conv2d_dw of bf16 images by AMX tiles (isa/conv_dw.c). */
#include "backend/cpu/conv_dw_util.h"

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    const Tensor *dy = &a->in[0], *x = &a->in[1];
    conv_dw_compute(k->state, dy->data, rows_of(dy).b.ld, x->data, rows_of(x).b.ld, a->out[0].data, a->scratch);
    return DYN_OK;
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    DnnConv c;
    ConvDwCore s;
    if (!conv_of_plan(p, &c, why, n)) return false;
    if (!conv_dw_core(cpu, &c, p->threads, &s, why, n)) return false;
    if (!accept(k, cpu, &s, sizeof s, run, why, n)) return false;
    k->scratch_bytes = s.scratch_bytes;
    k->strided_in = conv_dw_dense_x(&s) ? 1 : 3;
    return true;
}

const CpuKernel cpu_conv_dw = { .name = "conv_dw", .ops = "conv2d_dw", .priority = PRIORITY_OWN, .claim = claim };
