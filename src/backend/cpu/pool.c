/* SPDX-License-Identifier: Apache-2.0
 *
 * Windows over images: maxpool2d (rows first, then columns, so that a k x k window costs 2k comparisons), its gradient,
 * and the gradient of upsample_nearest, which is a sum over windows that do not overlap. */
#include "backend/cpu/cpu.h"
#include "ops/ops.h"

enum { MAX_K = 16, CHUNK = 64 };

typedef struct State {
    const Isa *isa;
    int threads;
    int64_t k, stride, pad;
    size_t row_bytes; /* scratch of a thread */
} State;

static const void *pixel(const Tensor *t, int64_t n, int64_t c, int64_t h, int64_t w)
{
    int64_t at = n * t->stride[0] + c + h * t->stride[2] + w * t->stride[3];
    return (const char *)t->data + (size_t)at * dtype_bytes(t->dtype);
}

/* The part [lo, hi) of a window that starts at `at` which lies in an axis of `size`. */
static void clip(const State *s, int64_t out, int64_t size, int64_t *lo, int64_t *hi)
{
    int64_t at = out * s->stride - s->pad;
    *lo = MAX(at, 0);
    *hi = MIN(at + s->k, size);
}

/* One row of the result: the maximum over the window's rows into line [W,C], then over its columns. */
static void pool_row(const State *s, const Tensor *x, const Tensor *y, int64_t n, int64_t h, void *line)
{
    const void *src[MAX_K];
    int64_t lo, hi, C = x->dim[1], W = x->dim[3], Wo = y->dim[3];
    size_t size = dtype_bytes(x->dtype);
    Block mid = { line, C, x->dtype, false };
    clip(s, h, x->dim[2], &lo, &hi);
    for (int64_t i = lo; i < hi; i++)
        src[i - lo] = pixel(x, n, 0, i, 0);
    s->isa->max_of(src, (int)(hi - lo), x->stride[3], mid, W, C);
    for (int64_t w = 0, count; w < Wo; w += count) {
        clip(s, w, W, &lo, &hi);
        /* Results whose windows lie inside the row entirely go in one call, those at its ends one by one. */
        bool inside = hi - lo == s->k;
        count = inside ? (W - s->k + s->pad) / s->stride - w + 1 : 1;
        for (int64_t i = lo; i < hi; i++)
            src[i - lo] = (const char *)line + (size_t)(i * C) * size;
        Block to = { pixel(y, n, 0, h, w), y->stride[3], y->dtype, false };
        s->isa->max_of(src, (int)(hi - lo), s->stride * C, to, count, C);
    }
}

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    const Tensor *x = &a->in[0], *y = &a->out[0];
    int64_t rows = y->dim[0] * y->dim[2];
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int i = 0; i < s->threads; i++) {
        int64_t lo, hi;
        share(rows, 1, i, s->threads, &lo, &hi);
        for (int64_t r = lo; r < hi; r++)
            pool_row(s, x, y, r / y->dim[2], r % y->dim[2], (char *)a->scratch + (size_t)i * s->row_bytes);
    }
    return DYN_OK;
}

/* Gradient of up to CHUNK channels of one image: every window's maximum is looked for again, its dy added there. Sums
 * are f32 in `sum` [H,W,CHUNK], because windows overlap. */
static void scatter(const State *s, const Tensor *dy, const Tensor *x, int64_t n, int64_t c, int64_t count, float *sum)
{
    int64_t W = x->dim[3];
    int32_t which[CHUNK];
    const void *src[MAX_K * MAX_K];
    float *to[MAX_K * MAX_K]; /* where each is summed */
    for (int64_t h = 0; h < dy->dim[2]; h++)
        for (int64_t w = 0; w < dy->dim[3]; w++) {
            int64_t h0, h1, w0, w1, at = 0;
            clip(s, h, x->dim[2], &h0, &h1);
            clip(s, w, W, &w0, &w1);
            for (int64_t i = h0; i < h1; i++)
                for (int64_t j = w0; j < w1; j++, at++)
                    src[at] = pixel(x, n, c, i, j), to[at] = sum + (i * W + j) * CHUNK;
            s->isa->max_which(src, (int)at, x->dtype, which, count);
            const void *g = pixel(dy, n, c, h, w);
            for (int64_t i = 0; i < count; i++)
                to[which[i]][i] += dy->dtype == F32 ? ((const float *)g)[i] : bf16_to_f32(((const uint16_t *)g)[i]);
        }
}

