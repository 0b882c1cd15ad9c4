/* SPDX-License-Identifier: Apache-2.0
 *
 * Direct convolution by isa/conv.c: any kernel, stride and dilation. Images may be channel ranges of wider ones, which
 * saves the copies around oneDNN's convolutions, and a silu costs less than there. Where weights change (training: no
 * fused activation either) oneDNN packs them faster and computes as fast, but for AMX. Declines groups. */
#include "backend/cpu/conv_util.h"

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    ConvState s;
    if (!conv_describe(cpu, p, &s, why, n)) return false;
    if (!conv_direct_takes(&s.core, why, n)) return false;
    bool native = s.core.job.type == F32 || s.core.form.pairs; /* bf16 below AVX512_BF16 is nobody else's */
    bool plain = s.core.job.act == ACT_NONE; /* others, as in no training, are not all known to oneDNN */
    if (native && plain && !s.core.form.tiles && !p->in_const[s.w]) return decline(why, n, "weights change");
    return conv_accept(cpu, p, &s, k, why, n);
}

const CpuKernel cpu_conv_direct = {
    .name = "conv_direct", .ops = "conv2d conv2d_dx", .priority = PRIORITY_OWN, .claim = claim
};
