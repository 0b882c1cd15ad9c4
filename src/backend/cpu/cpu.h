/* SPDX-License-Identifier: Apache-2.0
 *
 * What the CPU kernels share: the device, the registry entry of a kernel, tensors seen as rows of channels.
 *
 * A kernel is one file src/backend/cpu/NAME.c with `const CpuKernel cpu_NAME`; being in the folder registers it. For a
 * node, kernels whose `ops` name its operator are asked by falling priority; the first that accepts runs it. Files
 * named
 * *_util.c help their neighbours. Loops that depend on the vector width live in isa/ and are compiled once per level.
 */
#ifndef CPU_H
#define CPU_H

#include "backend/backend.h"
#include "backend/cpu/isa/isa.h"

typedef struct Dnn Dnn; /* oneDNN's engine and stream: onednn_util.h */

typedef struct Cpu {
    const Isa *isa; /* vector code for this processor, or for the lower level that DYN_CPU names */
    Dnn *dnn;       /* NULL when DYN_CPU=ref */
} Cpu;

enum { PRIORITY_GENERIC = 10, PRIORITY_ONEDNN = 20, PRIORITY_OWN = 30 };

typedef struct CpuKernel {
    const char *name;
    const char *ops; /* operators that it may take: "conv2d conv2d_dx" */
    int priority;
    /* As BackendDef.claim; k is zeroed. */
    bool (*claim)(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t why_size);
} CpuKernel;

/* The processor's levels, lowest first; NULL from the first on that it lacks. */
const Isa *isa_at(int level);
Act act_of(const char *name); /* N_ACT when vector code does not know it */
/* What the processor has, capped by name ("sse2", "avx2", ...; NULL: no cap). Unknown names: NULL. */
const Isa *isa_pick(const char *cap);

/* Ends a claim: impl, state (copied), run; declines when there is no memory. Such a state owns nothing else. */
bool accept(Kernel *k, const Cpu *cpu, const void *state, size_t bytes,
            Status (*run)(Kernel *, const KernelArgs *, Error *), char *why, size_t n);
/* `return decline(why, n, "groups=%d", g)` in claim. */
bool decline(char *why, size_t n, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* ---- rows --------------------------------------------------------------------------------------------------- */

/* A tensor as rows x cols: an image as pixels x channels, anything else as one row. A channel range of a wider image
 * differs only in ld. */
typedef struct Rows {
    Block b;
    int64_t rows, cols;
} Rows;
Rows rows_of(const Tensor *t);
/* The block from element (row, col) on; writable data behind a const pointer, as everywhere in Block. */
Block block_at(const Rows *r, int64_t row, int64_t col);
/* Cuts a job of rows x cols (the same for all n operands) into shares, one a thread. One row is cut along columns;
 * dense operands are seen as one row first, so that short rows cost nothing. */
typedef struct Cut {
    bool by_cols;
    int64_t rows, cols;
    int threads;
} Cut;
Cut rows_cut(Rows **operand, int n, int threads);
/* y = a op b, which may be one of them. */
void zip_rows(const Isa *isa, ZipOp op, Rows *a, Rows *b, Rows *y, int threads);
/* Share i: rows [r0, r0+rows) and columns [c0, c0+cols). */
typedef struct Share {
    int64_t row, col, rows, cols;
} Share;
Share cut_share(const Cut *c, int i);
/* The elements of x to y, both of the same shape and dtype, views of any strides (of x also 0: repeated), fastest where
 * the memory order is the same; x NULL: zeros. */
void copy_view(const Tensor *x, const Tensor *y, int threads);
/* t from index lo on along dim, size of them. */
Tensor range_of(const Tensor *t, int64_t dim, int64_t lo, int64_t size);
/* Chan, Golub & LeVeque: moments [2][cols], mean and m2, of n values and of m more -> of both, in place of the first.
 */
void merge_moments(double *to, int64_t n, const double *more, int64_t m, int64_t cols);
/* As many threads as are worth waking for so many elements. */
int threads_for(int threads, int64_t elements);

static inline bool is_image(const Type *t)
{
    return t->shape.rank == 4 && !t->rowmajor;
}
static inline bool is_void(const Type *t)
{
    return t->shape.rank < 0;
}
static inline bool is_float(const Type *t)
{
    return t->dtype == F32 || t->dtype == BF16;
}
/* Input i of the node exists; an operator without such an input has i = -1. */
static inline bool has_in(const KernelPlan *p, int i)
{
    return i >= 0 && i < p->node->n_in && !is_void(&p->in[i]);
}

/* The share [lo, hi) of thread i of n in count items, cut at multiples of step. */
static inline void share(int64_t count, int64_t step, int i, int n, int64_t *lo, int64_t *hi)
{
    int64_t blocks = (count + step - 1) / step;
    *lo = MIN(count, blocks * i / n * step);
    *hi = MIN(count, blocks * (i + 1) / n * step);
}

#endif
