/* SPDX-License-Identifier: Apache-2.0
 *
 * Direct convolution by isa/conv.c: any kernel, stride and dilation. Images may be channel ranges of wider ones, which
 * saves the copies around oneDNN's convolutions, and a silu costs less than there. Where weights change (training: no
 * fused activation either) oneDNN packs them faster and computes as fast. Declines groups, and bf16 where AMX
 * multiplies it several times faster (oneDNN uses it). */
#include "backend/cpu/conv_util.h"

#include <cpuid.h>

/* CPUID leaf 7: EDX bit 22. */
static bool has_amx_bf16(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1);
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    ConvState s;
    if (!conv_describe(cpu, p, &s, why, n)) return false;
    if (s.job.type == BF16 && has_amx_bf16()) return decline(why, n, "AMX is faster");
    bool native = s.job.type == F32 || s.form.pairs; /* bf16 below AVX512_BF16 is nobody else's */
    if (native && !p->in_const[s.w]) return decline(why, n, "weights change");
    return conv_accept(cpu, p, &s, k, why, n);
}

const CpuKernel cpu_conv_direct = {
    .name = "conv_direct", .ops = "conv2d conv2d_dx", .priority = PRIORITY_OWN, .claim = claim
};
