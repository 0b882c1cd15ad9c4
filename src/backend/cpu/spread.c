/* SPDX-License-Identifier: Apache-2.0
 *
 * spread - gradients of reduce_sum and reduce_mean: dy, scaled once into scratch, is repeated over what was reduced. */
#include "backend/cpu/cpu.h"
#include "ops/ops_util.h"

typedef struct State {
    const Isa *isa;
    int threads;
    int from[MAX_RANK]; /* of each dimension of dx: that of dy, -1 where it was reduced */
    float scale;
} State;

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    const Tensor *dx = &a->out[0];
    int64_t n = tensor_count(&a->in[0]);
    Tensor view = *dx;
    view.data = a->scratch;
    for (int d = 0; d < dx->rank; d++)
        view.stride[d] = s->from[d] < 0 ? 0 : a->in[0].stride[s->from[d]];
    s->isa->map(ACT_NONE, s->scale, 0, (Block) { a->in[0].data, n, a->in[0].dtype, false },
                (Block) { a->scratch, n, dx->dtype, false }, 1, n);
    copy_view(&view, dx, s->threads);
    return DYN_OK;
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    const Type *dy = &p->in[0], *dx = &p->out[0];
    int64_t dims[MAX_RANK], total = shape_count(&dx->shape);
    bool keep = attr_int(p->node, "keep");
    unsigned gone = 0;
    State s = { .isa = cpu->isa, .threads = p->threads, .scale = 1 };
    if (!is_float(dy) || !is_float(dx)) return decline(why, n, "types other than f32 and bf16");
    if (total == 0) return decline(why, n, "empty");
    for (int i = attr_list(p->node, "dims", dims, MAX_RANK) - 1; i >= 0; i--)
        gone |= 1u << dims[i];
    for (int d = 0, next = 0; d < dx->shape.rank; d++) {
        bool reduced = gone >> d & 1;
        s.from[d] = reduced ? -1 : next;
        next += keep || !reduced;
    }
    if (str_eq(p->node->op->name, "reduce_mean_grad"))
        s.scale = (float)((double)shape_count(&dy->shape) / (double)total);
    k->scratch_bytes = (size_t)shape_count(&dy->shape) * dtype_bytes(dx->dtype);
    if (!accept(k, cpu, &s, sizeof s, run, why, n)) return false;
    k->strided_out = 1;
    return true;
}

const CpuKernel cpu_spread = {
    .name = "spread", .ops = "reduce_sum_grad reduce_mean_grad", .priority = PRIORITY_OWN, .claim = claim
};
