/* SPDX-License-Identifier: Apache-2.0
 *
 * softmax along the dimension whose elements lie side by side: channels of an image, the last dimension elsewhere. */
#include "backend/cpu/cpu.h"
#include "ops/ops.h"

typedef struct State {
    const Isa *isa;
    int threads;
    int64_t rows, cols;
} State;

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    Rows x = rows_of(&a->in[0]), y = rows_of(&a->out[0]);
    if (x.rows == 1) x.b.ld = y.b.ld = s->cols;
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int i = 0; i < s->threads; i++) {
        int64_t lo, hi;
        share(s->rows, 1, i, s->threads, &lo, &hi);
        s->isa->softmax(block_at(&x, lo, 0), block_at(&y, lo, 0), hi - lo, s->cols);
    }
    return DYN_OK;
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    const Type *x = &p->in[0];
    int64_t dim = attr_int(p->node, "dim"), total = shape_count(&x->shape);
    State s = { .isa = cpu->isa, .threads = threads_for(p->threads, total), .cols = x->shape.dim[dim] };
    if (!is_float(x) || (x->shape.rank == 4 && x->rowmajor)) return decline(why, n, "not f32 or bf16, or row-major");
    if (attr_int(p->node, "space")) return decline(why, n, "over space");
    if (dim != (is_image(x) ? 1 : x->shape.rank - 1)) return decline(why, n, "elements do not lie side by side");
    if (total == 0) return decline(why, n, "empty");
    s.rows = total / s.cols;
    if (!accept(k, cpu, &s, sizeof s, run, why, n)) return false;
    k->strided_in = k->strided_out = 1;
    return true;
}

const CpuKernel cpu_softmax = { .name = "softmax", .ops = "softmax", .priority = PRIORITY_OWN, .claim = claim };
