/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

bool decline(char *why, size_t n, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, n, fmt, ap);
    va_end(ap);
    return false;
}

static void free_state(Kernel *k)
{
    mem_free(k->state);
    k->state = NULL;
}

bool accept(Kernel *k, const Cpu *cpu, const void *state, size_t bytes,
            Status (*run)(Kernel *, const KernelArgs *, Error *), char *why, size_t n)
{
    k->state = mem_alloc(bytes);
    if (!k->state) return decline(why, n, "out of memory");
    memcpy(k->state, state, bytes);
    k->impl = cpu->isa->name;
    k->run = run;
    k->free = free_state;
    return true;
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
#define DECLARE_AMX(ret, fn, params) ret amx_##fn params;
ISA_FUNCTIONS(DECLARE_SSE2)
ISA_FUNCTIONS(DECLARE_AVX2)
ISA_FUNCTIONS(DECLARE_AVX512)
ISA_FUNCTIONS(DECLARE_AVX512BF16)
ISA_FUNCTIONS(DECLARE_AMX)

#define FILL_SSE2(ret, fn, params) .fn = sse2_##fn,
#define FILL_AVX2(ret, fn, params) .fn = avx2_##fn,
#define FILL_AVX512(ret, fn, params) .fn = avx512_##fn,
#define FILL_AVX512BF16(ret, fn, params) .fn = avx512bf16_##fn,
#define FILL_AMX(ret, fn, params) .fn = amx_##fn,
static const Isa levels[] = {
    { .name = "sse2", ISA_FUNCTIONS(FILL_SSE2) },     { .name = "avx2", ISA_FUNCTIONS(FILL_AVX2) },
    { .name = "avx512", ISA_FUNCTIONS(FILL_AVX512) }, { .name = "avx512bf16", ISA_FUNCTIONS(FILL_AVX512BF16) },
    { .name = "amx", ISA_FUNCTIONS(FILL_AMX) },
};

/* CPUID leaf 7, EDX: bit 22 AMX-BF16, bit 24 AMX-TILE. The tile registers are 8 KB of state that Linux saves only for
 * processes that have asked for it; the grant holds for all threads and cannot be taken back. */
static bool has_amx(void)
{
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1) && (d >> 24 & 1) &&
           !syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA);
}

static bool cpu_has(int level)
{
    switch (level) {
    case 0: return true;
    case 1: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case 2:
        return cpu_has(1) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    case 3: return cpu_has(2) && __builtin_cpu_supports("avx512bf16");
    case 4: return cpu_has(3) && has_amx();
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

void zip_rows(const Isa *isa, ZipOp op, Rows *a, Rows *b, Rows *y, int threads)
{
    Cut cut = rows_cut((Rows *[]) { a, b, y }, 3, threads);
#pragma omp parallel for num_threads(cut.threads) schedule(static)
    for (int i = 0; i < cut.threads; i++) {
        Share q = cut_share(&cut, i);
        isa->zip(op, block_at(a, q.row, q.col), block_at(b, q.row, q.col), block_at(y, q.row, q.col), q.rows, q.cols);
    }
}

void merge_moments(double *to, int64_t n, const double *more, int64_t m, int64_t cols)
{
    if (m == 0) return;
    double total = (double)(n + m);
    for (int64_t c = 0; c < cols; c++) {
        double d = more[c] - to[c];
        to[c] += d * (double)m / total;
        to[cols + c] += more[cols + c] + d * d * (double)n * (double)m / total;
    }
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

Tensor range_of(const Tensor *t, int64_t dim, int64_t lo, int64_t size)
{
    Tensor r = *t;
    r.dim[dim] = size;
    r.data = (char *)r.data + (size_t)(lo * r.stride[dim]) * dtype_bytes(r.dtype);
    return r;
}

/* A copy as lines of `run` bytes: `inner` of them at fixed steps, and that for each of `outer` positions. */
typedef struct Lines {
    int order[MAX_RANK], n; /* dimensions left outside a line, outermost first */
    int64_t run, inner, outer, step_x, step_y;
} Lines;

static Lines lines_of(const Tensor *x, const Tensor *y)
{
    static const int image_order[4] = { 0, 2, 3, 1 };
    Lines l = { .run = 1, .inner = 1, .outer = 1 };
    bool image = y->rank == 4 && y->stride[1] == 1;
    for (int d = 0; d < y->rank; d++)
        l.order[d] = image ? image_order[d] : d;
    l.n = y->rank;
    for (; l.n; l.n--) {
        int d = l.order[l.n - 1];
        if (y->dim[d] != 1 && (y->stride[d] != l.run || x->stride[d] != l.run)) break;
        l.run *= y->dim[d];
    }
    if (l.n) {
        int d = l.order[--l.n];
        l.inner = y->dim[d], l.step_x = x->stride[d], l.step_y = y->stride[d];
    }
    for (int i = 0; i < l.n; i++)
        l.outer *= y->dim[l.order[i]];
    return l;
}

static void copy_line(const char *x, char *y, size_t bytes)
{
    if (x)
        memcpy(y, x, bytes);
    else
        memset(y, 0, bytes);
}

/* n elements at fixed steps (in elements); the sizes of dtypes are constants here, which is what makes it fast. */
static void copy_elements(const char *x, int64_t step_x, char *y, int64_t step_y, int64_t n, size_t size)
{
#define COPY(bytes)                                                                                                    \
    case bytes:                                                                                                        \
        for (int64_t i = 0; i < n; i++)                                                                                \
            memcpy(y + i * step_y * (bytes), x + i * step_x * (bytes), bytes);                                         \
        break;
    switch (size) {
        COPY(1)
        COPY(2)
        COPY(4)
        COPY(8)
    }
#undef COPY
}

void copy_view(const Tensor *x, const Tensor *y, int threads)
{
    Lines l = lines_of(x ? x : y, y);
    size_t size = dtype_bytes(y->dtype);
    int64_t per = l.run, total = tensor_count(y);
    threads = threads_for(threads, total);
    /* Short lines go a row of them at a time, so that the position is computed once for many; one long line is cut. */
    if (l.outer * l.inner == 1) {
        per = MAX((l.run + threads - 1) / threads, 1);
        l.inner = (l.run + per - 1) / per, l.step_x = l.step_y = per;
        l.outer = l.inner, l.inner = 1;
    }
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t o = 0; o < l.outer; o++) {
        int64_t at = o, ax = 0, ay = 0;
        for (int i = l.n - 1; i >= 0; i--) {
            int d = l.order[i];
            ax += at % y->dim[d] * (x ? x->stride[d] : 0), ay += at % y->dim[d] * y->stride[d];
            at /= y->dim[d];
        }
        if (per != l.run) ax = ay = o * per;
        size_t bytes = (size_t)(per != l.run ? MIN(per, l.run - o * per) : l.run) * size;
        if (x && l.run == 1) {
            copy_elements((const char *)x->data + (size_t)ax * size, l.step_x, (char *)y->data + (size_t)ay * size,
                          l.step_y, l.inner, size);
            continue;
        }
        for (int64_t i = 0; i < l.inner; i++)
            copy_line(x ? (const char *)x->data + (size_t)(ax + i * l.step_x) * size : NULL,
                      (char *)y->data + (size_t)(ay + i * l.step_y) * size, bytes);
    }
}
