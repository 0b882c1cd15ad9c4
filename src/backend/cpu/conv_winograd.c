/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution by isa/winograd.c: 3x3, stride 1, f32; forward and both gradients. A processor multiplies bf16 twice as
 * fast as f32, so that there the direct way is as fast. The weight gradient is summed in the transformed form, in a
 * copy for each thread that divides the tiles; copies are added in order: the same number of threads gives the same
 * bits. */
#include "backend/cpu/conv_util.h"

/* G^T u for four in a line: three are left */
static void narrow(const float u[4], float g[3])
{
    float even = 0.5f * (u[1] + u[2]), odd = 0.5f * (u[1] - u[2]);
    g[0] = u[0] + even, g[1] = odd, g[2] = even + u[3];
}

/* dw [O,C,3,3] = G^T u G of panel p; u is the sum of n arrays, w_bytes apart, that are laid out like packed weights. */
static void unpack_panel(const ConvCore *s, const float *sum, int n, int64_t p, float *dw)
{
    int64_t C = s->job.C, o0 = conv_panel(s->job.O, s->form, p) * s->form.lanes;
    int64_t o1 = conv_panel(s->job.O, s->form, p + 1) * s->form.lanes, apart = s->w_bytes / 4;
    for (int64_t c = 0; c < C; c++)
        for (int64_t o = o0; o < MIN(o1, s->job.O); o++) {
            float u[4][4], t[4][3], column[4], g[3];
            for (int e = 0; e < 16; e++) {
                const float *from = sum + o0 * 16 * C + (e * C + c) * (o1 - o0) + o - o0;
                u[e / 4][e % 4] = from[0];
                for (int i = 1; i < n; i++)
                    u[e / 4][e % 4] += from[i * apart];
            }
            for (int i = 0; i < 4; i++)
                narrow(u[i], t[i]);
            for (int i = 0; i < 3; i++) {
                for (int k = 0; k < 4; k++)
                    column[k] = t[k][i];
                narrow(column, g);
                for (int k = 0; k < 3; k++)
                    dw[(o * C + c) * 9 + 3 * k + i] = g[k];
            }
        }
}

static Status run_dw(Kernel *k, const KernelArgs *a, Error *err)
{
    const ConvCore *s = &((const ConvState *)k->state)->core;
    ConvJob j = s->job;
    int64_t tiles = conv_tiles(s), panels = conv_panels(j.O, s->form);
    int across = conv_output_shares(s, tiles), along = s->threads / across;
    char *scratch = a->scratch, *sums = scratch + (size_t)s->threads * s->thread_bytes;
    char *zeros = sums + s->threads * s->w_bytes;
    memset(zeros, 0, (size_t)j.C * 4);
    j.x = a->in[1].data, j.x_pixel = rows_of(&a->in[1]).b.ld, j.zeros = zeros;
    j.y = a->in[0].data, j.y_pixel = rows_of(&a->in[0]).b.ld;
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int i = 0; i < across * along; i++) {
        int64_t lo, hi, p0, p1, vector = s->w_bytes / conv_vectors(j.O, s->form);
        char *sum = sums + i / across * s->w_bytes;
        share(tiles, 8, i / across, along, &lo, &hi);
        share(panels, 1, i % across, across, &p0, &p1);
        int64_t v0 = conv_panel(j.O, s->form, p0), v1 = conv_panel(j.O, s->form, p1);
        memset(sum + v0 * vector, 0, (size_t)((v1 - v0) * vector));
        s->isa->winograd_dw(&j, lo, hi, p0, p1, (float *)sum, scratch + (size_t)i * s->thread_bytes);
    }
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int64_t p = 0; p < panels; p++)
        unpack_panel(s, (const float *)sums, along, p, a->out[0].data);
    return DYN_OK;
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    ConvState s;
    if (!conv_describe(cpu, p, &s, why, n)) return false;
    if (!conv_winograd_takes(&s.core, why, n)) return false;
    conv_core_winograd(&s.core, true);
    if (!str_eq(p->node->op->name, "conv2d_dw")) return conv_accept(cpu, p, &s, k, why, n);
    if (!accept(k, cpu, &s, sizeof s, run_dw, why, n)) return false;
    const ConvCore *c = &s.core;
    k->scratch_bytes = (size_t)c->threads * (c->thread_bytes + (size_t)c->w_bytes) + (size_t)c->job.C * 4;
    k->strided_in = 3;
    return true;
}

/* Asked before conv_direct. */
const CpuKernel cpu_conv_winograd = {
    .name = "conv_winograd", .ops = "conv2d conv2d_dx conv2d_dw", .priority = PRIORITY_OWN + 1, .claim = claim
};
