/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution by isa/winograd.c: 3x3, stride 1, f32. A processor multiplies bf16 twice as fast as f32, so that there
 * the direct way is as fast. */
#include "backend/cpu/conv_util.h"

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    ConvState s;
    if (!conv_describe(cpu, p, &s, why, n)) return false;
    const ConvJob *j = &s.job;
    if (j->type != F32 || j->y_type != F32) return decline(why, n, "not f32");
    if (j->kh != 3 || j->kw != 3 || j->stride != 1 || j->dilation != 1) return decline(why, n, "not 3x3 at stride 1");
    if (j->C < 8) return decline(why, n, "few channels: transforms cost more than they save");
    s.winograd = true;
    return conv_accept(cpu, p, &s, k, why, n);
}

/* Asked before conv_direct. */
const CpuKernel cpu_conv_winograd = {
    .name = "conv_winograd", .ops = "conv2d conv2d_dx", .priority = PRIORITY_OWN + 1, .claim = claim
};
