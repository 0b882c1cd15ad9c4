/* SPDX-License-Identifier: Apache-2.0
 *
 * softmax over all positions of each channel (space=1), and its gradient. Two passes and their sums, each pass cut
 * among threads whose results meet in their order. Few channels of a dense image leave most of a vector empty: several
 * pixels are seen as one row then, and what belongs to the same channel is put together afterwards. */
#include "backend/cpu/cpu.h"
#include "ops/ops.h"

#include <math.h>

typedef struct State {
    const Isa *isa;
    int threads;
    bool gradient;
    int64_t N, rows, C; /* rows: pixels of an image */
} State;

enum { WIDE = 64 }; /* columns that are worth a row of its own */

/* How many pixels make a row: all operands dense, and the image a multiple of it. */
static int64_t pixels_a_row(const State *s, Rows *const *operand, int n)
{
    int64_t f = 1;
    for (int i = 0; i < n; i++)
        if (operand[i]->b.ld != s->C && s->N * s->rows > 1) return 1;
    while (2 * f * s->C <= WIDE && s->rows % (2 * f) == 0)
        f *= 2;
    return f;
}

typedef struct Job {
    const State *s;
    Rows x, y, out; /* softmax: x -> out; gradient: x is dy */
    int64_t rows, cols, f;
    float *a, *b; /* [threads or 1][cols]: tops; scales, dots */
    double *sum;  /* [threads][cols] */
} Job;

static Block at(const Job *j, const Rows *r, int64_t image, int64_t row)
{
    Rows wide = *r;
    wide.b.ld *= j->f;
    return block_at(&wide, image * j->rows + row, 0);
}

/* Column c of every thread's sums, over all columns of the same channel. */
static double channel_sum(const Job *j, int64_t c)
{
    double sum = 0;
    for (int i = 0; i < j->s->threads; i++)
        for (int64_t k = c; k < j->cols; k += j->s->C)
            sum += j->sum[i * j->cols + k];
    return sum;
}

static void each_share(const Job *j, int64_t image,
                       void (*fn)(const Job *, int i, int64_t image, int64_t lo, int64_t n))
{
#pragma omp parallel for num_threads(j->s->threads) schedule(static)
    for (int i = 0; i < j->s->threads; i++) {
        int64_t lo, hi;
        share(j->rows, 1, i, j->s->threads, &lo, &hi);
        fn(j, i, image, lo, hi - lo);
    }
}

static void find_tops(const Job *j, int i, int64_t image, int64_t lo, int64_t n)
{
    for (int64_t c = 0; c < j->cols; c++)
        j->a[i * j->cols + c] = -INFINITY;
    j->s->isa->column_tops(at(j, &j->x, image, lo), n, j->cols, j->a + i * j->cols);
}

static void add_exps(const Job *j, int i, int64_t image, int64_t lo, int64_t n)
{
    memset(j->sum + i * j->cols, 0, (size_t)j->cols * sizeof *j->sum);
    j->s->isa->exp_sums(at(j, &j->x, image, lo), j->a, n, j->cols, j->sum + i * j->cols);
}

static void write_exps(const Job *j, int i, int64_t image, int64_t lo, int64_t n)
{
    j->s->isa->exp_times(at(j, &j->x, image, lo), j->a, j->b, at(j, &j->out, image, lo), n, j->cols);
}

static void add_dots(const Job *j, int i, int64_t image, int64_t lo, int64_t n)
{
    memset(j->sum + i * j->cols, 0, (size_t)j->cols * sizeof *j->sum);
    j->s->isa->dot_sums(at(j, &j->x, image, lo), at(j, &j->y, image, lo), n, j->cols, j->sum + i * j->cols);
}

static void write_less_dot(const Job *j, int i, int64_t image, int64_t lo, int64_t n)
{
    j->s->isa->less_dot(at(j, &j->x, image, lo), at(j, &j->y, image, lo), j->b, at(j, &j->out, image, lo), n, j->cols);
}

static void forward(const Job *j, int64_t image)
{
    each_share(j, image, find_tops);
    for (int64_t c = 0; c < j->s->C; c++) {
        float top = -INFINITY;
        for (int64_t k = c; k < j->cols * j->s->threads; k += j->s->C)
            top = MAX(top, j->a[k]);
        for (int64_t k = c; k < j->cols; k += j->s->C)
            j->a[k] = top;
    }
    each_share(j, image, add_exps);
    for (int64_t k = 0; k < j->cols; k++)
        j->b[k] = (float)(1 / channel_sum(j, k % j->s->C));
    each_share(j, image, write_exps);
}

static void backward(const Job *j, int64_t image)
{
    each_share(j, image, add_dots);
    for (int64_t k = 0; k < j->cols; k++)
        j->b[k] = (float)channel_sum(j, k % j->s->C);
    each_share(j, image, write_less_dot);
}

static int64_t most_cols(int64_t C)
{
    return MAX(C, WIDE);
}

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    Job j = { .s = s, .x = rows_of(&a->in[0]), .y = rows_of(&a->in[s->gradient ? 1 : 0]), .out = rows_of(&a->out[0]) };
    j.f = pixels_a_row(s, (Rows *[]) { &j.x, &j.y, &j.out }, 3);
    j.rows = s->rows / j.f, j.cols = s->C * j.f;
    j.sum = a->scratch;
    j.a = (float *)(j.sum + most_cols(s->C) * s->threads);
    j.b = j.a + most_cols(s->C) * s->threads;
    for (int64_t image = 0; image < s->N; image++)
        if (s->gradient)
            backward(&j, image);
        else
            forward(&j, image);
    return DYN_OK;
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    const Type *x = &p->in[0];
    const int64_t *d = x->shape.dim;
    State s = { .isa = cpu->isa, .gradient = str_eq(p->node->op->name, "softmax_grad") };
    if (!attr_int(p->node, "space")) return decline(why, n, "not over space");
    if (!is_float(x) || !is_image(x)) return decline(why, n, "not an image of f32 or bf16");
    if (s.gradient && (p->in[1].dtype != x->dtype || !is_image(&p->in[1])))
        return decline(why, n, "dy and y of different types");
    if (shape_count(&x->shape) == 0) return decline(why, n, "empty");
    s.N = d[0], s.rows = d[2] * d[3], s.C = d[1];
    s.threads = threads_for(p->threads, s.rows * s.C);
    k->scratch_bytes = (size_t)(most_cols(s.C) * s.threads) * 8 + (size_t)(most_cols(s.C) * (s.threads + 1)) * 4;
    if (!accept(k, cpu, &s, sizeof s, run, why, n)) return false;
    k->strided_in = s.gradient ? 3 : 1;
    k->strided_out = 1;
    return true;
}

const CpuKernel cpu_softmax_space = {
    .name = "softmax_space", .ops = "softmax softmax_grad", .priority = PRIORITY_OWN, .claim = claim
};
