/* SPDX-License-Identifier: Apache-2.0
 *
 * fold_conv in plain loops over f32 parameters. Every new image size folds all of a model's weights again, so that the
 * reference, which reads element by element, would be most of what a new size costs. */
#include "backend/cpu/cpu.h"
#include "ops/ops.h"

#include <math.h>

typedef struct State {
    double eps;
    int threads;
    int64_t kernels, O, row; /* so many weights for each output of each kernel */
    bool bias;
} State;

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    const float *w = a->in[0].data, *gamma = a->in[1].data, *beta = a->in[2].data, *mean = a->in[3].data;
    const float *var = a->in[4].data, *b = s->bias ? a->in[5].data : NULL;
    float *to = a->out[0].data, *to_b = a->out[1].data;
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int64_t o = 0; o < s->O; o++) {
        double g = (double)gamma[o] / sqrt((double)var[o] + s->eps);
        for (int64_t kernel = 0; kernel < s->kernels; kernel++)
            for (int64_t i = (kernel * s->O + o) * s->row; i < (kernel * s->O + o + 1) * s->row; i++)
                to[i] = (float)((double)w[i] * g);
        to_b[o] = (float)((double)beta[o] + ((b ? (double)b[o] : 0) - (double)mean[o]) * g);
    }
    return DYN_OK;
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    const Type *w = &p->in[0];
    for (int i = 0; i < p->node->n_in; i++)
        if (has_in(p, i) && p->in[i].dtype != F32) return decline(why, n, "parameters other than f32");
    if (w->shape.rank == 4 && !w->rowmajor) return decline(why, n, "channels-last weights");
    if (!shape_count(&w->shape)) return decline(why, n, "empty");
    State s = { .eps = attr_float(p->node, "eps"), .kernels = 1, .bias = has_in(p, 5) };
    int64_t dim = attr_int(p->node, "dim");
    for (int64_t d = 0; d < dim; d++)
        s.kernels *= w->shape.dim[d];
    s.O = w->shape.dim[dim];
    s.row = shape_count(&w->shape) / s.kernels / s.O;
    s.threads = threads_for(p->threads, shape_count(&w->shape));
    return accept(k, cpu, &s, sizeof s, run, why, n);
}

const CpuKernel cpu_fold_conv = { .name = "fold_conv", .ops = "fold_conv", .priority = PRIORITY_OWN, .claim = claim };
