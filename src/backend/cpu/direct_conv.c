/* SPDX-License-Identifier: Apache-2.0
 *
 * conv2d by the direct convolution of isa/conv.c, for constant weights: any size shares its way of packing, making one
 * costs nothing (oneDNN: about a millisecond each), and inputs and outputs may be channel ranges, which makes splits
 * and concats free. Measured on Zen 4: 0 to 10 % behind oneDNN's best on dense 3x3 and wide 1x1 layers, which the saved
 * copies and compile time outweigh. */
#include "backend/cpu/cpu.h"
#include "ops/ops.h"

typedef struct State {
    const Isa *isa;
    int threads;
    ConvShape shape;
    Act act;
    bool bias, residual;
    int64_t pixels, chunk;
    void *packed; /* weights, then zeros */
    size_t zeros_at;
} State;

static void free_conv(Kernel *k)
{
    State *s = k->state;
    if (s) mem_free(s->packed);
    mem_free(s);
    k->state = NULL;
}

static Status load(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    s->isa->conv_pack(&s->shape, a->in[1].data, s->packed);
    return DYN_OK;
}

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    ConvCall q = { .shape = &s->shape, .x = a->in[0].data, .w = s->packed, .y = a->out[0].data };
    q.zeros = (const char *)s->packed + s->zeros_at;
    q.ld_x = rows_of(&a->in[0]).b.ld, q.ld_y = rows_of(&a->out[0]).b.ld;
    q.act = s->act, q.chunk = s->chunk;
    if (s->bias) q.b = a->in[2].data;
    if (s->residual) q.res = a->in[3].data, q.ld_res = rows_of(&a->in[3]).b.ld;
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int i = 0; i < s->threads; i++) {
        int64_t lo, hi;
        share(s->pixels, 8, i, s->threads, &lo, &hi);
        s->isa->conv(&q, lo, hi);
    }
    return DYN_OK;
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    const Node *node = p->node;
    const int64_t *x = p->in[0].shape.dim, *w = p->in[1].shape.dim, *y = p->out[0].shape.dim;
    int64_t pad_w = attr_int(node, "pad_w");
    State s = { .isa = cpu->isa, .act = act_of(attr_text(node, "act")), .pixels = y[0] * y[2] * y[3], .chunk = 512 };
    if (!p->in_const[1]) return decline(why, n, "weights change");
    if (attr_int(node, "groups") != 1) return decline(why, n, "groups");
    if (!is_float(&p->in[0]) || p->in[1].dtype != F32 || !is_image(&p->in[0]))
        return decline(why, n, "types other than f32 and bf16");
    if (x[1] < 8) return decline(why, n, "few input channels: the positions of taps cost more than their products");
    if (s.act == N_ACT) return decline(why, n, "act=%s", attr_text(node, "act"));
    s.bias = has_in(p, 2), s.residual = has_in(p, 3);
    if (s.residual && (p->in[3].dtype != p->out[0].dtype || !is_image(&p->in[3])))
        return decline(why, n, "residual of another type");
    if (s.pixels * y[1] == 0) return decline(why, n, "empty");
    s.shape = (ConvShape) { x[1], x[2], x[3], y[1], y[2], y[3], w[2], w[3], .x = p->in[0].dtype, .y = p->out[0].dtype };
    s.shape.stride = attr_int(node, "stride"), s.shape.dilation = attr_int(node, "dilation");
    s.shape.pad_h = attr_int(node, "pad"), s.shape.pad_w = pad_w < 0 ? s.shape.pad_h : pad_w;
    s.threads = threads_for(p->threads, s.pixels * y[1] * w[1] * w[2] * w[3] / 64);
    s.zeros_at = (cpu->isa->conv_packed_bytes(&s.shape) + 63) & ~(size_t)63;
    s.packed = mem_alloc(s.zeros_at + (size_t)x[1] * sizeof(float));
    if (!s.packed) return decline(why, n, "out of memory");
    memset((char *)s.packed + s.zeros_at, 0, (size_t)x[1] * sizeof(float));
    if (!accept(k, cpu, &s, sizeof s, run, why, n)) return mem_free(s.packed), false;
    k->load = load;
    k->free = free_conv;
    k->strided_in = 1 | 1 << 3;
    k->strided_out = 1;
    return true;
}

const CpuKernel cpu_direct_conv = { .name = "direct_conv", .ops = "conv2d", .priority = PRIORITY_OWN, .claim = claim };
