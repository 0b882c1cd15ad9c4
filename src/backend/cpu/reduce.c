/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums over pixels per channel: bias_grad (whole batch), gap (average over one image), and reduce_sum/reduce_mean in
 * the forms that images make of them are left to the reference. Threads take fixed shares, added in order. */
#include "backend/cpu/cpu.h"
#include "ops/ops.h"

typedef struct State {
    const Isa *isa;
    int threads;
    int64_t groups, rows, cols; /* one result a group of rows */
    bool mean;
} State;

static void free_state(Kernel *k)
{
    mem_free(k->state);
}

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    Rows x = rows_of(&a->in[0]);
    double *partial = a->scratch;
    char *y = a->out[0].data;
    DType t = a->out[0].dtype;
    for (int64_t g = 0; g < s->groups; g++) {
#pragma omp parallel for num_threads(s->threads) schedule(static)
        for (int i = 0; i < s->threads; i++) {
            int64_t lo, hi;
            share(s->rows, 1, i, s->threads, &lo, &hi);
            memset(partial + i * s->cols, 0, (size_t)s->cols * sizeof *partial);
            s->isa->column_sums(block_at(&x, g * s->rows + lo, 0), hi - lo, s->cols, partial + i * s->cols);
        }
        for (int64_t c = 0; c < s->cols; c++) {
            double sum = 0;
            for (int i = 0; i < s->threads; i++)
                sum += partial[i * s->cols + c];
            dtype_store(y, t, g * s->cols + c, s->mean ? sum / (double)s->rows : sum);
        }
    }
    return DYN_OK;
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    const Type *x = &p->in[0];
    const int64_t *d = x->shape.dim;
    State s = { .isa = cpu->isa, .mean = str_eq(p->node->op->name, "gap") };
    if (!is_float(x) || !is_image(x)) return decline(why, n, "not an image of f32 or bf16");
    s.groups = s.mean ? d[0] : 1;
    s.rows = (s.mean ? 1 : d[0]) * d[2] * d[3];
    s.cols = d[1];
    if (s.rows * s.cols == 0) return decline(why, n, "empty");
    s.threads = threads_for(p->threads, s.rows * s.cols);
    k->scratch_bytes = (size_t)(s.cols * s.threads) * sizeof(double);
    k->state = mem_alloc(sizeof s);
    if (!k->state) return decline(why, n, "out of memory");
    memcpy(k->state, &s, sizeof s);
    k->impl = cpu->isa->name;
    k->strided_in = 1;
    k->run = run;
    k->free = free_state;
    return true;
}

const CpuKernel cpu_reduce = { .name = "reduce", .ops = "bias_grad gap", .priority = PRIORITY_OWN, .claim = claim };