static Status run_grad(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    const Tensor *dy = &a->in[0], *x = &a->in[1], *dx = &a->out[0];
    int64_t chunks = (x->dim[1] + CHUNK - 1) / CHUNK, jobs = x->dim[0] * chunks;
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int i = 0; i < s->threads; i++) {
        int64_t lo, hi;
        float *sum = (float *)((char *)a->scratch + (size_t)i * s->row_bytes);
        share(jobs, 1, i, s->threads, &lo, &hi);
        for (int64_t j = lo; j < hi; j++) {
            int64_t n = j / chunks, c = j % chunks * CHUNK, count = MIN(CHUNK, x->dim[1] - c);
            memset(sum, 0, s->row_bytes);
            scatter(s, dy, x, n, c, count, sum);
            for (int64_t h = 0; h < x->dim[2]; h++)
                s->isa->map(ACT_NONE, 1, 0, (Block) { sum + h * x->dim[3] * CHUNK, CHUNK, F32, false },
                            (Block) { pixel(dx, n, c, h, 0), dx->stride[3], dx->dtype, false }, x->dim[3], count);
        }
    }
    return DYN_OK;
}

static Status run_down(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    const Tensor *dy = &a->in[0], *dx = &a->out[0];
    int64_t rows = dx->dim[0] * dx->dim[2];
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        int64_t n = r / dx->dim[2], h = r % dx->dim[2];
        const void *src[MAX_K * MAX_K];
        for (int64_t i = 0; i < s->k * s->k; i++)
            src[i] = pixel(dy, n, 0, h * s->k + i / s->k, i % s->k);
        s->isa->sum_of(src, (int)(s->k * s->k), s->k * dy->stride[3],
                       (Block) { pixel(dx, n, 0, h, 0), dx->stride[3], dx->dtype, false }, dx->dim[3], dx->dim[1]);
    }
    return DYN_OK;
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    const char *op = p->node->op->name;
    bool down = str_eq(op, "upsample_nearest_grad"), grad = str_eq(op, "maxpool2d_grad");
    const Type *x = &p->in[grad ? 1 : 0];
    const int64_t *d = x->shape.dim;
    State s = { .isa = cpu->isa, .threads = threads_for(p->threads, shape_count(&x->shape)) };
    s.k = attr_int(p->node, down ? "scale" : "k");
    if (!down) s.stride = attr_int(p->node, "stride"), s.pad = attr_int(p->node, "pad");
    if (s.k > MAX_K) return decline(why, n, "window of %lld", (long long)s.k);
    for (int i = 0; i < p->node->n_in; i++)
        if (!is_float(&p->in[i]) || !is_image(&p->in[i]) || p->in[i].dtype != x->dtype)
            return decline(why, n, "not images of f32 or bf16");
    if (!is_image(&p->out[0])) return decline(why, n, "row-major result");
    if (!shape_count(&p->out[0].shape)) return decline(why, n, "empty");
    s.row_bytes = down   ? 0
                  : grad ? (size_t)(d[2] * d[3] * CHUNK) * sizeof(float)
                         : mem_round((size_t)(d[1] * d[3]) * dtype_bytes(x->dtype));
    if (!accept(k, cpu, &s, sizeof s, down ? run_down : grad ? run_grad : run, why, n)) return false;
    k->scratch_bytes = s.row_bytes * (size_t)s.threads;
    k->strided_in = grad ? 3 : 1;
    k->strided_out = 1;
    return true;
}

const CpuKernel cpu_pool = {
    .name = "pool", .ops = "maxpool2d maxpool2d_grad upsample_nearest_grad", .priority = PRIORITY_OWN, .claim = claim
};
