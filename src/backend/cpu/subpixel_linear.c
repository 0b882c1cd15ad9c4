/* SPDX-License-Identifier: Apache-2.0
 *
 * 1x1 convolutions of sub-pixels and their gradients, on the unshuffled image. */
#include "backend/cpu/cpu.h"
#include "ops/ops.h"

typedef struct State {
    const Isa *isa;
    int threads;
    int64_t C, O, S;
    bool bias;
} State;

/* Weights w [O,C,1,1], dense; repeated into scratch where the vector code wants that. */
static SubpixelJob job_of(const State *s, const Tensor *w, const Tensor *b, float *scratch)
{
    SubpixelJob j = { .C = s->C, .O = s->O, .S = s->S, .w = w->data, .bias = b ? b->data : NULL };
    if (!subpixel_wide(s->O, s->S)) return j;
    for (int64_t i = 0; i < s->O * s->C; i++)
        for (int64_t k = 0; k < s->S; k++)
            scratch[i * s->S + k] = j.w[i];
    j.wide = scratch;
    return j;
}

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    SubpixelJob j = job_of(s, &a->in[1], s->bias ? &a->in[2] : NULL, a->scratch);
    Rows x = rows_of(&a->in[0]), y = rows_of(&a->out[0]);
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int i = 0; i < s->threads; i++) {
        int64_t lo, hi;
        share(x.rows, 1, i, s->threads, &lo, &hi);
        s->isa->subpixel(&j, block_at(&x, lo, 0), block_at(&y, lo, 0), hi - lo);
    }
    return DYN_OK;
}

static Status run_dx(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    SubpixelJob j = job_of(s, &a->in[1], NULL, a->scratch);
    Rows dy = rows_of(&a->in[0]), dx = rows_of(&a->out[0]);
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int i = 0; i < s->threads; i++) {
        int64_t lo, hi;
        share(dx.rows, 1, i, s->threads, &lo, &hi);
        s->isa->subpixel_dx(&j, block_at(&dy, lo, 0), block_at(&dx, lo, 0), hi - lo);
    }
    return DYN_OK;
}

/* Threads share the inputs, not the pixels: sums have one order whatever the number of threads. */
static Status run_dw(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    Rows dy = rows_of(&a->in[0]), x = rows_of(&a->in[1]);
    double *sum = a->scratch, *db = sum + s->O * s->C;
    float *dw = a->out[0].data, *to_db = a->out[1].data;
    SubpixelJob j = { .C = s->C, .O = s->O, .S = s->S };
    j.wide = subpixel_wide(s->O, s->S) ? dw : NULL; /* which form is meant; no weights are read */
    memset(sum, 0, (size_t)(s->O * (s->C + s->S)) * sizeof *sum);
    s->isa->column_sums(block_at(&dy, 0, 0), dy.rows, dy.cols, db);
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int i = 0; i < s->threads; i++) {
        int64_t lo, hi;
        share(s->C, 16, i, s->threads, &lo, &hi);
        s->isa->subpixel_dw(&j, block_at(&dy, 0, 0), block_at(&x, 0, 0), x.rows, lo, hi, sum);
    }
    for (int64_t i = 0; i < s->O * s->C; i++)
        dw[i] = (float)sum[i];
    for (int64_t o = 0; o < s->O; o++) {
        double all = 0;
        for (int64_t q = 0; q < s->S; q++)
            all += db[o * s->S + q];
        to_db[o] = (float)all;
    }
    return DYN_OK;
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    const char *op = p->node->op->name;
    bool dx = str_eq(op, "subpixel_linear_dx"), dw = str_eq(op, "subpixel_linear_dw");
    const Type *x = dw ? &p->in[1] : &p->in[0], *y = dw ? &p->in[0] : &p->out[0], *w = &p->in[dw ? 2 : 1];
    int64_t r = attr_int(p->node, "scale");
    State s = { .isa = cpu->isa, .O = w->shape.dim[0], .C = w->shape.dim[1], .S = r * r };
    s.bias = !dx && !dw && has_in(p, 2);
    s.threads = threads_for(p->threads, shape_count(&x->shape) * s.O);
    if (!is_float(x) || !is_float(y) || !is_image(x) || !is_image(y))
        return decline(why, n, "not images of f32 or bf16");
    if (w->dtype != F32 || (s.bias && p->in[2].dtype != F32)) return decline(why, n, "weights are not f32");
    if (dw && p->out[0].dtype != F32) return decline(why, n, "gradient is not f32");
    if (!shape_count(&x->shape)) return decline(why, n, "empty");
    if (!accept(k, cpu, &s, sizeof s, dx ? run_dx : dw ? run_dw : run, why, n)) return false;
    k->scratch_bytes = dw ? (size_t)(s.O * (s.C + s.S)) * sizeof(double) : (size_t)(s.O * s.C * s.S) * sizeof(float);
    k->strided_in = dw ? 3 : 1;
    k->strided_out = dw ? 0 : 1;
    return true;
}

const CpuKernel cpu_subpixel_linear = { .name = "subpixel_linear",
                                        .ops = "subpixel_linear subpixel_linear_dx subpixel_linear_dw",
                                        .priority = PRIORITY_OWN,
                                        .claim = claim };
