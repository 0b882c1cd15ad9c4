/* SPDX-License-Identifier: Apache-2.0
 *
 * Sampling at learned offsets and its gradient, fused from offsets to pixels (spec H.6): no tensor of coordinates. The
 * gradient scatters, so one thread has an image, or some of its groups: nothing races, and sums have one order. */
#include "backend/cpu/cpu.h"
#include "ops/ops.h"

typedef struct State {
    const Isa *isa;
    int threads;
    int64_t scale, groups;
    int parts;        /* a gradient cuts the groups of an image into so many jobs */
    size_t sum_bytes; /* scratch of a thread in a gradient of bf16 */
} State;

static SampleImage image_of(const Tensor *t)
{
    return (SampleImage) { t->data, t->stride[0], t->stride[2], t->stride[3] };
}

static SampleJob job_of(const State *s, const Tensor *x, const Tensor *off, const Tensor *y)
{
    return (SampleJob) { .type = x->dtype,
                         .C = x->dim[1],
                         .H = x->dim[2],
                         .W = x->dim[3],
                         .scale = s->scale,
                         .groups = s->groups,
                         .x = image_of(x),
                         .off = image_of(off),
                         .y = image_of(y) };
}

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    SampleJob j = job_of(s, &a->in[0], &a->in[1], &a->out[0]);
    int64_t rows = a->in[0].dim[0] * j.H;
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int i = 0; i < s->threads; i++) {
        int64_t lo, hi;
        share(rows, 1, i, s->threads, &lo, &hi);
        s->isa->sample(&j, lo, hi);
    }
    return DYN_OK;
}

/* Groups [lo, hi) of image n. f32 sums are made in dx itself, others in scratch and then rounded once. */
static void grad_groups(const State *s, SampleJob j, const Tensor *dx, int64_t n, int64_t lo, int64_t hi,
                        float *scratch)
{
    int64_t each = j.C / j.groups, cols = (hi - lo) * each, at = n * dx->stride[0] + lo * each;
    bool direct = dx->dtype == F32;
    if (direct)
        j.sum = (SampleImage) { (float *)dx->data + at, 0, dx->stride[2], dx->stride[3] };
    else
        j.sum = (SampleImage) { scratch, 0, j.W * cols, cols };
    s->isa->sample_grad(&j, n, lo, hi);
    for (int64_t h = 0; !direct && h < j.H; h++)
        s->isa->map(ACT_NONE, 1, 0, (Block) { scratch + h * j.sum.row, cols, F32, false },
                    (Block) { (char *)dx->data + (size_t)(at + h * dx->stride[2]) * dtype_bytes(dx->dtype),
                              dx->stride[3], dx->dtype, false },
                    j.W, cols);
}

static Status run_grad(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    SampleJob j = job_of(s, &a->in[1], &a->in[2], &a->in[0]);
    int64_t jobs = a->in[1].dim[0] * s->parts;
    j.doff = image_of(&a->out[1]);
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int i = 0; i < s->threads; i++) {
        int64_t lo, hi, g0, g1;
        share(jobs, 1, i, s->threads, &lo, &hi);
        for (int64_t q = lo; q < hi; q++) {
            share(s->groups, 1, (int)(q % s->parts), s->parts, &g0, &g1);
            grad_groups(s, j, &a->out[0], q / s->parts, g0, g1,
                        (float *)((char *)a->scratch + (size_t)i * s->sum_bytes));
        }
    }
    return DYN_OK;
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    bool grad = str_eq(p->node->op->name, "dysample_grad");
    const Type *x = &p->in[grad ? 1 : 0], *off = &p->in[grad ? 2 : 1], *y = grad ? &p->in[0] : &p->out[0];
    const int64_t *d = x->shape.dim;
    State s = { .isa = cpu->isa, .scale = attr_int(p->node, "scale"), .groups = attr_int(p->node, "groups") };
    s.threads = threads_for(p->threads, shape_count(&y->shape));
    if (!is_float(x) || !is_image(x) || !is_image(y) || y->dtype != x->dtype)
        return decline(why, n, "not images of f32 or bf16");
    if (off->dtype != F32 || !is_image(off)) return decline(why, n, "offsets are no f32 image");
    if (grad && !is_image(&p->out[0])) return decline(why, n, "row-major result");
    if (d[2] > 1 << 24 || d[3] > 1 << 24) return decline(why, n, "coordinates beyond 2^24");
    if (!shape_count(&y->shape)) return decline(why, n, "empty");
    s.parts = (int)MIN(s.groups, (s.threads + d[0] - 1) / d[0]);
    int64_t widest = d[1] / s.groups * ((s.groups + s.parts - 1) / s.parts);
    if (grad && x->dtype != F32) s.sum_bytes = mem_round((size_t)(d[2] * d[3] * widest) * sizeof(float));
    if (!accept(k, cpu, &s, sizeof s, grad ? run_grad : run, why, n)) return false;
    k->scratch_bytes = s.sum_bytes * (size_t)s.threads;
    k->strided_in = grad ? 7 : 3;
    k->strided_out = grad ? 3 : 1;
    return true;
}

const CpuKernel cpu_dysample = {
    .name = "dysample", .ops = "dysample dysample_grad", .priority = PRIORITY_OWN, .claim = claim
};
