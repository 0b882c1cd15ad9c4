/* SPDX-License-Identifier: Apache-2.0
 *
 * pool_outer and mix_channels: products of an image's rows of channels with a small matrix of the sample's own. g, an
 * image [N,C,M,1], lies as M rows of C. Threads take fixed shares of the rows; the sums of pool_outer are added in
 * their order. */
#include "backend/cpu/cpu.h"
#include "ops/ops.h"

typedef struct State {
    const Isa *isa;
    int threads;
    int64_t N, rows, C, M; /* pool: a has C, b M channels; mix: v has M, y C channels */
    int64_t padded;        /* mix: C rounded up to whole vectors of any level */
    bool t, add;           /* mix: g is transposed; there is a residual */
    size_t buffer_at;      /* in scratch: a conversion buffer for each thread */
} State;

static float *buffer(const State *s, const KernelArgs *a, int i)
{
    return (float *)((char *)a->scratch + s->buffer_at) + (int64_t)i * ATTENTION_BUFFER;
}

static Status run_pool(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    Rows x = rows_of(&a->in[0]), b = rows_of(&a->in[1]);
    int64_t cells = s->M * s->C;
    double *part = a->scratch;
    float *y = a->out[0].data;
    for (int64_t n = 0; n < s->N; n++, y += cells) {
#pragma omp parallel for num_threads(s->threads) schedule(static)
        for (int i = 0; i < s->threads; i++) {
            int64_t lo, hi;
            share(s->rows, 1, i, s->threads, &lo, &hi);
            memset(part + i * cells, 0, (size_t)cells * sizeof *part);
            s->isa->outer_sums(block_at(&x, n * s->rows + lo, 0), block_at(&b, n * s->rows + lo, 0), hi - lo, s->C,
                               s->M, part + i * cells, buffer(s, a, i));
        }
        for (int64_t c = 0; c < cells; c++) {
            double sum = 0;
            for (int i = 0; i < s->threads; i++)
                sum += part[i * cells + c];
            y[c] = (float)sum;
        }
    }
    return DYN_OK;
}

/* Sample n of g as M rows of C (t: the other way), f32, with room for a whole vector behind each row. */
static void spread_g(const State *s, const Tensor *g, int64_t n, float *to)
{
    for (int64_t m = 0; m < s->M; m++)
        for (int64_t c = 0; c < s->padded; c++) {
            int64_t at = n * g->stride[0] + (s->t ? m : c) * g->stride[1] + (s->t ? c : m) * g->stride[2];
            to[m * s->padded + c] = c < s->C ? (float)dtype_load(g->data, g->dtype, at) : 0;
        }
}

static Status run_mix(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    Rows v = rows_of(&a->in[1]), y = rows_of(&a->out[0]), res = { 0 };
    float *g = a->scratch;
    if (s->add) res = rows_of(&a->in[2]);
    for (int64_t n = 0; n < s->N; n++) {
        spread_g(s, &a->in[0], n, g);
#pragma omp parallel for num_threads(s->threads) schedule(static)
        for (int i = 0; i < s->threads; i++) {
            int64_t lo, hi;
            share(s->rows, 4, i, s->threads, &lo, &hi);
            lo += n * s->rows, hi += n * s->rows;
            s->isa->mix_rows(block_at(&v, lo, 0), g, s->padded, s->M, s->add ? block_at(&res, lo, 0) : (Block) { 0 },
                             block_at(&y, lo, 0), hi - lo, s->C, buffer(s, a, i));
        }
    }
    return DYN_OK;
}

static bool take(const Cpu *cpu, const KernelPlan *p, State *s, Kernel *k, bool pool, char *why, size_t n)
{
    s->threads = threads_for(p->threads, s->rows * s->M * s->C / 8);
    size_t table =
        pool ? (size_t)(s->threads * s->M * s->C) * sizeof(double) : (size_t)(s->M * s->padded) * sizeof(float);
    s->buffer_at = mem_round(table);
    k->scratch_bytes = s->buffer_at + (size_t)s->threads * ATTENTION_BUFFER * sizeof(float);
    return accept(k, cpu, s, sizeof *s, pool ? run_pool : run_mix, why, n);
}

static bool claim_pool(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    const Type *a = &p->in[0], *b = &p->in[1];
    const int64_t *d = a->shape.dim;
    State s = { .isa = cpu->isa, .N = d[0], .rows = d[2] * d[3], .C = d[1], .M = b->shape.dim[1] };
    if (!is_float(a) || !is_image(a) || !is_float(b) || !is_image(b) || p->out[0].dtype != F32)
        return decline(why, n, "not images of f32 or bf16");
    if (s.M > ATTENTION_BUFFER / 4) return decline(why, n, "%lld channels of b", (long long)s.M);
    if (!take(cpu, p, &s, k, true, why, n)) return false;
    k->strided_in = 3;
    return true;
}

static bool claim_mix(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    const Type *g = &p->in[0], *v = &p->in[1], *y = &p->out[0];
    const int64_t *d = v->shape.dim;
    State s = { .isa = cpu->isa, .N = d[0], .rows = d[2] * d[3], .C = y->shape.dim[1], .M = d[1] };
    s.padded = (s.C + 15) / 16 * 16;
    s.t = attr_int(p->node, "t"), s.add = has_in(p, 2);
    if (!is_float(g) || !is_image(g) || !is_float(v) || !is_image(v) || !is_float(y))
        return decline(why, n, "not images of f32 or bf16");
    if (s.add && (p->in[2].dtype != y->dtype || !is_image(&p->in[2])))
        return decline(why, n, "residual of another type");
    if (s.M > ATTENTION_BUFFER / 4) return decline(why, n, "%lld channels of v", (long long)s.M);
    if (!take(cpu, p, &s, k, false, why, n)) return false;
    k->strided_in = s.add ? 1 << 1 | 1 << 2 : 1 << 1;
    k->strided_out = 1;
    return true;
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    for (int i = 0; i < 2; i++)
        if (shape_count(&p->in[i].shape) == 0) return decline(why, n, "empty");
    return (str_eq(p->node->op->name, "pool_outer") ? claim_pool : claim_mix)(cpu, p, k, why, n);
}

const CpuKernel cpu_attention = {
    .name = "attention", .ops = "pool_outer mix_channels", .priority = PRIORITY_OWN, .claim = claim
};
