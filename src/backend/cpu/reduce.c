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
    int64_t joined;             /* few channels: so many rows that lie one behind the other are summed as one */
    bool mean;
} State;

/* sum [cols] = sums of `rows` rows from `row` on; wide: room for joined ones. */
static void sum_rows(const State *s, const Rows *x, int64_t row, int64_t rows, double *sum, double *wide)
{
    bool dense = x->b.ld == s->cols;
    int64_t joined = dense ? s->joined : 1, cols = joined * s->cols, whole = joined > 1 ? rows / joined : 0;
    memset(sum, 0, (size_t)s->cols * sizeof *sum);
    if (whole) {
        Block b = block_at(x, row, 0);
        b.ld = cols;
        memset(wide, 0, (size_t)cols * sizeof *wide);
        s->isa->column_sums(b, whole, cols, wide);
        for (int64_t i = 0; i < cols; i++)
            sum[i % s->cols] += wide[i];
    }
    s->isa->column_sums(block_at(x, row + whole * joined, 0), rows - whole * joined, s->cols, sum);
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
            double *mine = partial + i * s->cols * (1 + s->joined);
            sum_rows(s, &x, g * s->rows + lo, hi - lo, mine, mine + s->cols);
        }
        for (int64_t c = 0; c < s->cols; c++) {
            double sum = 0;
            for (int i = 0; i < s->threads; i++)
                sum += partial[i * s->cols * (1 + s->joined) + c];
            dtype_store(y, t, g * s->cols + c, s->mean ? sum / (double)s->rows : sum);
        }
    }
    return DYN_OK;
}

/* dx = dy / pixels, everywhere */
static Status run_spread(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    Rows dx = rows_of(&a->out[0]);
    const char *dy = a->in[0].data;
    int64_t step = a->in[0].stride[0] * (int64_t)dtype_bytes(a->in[0].dtype);
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int i = 0; i < s->threads; i++)
        for (int64_t g = 0; g < s->groups; g++) {
            int64_t lo, hi;
            share(s->rows, 1, i, s->threads, &lo, &hi);
            s->isa->map(ACT_NONE, 1 / (float)s->rows, 0, (Block) { dy + g * step, 0, a->in[0].dtype, false },
                        block_at(&dx, g * s->rows + lo, 0), hi - lo, s->cols);
        }
    return DYN_OK;
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    bool spread = str_eq(p->node->op->name, "gap_grad");
    const Type *x = &p->in[spread ? 1 : 0];
    const int64_t *d = x->shape.dim;
    State s = { .isa = cpu->isa, .mean = !str_eq(p->node->op->name, "bias_grad") };
    if (!is_float(x) || !is_image(x) || !is_float(&p->in[0]) || !is_image(&p->in[0]))
        return decline(why, n, "not an image of f32 or bf16");
    s.groups = s.mean ? d[0] : 1;
    s.rows = (s.mean ? 1 : d[0]) * d[2] * d[3];
    s.cols = d[1];
    if (s.rows * s.cols == 0) return decline(why, n, "empty");
    s.threads = threads_for(p->threads, s.rows * s.cols);
    s.joined = s.cols < 32 ? 16 : 1;
    k->scratch_bytes = (size_t)(s.cols * (1 + s.joined) * s.threads) * sizeof(double);
    if (!accept(k, cpu, &s, sizeof s, spread ? run_spread : run, why, n)) return false;
    k->strided_in = 1;
    k->strided_out = spread;
    return true;
}

const CpuKernel cpu_reduce = {
    .name = "reduce", .ops = "bias_grad gap gap_grad", .priority = PRIORITY_OWN, .claim = claim
};
