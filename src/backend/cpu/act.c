/* SPDX-License-Identifier: Apache-2.0
 *
 * One input, one output, element by element: activations and their gradients, cast, scale, bytes to activations.
 */
#include "backend/cpu/cpu.h"
#include "ops/ops.h"

typedef struct State {
    const Isa *isa;
    Act act;
    float scale, shift;
    int threads;
    bool grad;
} State;

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    Rows x = rows_of(&a->in[0]), y = rows_of(&a->out[0]);
    Cut cut = rows_cut((Rows *[]) { &x, &y }, 2, s->threads);
#pragma omp parallel for num_threads(cut.threads) schedule(static)
    for (int i = 0; i < cut.threads; i++) {
        Share q = cut_share(&cut, i);
        s->isa->map(s->act, s->scale, s->shift, block_at(&x, q.row, q.col), block_at(&y, q.row, q.col), q.rows, q.cols);
    }
    return DYN_OK;
}

static Status run_grad(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    Rows dy = rows_of(&a->in[0]), x = rows_of(&a->in[1]), dx = rows_of(&a->out[0]);
    Cut cut = rows_cut((Rows *[]) { &dy, &x, &dx }, 3, s->threads);
#pragma omp parallel for num_threads(cut.threads) schedule(static)
    for (int i = 0; i < cut.threads; i++) {
        Share q = cut_share(&cut, i);
        s->isa->map_grad(s->act, block_at(&dy, q.row, q.col), block_at(&x, q.row, q.col), block_at(&dx, q.row, q.col),
                         q.rows, q.cols);
    }
    return DYN_OK;
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    const Node *node = p->node;
    const char *op = node->op->name;
    State s = { .isa = cpu->isa, .act = ACT_NONE, .scale = 1, .threads = p->threads, .grad = str_ends(op, "_grad") };
    char act[32];
    bool bytes = str_eq(op, "image");
    if (bytes) {
        s.scale = (float)attr_float(node, "scale");
    } else if (str_eq(op, "scale")) {
        s.scale = (float)attr_float(node, "a");
        s.shift = (float)attr_float(node, "b");
    } else if (!str_eq(op, "cast")) {
        snprintf(act, sizeof act, "%.*s", (int)(strlen(op) - (s.grad ? 5 : 0)), op);
        s.act = act_of(act);
        if (s.grad && s.act == ACT_SIGMOID) s.act = ACT_SIGMOID_Y;
        if (s.grad && s.act == ACT_TANH) s.act = ACT_TANH_Y;
        if (s.act == ACT_LEAKY_RELU && attr_float(node, "slope") != 0.01) return decline(why, n, "slope is not 0.01");
    }
    if (!(bytes ? p->in[0].dtype == U8 : is_float(&p->in[0])) || !is_float(&p->out[0]))
        return decline(why, n, "types other than f32 and bf16");
    if (p->in[0].rowmajor != p->out[0].rowmajor) return decline(why, n, "change of layout");
    if (s.grad && (p->in[0].dtype != p->in[1].dtype || p->in[0].rowmajor != p->in[1].rowmajor))
        return decline(why, n, "operands of different types");
    if (!accept(k, cpu, &s, sizeof s, s.grad ? run_grad : run, why, n)) return false;
    k->strided_in = s.grad ? 3 : 1;
    k->strided_out = 1;
    return true;
}

const CpuKernel cpu_act = { .name = "act",
                            .ops =
                                "relu silu sigmoid leaky_relu hardswish gelu tanh mish cast scale image relu_grad "
                                "silu_grad sigmoid_grad leaky_relu_grad hardswish_grad gelu_grad tanh_grad mish_grad",
                            .priority = PRIORITY_OWN,
                            .claim = claim };
