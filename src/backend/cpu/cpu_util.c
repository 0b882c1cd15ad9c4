/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu.h"

bool decline(char *why, size_t n, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, n, fmt, ap);
    va_end(ap);
    return false;
}

Act act_of(const char *name)
{
    static const char *const names[] = {
#define X(id, text) text,
        ACT_MAP(X)
#undef X
    };
    int a = 0;
    while (a < N_ACT && !str_eq(names[a], name))
        a++;
    return (Act)a;
}

/* ---- levels ------------------------------------------------------------------------------------------------- */

#define DECLARE_SSE2(ret, fn, params) ret sse2_##fn params;
#define DECLARE_AVX2(ret, fn, params) ret avx2_##fn params;
#define DECLARE_AVX512(ret, fn, params) ret avx512_##fn params;
#define DECLARE_AVX512BF16(ret, fn, params) ret avx512bf16_##fn params;
ISA_FUNCTIONS(DECLARE_SSE2)
ISA_FUNCTIONS(DECLARE_AVX2)
ISA_FUNCTIONS(DECLARE_AVX512)
ISA_FUNCTIONS(DECLARE_AVX512BF16)

#define FILL_SSE2(ret, fn, params) .fn = sse2_##fn,
#define FILL_AVX2(ret, fn, params) .fn = avx2_##fn,
#define FILL_AVX512(ret, fn, params) .fn = avx512_##fn,
#define FILL_AVX512BF16(ret, fn, params) .fn = avx512bf16_##fn,
static const Isa levels[] = {
    { .name = "sse2", ISA_FUNCTIONS(FILL_SSE2) },
    { .name = "avx2", ISA_FUNCTIONS(FILL_AVX2) },
    { .name = "avx512", ISA_FUNCTIONS(FILL_AVX512) },
    { .name = "avx512bf16", ISA_FUNCTIONS(FILL_AVX512BF16) },
};

static bool cpu_has(int level)
{
    switch (level) {
    case 0: return true;
    case 1: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case 2:
        return cpu_has(1) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    case 3: return cpu_has(2) && __builtin_cpu_supports("avx512bf16");
    default: return false;
    }
}

const Isa *isa_at(int level)
{
    return cpu_has(level) ? &levels[level] : NULL;
}

const Isa *isa_pick(const char *cap)
{
    const Isa *best = NULL;
    for (int i = 0; i < (int)COUNT_OF(levels); i++) {
        if (cpu_has(i)) best = &levels[i];
        if (cap && str_eq(levels[i].name, cap)) return best;
    }
    return cap ? NULL : best;
}

/* ---- rows --------------------------------------------------------------------------------------------------- */

Rows rows_of(const Tensor *t)
{
    Rows r = { .b = { .data = t->data, .dtype = t->dtype }, .rows = 1, .cols = tensor_count(t) };
    /* Channels-last: one channel lies beside the next. Of row-major tensors only those without space look so; a pixel's
     * stride is then the image's. */
    if (t->rank == 4 && t->stride[1] == 1) {
        r.cols = t->dim[1];
        r.rows = t->dim[0] * t->dim[2] * t->dim[3];
        r.b.ld = t->dim[3] > 1 ? t->stride[3] : t->dim[2] > 1 ? t->stride[2] : t->stride[0];
        return r;
    }
    r.b.ld = r.cols;
    return r;
}

Block block_at(const Rows *r, int64_t row, int64_t col)
{
    Block b = r->b;
    int64_t at = row * b.ld + (b.splat ? 0 : col);
    b.data = (const char *)b.data + (size_t)at * dtype_bytes(b.dtype);
    return b;
}

int threads_for(int threads, int64_t elements)
{
    return (int)CLAMP(elements / 8192, 1, threads);
}

Cut rows_cut(Rows **operand, int n, int threads)
{
    int64_t rows = operand[0]->rows, cols = operand[0]->cols;
    bool dense = true;
    for (int i = 0; i < n; i++)
        dense &= operand[i]->b.ld == cols && !operand[i]->b.splat;
    if (dense) {
        cols *= rows, rows = 1;
        for (int i = 0; i < n; i++)
            operand[i]->rows = 1, operand[i]->cols = operand[i]->b.ld = cols;
    }
    return (Cut) { .by_cols = rows == 1, .rows = rows, .cols = cols, .threads = threads_for(threads, rows * cols) };
}

Share cut_share(const Cut *c, int i)
{
    int64_t lo, hi;
    if (c->by_cols) {
        share(c->cols, 64, i, c->threads, &lo, &hi);
        return (Share) { .col = lo, .rows = hi > lo, .cols = hi - lo };
    }
    share(c->rows, 1, i, c->threads, &lo, &hi);
    return (Share) { .row = lo, .rows = hi - lo, .cols = c->cols };
}
