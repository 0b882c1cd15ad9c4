/* SPDX-License-Identifier: Apache-2.0
 *
 * yolo_decode in one walk over the logits: expectations of the four sides, box, class probabilities and their maximum
 * are written while an anchor's row is in cache. */
#include "backend/cpu/cpu.h"
#include "ops/ops.h"

#include <stdlib.h>

enum { MAX_LEVELS = 16 };

typedef struct State {
    const Isa *isa;
    int threads, levels;
    int64_t bins, stride[MAX_LEVELS];
    size_t row_floats; /* scratch of a thread */
} State;

static const void *pixel_row(const Tensor *t, int64_t n, int64_t h)
{
    return (const char *)t->data + (size_t)(n * t->stride[0] + h * t->stride[2]) * dtype_bytes(t->dtype);
}

/* Row h of a level: its W anchors. side: [W,4] of scratch. */
static void decode_row(const State *s, const KernelArgs *a, int level, int64_t n, int64_t h, int64_t anchor,
                       float *side)
{
    const Tensor *box = &a->in[level], *cls = &a->in[s->levels + level], *y = &a->out[0];
    int64_t W = box->dim[3], per = y->dim[2];
    float *row = (float *)y->data + (n * y->dim[1] + anchor) * per, scale = (float)s->stride[level];
    float *score = (float *)a->out[1].data + n * y->dim[1] + anchor;
    s->isa->expectation((Block) { pixel_row(box, n, h), box->stride[3], box->dtype, false }, s->bins, W, side);
    for (int64_t w = 0; w < W; w++) {
        const float *d = side + 4 * w;
        float *b = row + w * per;
        b[0] = ((float)w + 0.5f + (d[2] - d[0]) / 2) * scale;
        b[1] = ((float)h + 0.5f + (d[3] - d[1]) / 2) * scale;
        b[2] = (d[0] + d[2]) * scale;
        b[3] = (d[1] + d[3]) * scale;
    }
    s->isa->sigmoid_max((Block) { pixel_row(cls, n, h), cls->stride[3], cls->dtype, false },
                        (Block) { row + 4, per, F32, false }, W, cls->dim[1], score);
}

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    int64_t first = 0;
    for (int level = 0; level < s->levels; level++) {
        int64_t H = a->in[level].dim[2], W = a->in[level].dim[3], rows = a->in[level].dim[0] * H;
#pragma omp parallel for num_threads(s->threads) schedule(static)
        for (int i = 0; i < s->threads; i++) {
            int64_t lo, hi;
            share(rows, 1, i, s->threads, &lo, &hi);
            for (int64_t r = lo; r < hi; r++)
                decode_row(s, a, level, r / H, r % H, first + r % H * W,
                           (float *)a->scratch + (size_t)i * s->row_floats);
        }
        first += H * W;
    }
    return DYN_OK;
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    State s = { .isa = cpu->isa, .bins = attr_int(p->node, "reg_max"), .levels = p->node->n_in / 2 };
    const char *list = attr_text(p->node, "strides");
    int64_t widest = 1;
    if (s.levels > MAX_LEVELS || p->out[0].dtype != F32) return decline(why, n, "too many levels, or f64");
    for (int i = 0; i < s.levels; i++) {
        char *end;
        s.stride[i] = *list ? strtoll(list, &end, 10) : attr_int(p->node, "strides");
        if (*list) list = *end ? end + 1 : end;
        widest = MAX(widest, p->in[i].shape.dim[3]);
    }
    for (int i = 0; i < p->node->n_in; i++)
        if (!is_float(&p->in[i]) || !is_image(&p->in[i])) return decline(why, n, "not images of f32 or bf16");
    s.threads = threads_for(p->threads, shape_count(&p->out[0].shape));
    s.row_floats = (size_t)(4 * widest + 15) & ~(size_t)15;
    if (!accept(k, cpu, &s, sizeof s, run, why, n)) return false;
    k->scratch_bytes = s.row_floats * (size_t)s.threads * sizeof(float);
    k->strided_in = ~(uint64_t)0;
    return true;
}

const CpuKernel cpu_yolo_decode = {
    .name = "yolo_decode", .ops = "yolo_decode", .priority = PRIORITY_OWN, .claim = claim
};
