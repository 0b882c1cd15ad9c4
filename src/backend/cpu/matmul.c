/* SPDX-License-Identifier: Apache-2.0
 *
 * matmul - the second operand as f32 rows in scratch, so that it may be given transposed or in bf16, then the first
 * operand's rows times it. A first operand that is given transposed goes through scratch, too. */
#include "backend/cpu/cpu.h"
#include "ops/ops.h"

typedef struct State {
    const Isa *isa;
    int threads;
    bool ta, tb;
    int64_t batch, M, N, K, padded; /* N rounded up to whole vectors of any level */
} State;

/* Element (row, col) of t's last two dimensions, seen transposed when asked, is at row * step_r + col * step_c. */
typedef struct Matrix {
    const char *data;
    DType dtype;
    int64_t step_r, step_c;
} Matrix;

/* The matrix of t that goes with matrix i of y: leading dimensions of size 1 repeat. */
static Matrix matrix_of(const Tensor *t, const Tensor *y, int64_t i, bool swap)
{
    int r = t->rank;
    int64_t at = 0;
    for (int d = r - 3; d >= 0; d--) {
        if (t->dim[d] > 1) at += i % y->dim[d] * t->stride[d];
        i /= y->dim[d];
    }
    return (Matrix) { (const char *)t->data + (size_t)at * dtype_bytes(t->dtype), t->dtype,
                      t->stride[swap ? r - 1 : r - 2], t->stride[swap ? r - 2 : r - 1] };
}

/* Rows [lo, hi) of m, cols of them, to rows of f32 that are ld apart; zeros behind. */
static void spread(const Matrix *m, int64_t lo, int64_t hi, int64_t cols, float *to, int64_t ld)
{
    for (int64_t r = lo; r < hi; r++) {
        for (int64_t c = 0; c < cols; c++)
            to[r * ld + c] = (float)dtype_load(m->data, m->dtype, r * m->step_r + c * m->step_c);
        memset(to + r * ld + cols, 0, (size_t)(ld - cols) * sizeof *to);
    }
}

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    const Tensor *y = &a->out[0];
    float *b = a->scratch, *rows = b + s->K * s->padded, *buffers = rows + (s->ta ? s->M * s->K : 0);
    for (int64_t i = 0; i < s->batch; i++) {
        Matrix ma = matrix_of(&a->in[0], y, i, s->ta), mb = matrix_of(&a->in[1], y, i, s->tb);
        Matrix my = matrix_of(y, y, i, false);
#pragma omp parallel num_threads(s->threads)
        {
#pragma omp for schedule(static)
            for (int t = 0; t < s->threads; t++) {
                int64_t lo, hi;
                share(s->K, 1, t, s->threads, &lo, &hi);
                spread(&mb, lo, hi, s->N, b, s->padded);
            }
#pragma omp for schedule(static)
            for (int t = 0; t < s->threads; t++) {
                int64_t lo, hi;
                share(s->M, 4, t, s->threads, &lo, &hi);
                Block x = { .data = ma.data, .ld = ma.step_r, .dtype = ma.dtype };
                if (s->ta) {
                    spread(&ma, lo, hi, s->K, rows, s->K);
                    x = (Block) { .data = rows, .ld = s->K, .dtype = F32 };
                }
                Block out = { .data = my.data, .ld = my.step_r, .dtype = my.dtype };
                x.data = (const char *)x.data + (size_t)(lo * x.ld) * dtype_bytes(x.dtype);
                out.data = (const char *)out.data + (size_t)(lo * out.ld) * dtype_bytes(out.dtype);
                s->isa->mix_rows(x, b, s->padded, s->K, (Block) { 0 }, out, hi - lo, s->N,
                                 buffers + (int64_t)t * ATTENTION_BUFFER);
            }
        }
    }
    return DYN_OK;
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    const Type *a = &p->in[0], *b = &p->in[1], *y = &p->out[0];
    int r = y->shape.rank;
    State s = { .isa = cpu->isa, .ta = attr_int(p->node, "ta"), .tb = attr_int(p->node, "tb"), .batch = 1 };
    s.M = y->shape.dim[r - 2], s.N = y->shape.dim[r - 1], s.K = a->shape.dim[s.ta ? r - 2 : r - 1];
    s.padded = (s.N + 15) / 16 * 16;
    for (int d = 0; d < r - 2; d++)
        s.batch *= y->shape.dim[d];
    if (!is_float(a) || !is_float(b) || !is_float(y)) return decline(why, n, "types other than f32 and bf16");
    if (is_image(a) || is_image(y)) return decline(why, n, "rows of a channels-last image do not lie side by side");
    if (s.K > ATTENTION_BUFFER / 4 && a->dtype != F32) return decline(why, n, "%lld products", (long long)s.K);
    if (s.batch * s.M * s.N * s.K == 0) return decline(why, n, "empty");
    s.threads = threads_for(p->threads, s.M * s.N * s.K / 8);
    k->scratch_bytes =
        (size_t)(s.K * s.padded + (s.ta ? s.M * s.K : 0) + (int64_t)s.threads * ATTENTION_BUFFER) * sizeof(float);
    return accept(k, cpu, &s, sizeof s, run, why, n);
}

const CpuKernel cpu_matmul = { .name = "matmul", .ops = "matmul", .priority = PRIORITY_GENERIC, .claim = claim };
