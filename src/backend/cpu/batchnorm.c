/* SPDX-License-Identifier: Apache-2.0
 *
 * batchnorm and its gradient. Forward in training is two walks over x: moments, unless who wrote x has summed them up
 * in passing (backend.h), then normalise, activate and add the residual; the gradient is two walks over x and dy: the
 * sums of dz and dz * xhat, then dx; the activation's slope is computed anew in both, which costs less than writing dz
 * out. The second walk goes backwards, from what the first has left in the caches. Threads take fixed shares of the
 * pixels and their sums are added in order: the same number of threads gives the same bits. */
#include "backend/cpu/cpu.h"
#include "ops/ops.h"

#include <math.h>

typedef struct State {
    const Isa *isa;
    Act act;
    bool batch; /* normalises with the batch's own statistics */
    double eps, momentum;
    int64_t rows, cols;
    int threads;
} State;

/* [N,C] as N pixels of C channels */
static Rows pixels_of(const Tensor *t)
{
    Rows r = rows_of(t);
    if (t->rank == 2) r.rows = t->dim[0], r.cols = r.b.ld = t->dim[1];
    return r;
}

/* partial: threads x 2 x C; the result is in the first. */
static void batch_moments(const State *s, const Rows *x, double *partial)
{
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int i = 0; i < s->threads; i++) {
        int64_t lo, hi;
        double *mine = partial + 2 * s->cols * i;
        share(s->rows, 1, i, s->threads, &lo, &hi);
        s->isa->moments(block_at(x, lo, 0), hi - lo, s->cols, mine, mine + s->cols);
    }
    int64_t before = 0, lo, hi;
    for (int i = 0; i < s->threads; i++) {
        share(s->rows, 1, i, s->threads, &lo, &hi);
        if (i > 0) merge_moments(partial, before, partial + 2 * s->cols * i, hi - lo, s->cols);
        before += hi - lo;
    }
}

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    Rows x = pixels_of(&a->in[0]), res = pixels_of(&a->in[5]), y = pixels_of(&a->out[0]);
    float *running_mean = a->in[3].data, *running_var = a->in[4].data, *mean = a->out[1].data, *rstd = a->out[2].data;
    const double *moments = a->moments_in ? a->moments_in : a->scratch, *m2 = moments + s->cols;
    double m = s->momentum, count = (double)s->rows;
    if (s->batch && !a->moments_in) batch_moments(s, &x, a->scratch);
    for (int64_t c = 0; c < s->cols; c++) {
        double mu = s->batch ? moments[c] : running_mean[c], var = s->batch ? m2[c] / count : running_var[c];
        mean[c] = (float)mu;
        rstd[c] = (float)(1 / sqrt(var + s->eps));
        if (!s->batch) continue;
        running_mean[c] = (float)((1 - m) * running_mean[c] + m * mu);
        running_var[c] = (float)((1 - m) * running_var[c] + m * m2[c] / (count - 1));
    }
    Norm p = { mean, rstd, a->in[1].data, a->in[2].data, s->act };
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int i = 0; i < s->threads; i++) {
        int64_t lo, hi;
        share(s->rows, 1, i, s->threads, &lo, &hi);
        Block more = a->in[5].data ? block_at(&res, lo, 0) : (Block) { 0 };
        s->isa->norm(&p, block_at(&x, lo, 0), more, block_at(&y, lo, 0), hi - lo, s->cols);
    }
    return DYN_OK;
}

static Status run_grad(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    Rows dy = pixels_of(&a->in[0]), x = pixels_of(&a->in[1]), dx = pixels_of(&a->out[0]);
    Norm p = { a->in[4].data, a->in[5].data, a->in[2].data, a->in[3].data, s->act };
    double *partial = a->scratch;
    float *dgamma = a->out[1].data, *dbeta = a->out[2].data;
    float *m_dz = (float *)(partial + 2 * s->cols * s->threads), *m_dzx = m_dz + s->cols;
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int i = 0; i < s->threads; i++) {
        int64_t lo, hi;
        double *mine = partial + 2 * s->cols * i;
        share(s->rows, 1, i, s->threads, &lo, &hi);
        memset(mine, 0, 2 * (size_t)s->cols * sizeof *mine);
        s->isa->norm_grad_sums(&p, block_at(&dy, lo, 0), block_at(&x, lo, 0), hi - lo, s->cols, mine, mine + s->cols);
    }
    for (int64_t c = 0; c < s->cols; c++) {
        double dz = 0, dzx = 0;
        for (int i = 0; i < s->threads; i++)
            dz += partial[2 * s->cols * i + c], dzx += partial[2 * s->cols * i + s->cols + c];
        dbeta[c] = (float)dz;
        dgamma[c] = (float)dzx;
        m_dz[c] = s->batch ? (float)(dz / (double)s->rows) : 0;
        m_dzx[c] = s->batch ? (float)(dzx / (double)s->rows) : 0;
    }
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int i = 0; i < s->threads; i++) {
        int64_t lo, hi;
        share(s->rows, 1, i, s->threads, &lo, &hi);
        s->isa->norm_grad(&p, block_at(&dy, lo, 0), block_at(&x, lo, 0), m_dz, m_dzx, block_at(&dx, lo, 0), hi - lo,
                          s->cols);
    }
    return DYN_OK;
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    bool grad = str_eq(p->node->op->name, "batchnorm_grad");
    const Type *x = &p->in[grad ? 1 : 0];
    const int64_t *d = x->shape.dim;
    State s = { .isa = cpu->isa, .act = act_of(attr_text(p->node, "act")), .cols = d[1] };
    s.rows = x->shape.rank == 4 ? d[0] * d[2] * d[3] : d[0];
    s.eps = attr_float(p->node, "eps"), s.momentum = attr_float(p->node, "momentum");
    s.batch = attr_int(p->node, "train") && s.rows > 1;
    s.threads = threads_for(p->threads, s.rows * s.cols);
    if (!is_float(x) || p->in[0].dtype != x->dtype) return decline(why, n, "types other than f32 and bf16");
    for (int i = grad ? 2 : 1; i < (grad ? 6 : 5); i++)
        if (p->in[i].dtype != F32) return decline(why, n, "statistics that are not f32");
    if (x->rowmajor || p->in[0].rowmajor) return decline(why, n, "row-major image");
    if (s.act == N_ACT) return decline(why, n, "act=%s", attr_text(p->node, "act"));
    if (s.rows * s.cols == 0) return decline(why, n, "empty");
    k->scratch_bytes = (size_t)(2 * s.cols * s.threads) * sizeof(double) + (size_t)(2 * s.cols) * sizeof(float);
    if (!accept(k, cpu, &s, sizeof s, grad ? run_grad : run, why, n)) return false;
    k->strided_in = grad ? 3 : 1 | 1 << 5;
    k->strided_out = 1;
    return true;
}

const CpuKernel cpu_batchnorm = {
    .name = "batchnorm", .ops = "batchnorm batchnorm_grad", .priority = PRIORITY_OWN, .claim = claim
};
