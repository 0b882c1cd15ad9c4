/* SPDX-License-Identifier: Apache-2.0
 *
 * Operators that only move elements: copy, concat, split, slice, pad, transpose, zeros_like, upsample_nearest, of any
 * dtype. The planner makes most of them free; these run where it cannot. */
#include "backend/cpu/cpu.h"
#include "ops/ops_util.h"

typedef struct State {
    int threads;
    int64_t dim, lo, scale;
    int64_t perm[MAX_RANK];
} State;

static Status run_copy(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    copy_view(&a->in[0], &a->out[0], s->threads);
    return DYN_OK;
}

static Status run_zeros(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    copy_view(NULL, &a->out[0], s->threads);
    return DYN_OK;
}

static Status run_slice(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    Tensor part = range_of(&a->in[0], s->dim, s->lo, a->out[0].dim[s->dim]);
    copy_view(&part, &a->out[0], s->threads);
    return DYN_OK;
}

static Status run_pad(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    const Tensor *x = &a->in[0], *y = &a->out[0];
    int64_t size = x->dim[s->dim], end = s->lo + size;
    Tensor part = range_of(y, s->dim, s->lo, size), before = range_of(y, s->dim, 0, s->lo),
           after = range_of(y, s->dim, end, y->dim[s->dim] - end);
    copy_view(x, &part, s->threads);
    if (before.dim[s->dim]) copy_view(NULL, &before, s->threads);
    if (after.dim[s->dim]) copy_view(NULL, &after, s->threads);
    return DYN_OK;
}

static Status run_split(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    int64_t size = a->out[0].dim[s->dim];
    for (int64_t i = 0; i * size < a->in[0].dim[s->dim]; i++) {
        Tensor part = range_of(&a->in[0], s->dim, i * size, size);
        copy_view(&part, &a->out[i], s->threads);
    }
    return DYN_OK;
}

static Status run_concat(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    for (int64_t i = 0, at = 0; at < a->out[0].dim[s->dim]; at += a->in[i++].dim[s->dim]) {
        Tensor part = range_of(&a->out[0], s->dim, at, a->in[i].dim[s->dim]);
        copy_view(&a->in[i], &part, s->threads);
    }
    return DYN_OK;
}

static Status run_transpose(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    Tensor x = a->in[0];
    for (int d = 0; d < x.rank; d++)
        x.dim[d] = a->in[0].dim[s->perm[d]], x.stride[d] = a->in[0].stride[s->perm[d]];
    copy_view(&x, &a->out[0], s->threads);
    return DYN_OK;
}

/* y as the image of one of the scale * scale positions inside a pixel: x goes to each. */
static Status run_upsample(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    const Tensor *x = &a->in[0], *y = &a->out[0];
    for (int64_t i = 0; i < s->scale * s->scale; i++) {
        Tensor part = *y;
        for (int d = 2; d < 4; d++)
            part.dim[d] = x->dim[d], part.stride[d] *= s->scale;
        int64_t at = i / s->scale * y->stride[2] + i % s->scale * y->stride[3];
        part.data = (char *)y->data + (size_t)at * dtype_bytes(y->dtype);
        copy_view(x, &part, s->threads);
    }
    return DYN_OK;
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    static const struct {
        const char *op;
        Status (*run)(Kernel *, const KernelArgs *, Error *);
    } runs[] = { { "copy", run_copy },           { "zeros_like", run_zeros },
                 { "slice", run_slice },         { "pad", run_pad },
                 { "split", run_split },         { "concat", run_concat },
                 { "transpose", run_transpose }, { "upsample_nearest", run_upsample } };
    const Node *node = p->node;
    const char *op = node->op->name;
    State s = { .threads = p->threads };
    size_t i = 0;
    while (!str_eq(runs[i].op, op))
        i++;
    if (str_eq(op, "slice") || str_eq(op, "pad") || str_eq(op, "split") || str_eq(op, "concat"))
        s.dim = attr_int(node, "dim");
    if (str_eq(op, "slice") || str_eq(op, "pad")) s.lo = attr_int(node, "lo");
    if (str_eq(op, "upsample_nearest")) s.scale = attr_int(node, "scale");
    bool data = !str_eq(op, "zeros_like"), reorder = str_eq(op, "transpose");
    if (reorder) attr_list(node, "perm", s.perm, MAX_RANK);
    for (int q = 0; data && q < node->n_in; q++)
        if (p->in[q].dtype != p->out[0].dtype || (!reorder && is_image(&p->in[q]) != is_image(&p->out[0])))
            return decline(why, n, "change of type or layout");
    if (!accept(k, cpu, &s, sizeof s, runs[i].run, why, n)) return false;
    k->strided_in = k->strided_out = ~(uint64_t)0;
    return true;
}

const CpuKernel cpu_copies = { .name = "copies",
                               .ops = "copy zeros_like slice pad split concat transpose upsample_nearest",
                               .priority = PRIORITY_OWN,
                               .claim = claim };
