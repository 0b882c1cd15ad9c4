/* SPDX-License-Identifier: Apache-2.0
 *
 * softmax and softmax_grad along the dimension whose elements lie side by side: channels of an image, the last
 * dimension elsewhere. */
#include "backend/cpu/cpu.h"
#include "ops/ops.h"

typedef struct State {
    const Isa *isa;
    int threads;
    bool gradient;
    int64_t rows, cols;
} State;

static Rows lines_of(const State *s, const Tensor *t)
{
    Rows r = rows_of(t);
    if (r.rows == 1) r.b.ld = s->cols;
    return r;
}

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    Rows x = lines_of(s, &a->in[0]), y = lines_of(s, s->gradient ? &a->in[1] : &a->out[0]);
    Rows dx = lines_of(s, &a->out[0]);
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int i = 0; i < s->threads; i++) {
        int64_t lo, hi;
        share(s->rows, 1, i, s->threads, &lo, &hi);
        if (s->gradient)
            s->isa->softmax_grad(block_at(&x, lo, 0), block_at(&y, lo, 0), block_at(&dx, lo, 0), hi - lo, s->cols);
        else
            s->isa->softmax(block_at(&x, lo, 0), block_at(&y, lo, 0), hi - lo, s->cols);
    }
    return DYN_OK;
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    const Type *x = &p->in[0];
    int64_t dim = attr_int(p->node, "dim"), total = shape_count(&x->shape);
    State s = { .isa = cpu->isa, .threads = threads_for(p->threads, total) };
    s.gradient = str_eq(p->node->op->name, "softmax_grad");
    if (attr_int(p->node, "space")) return decline(why, n, "over space");
    if (!is_float(x) || (x->shape.rank == 4 && x->rowmajor)) return decline(why, n, "not f32 or bf16, or row-major");
    if (s.gradient && (p->in[1].dtype != x->dtype || p->in[1].rowmajor != x->rowmajor))
        return decline(why, n, "dy and y of different types");
    if (dim != (is_image(x) ? 1 : x->shape.rank - 1)) return decline(why, n, "elements do not lie side by side");
    if (total == 0) return decline(why, n, "empty");
    s.cols = x->shape.dim[dim];
    s.rows = total / s.cols;
    if (!accept(k, cpu, &s, sizeof s, run, why, n)) return false;
    k->strided_in = s.gradient ? 3 : 1;
    k->strided_out = 1;
    return true;
}

const CpuKernel cpu_softmax = {
    .name = "softmax", .ops = "softmax softmax_grad", .priority = PRIORITY_OWN, .claim = claim
};
