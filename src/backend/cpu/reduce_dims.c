/* SPDX-License-Identifier: Apache-2.0
 *
 * reduce_sum, reduce_mean and sum_to over any dimensions of a dense tensor. The dimensions in memory order, neighbours
 * of the same kind taken as one, alternate between kept and reduced; the innermost two are column sums or row sums.
 * Threads take fixed shares of the outermost; where that is reduced, their sums are added in their order. */
#include "backend/cpu/cpu.h"
#include "ops/ops_util.h"

typedef struct Axis {
    int64_t n, step; /* step: elements of x, and of the result for a kept one, that lie inside */
    int64_t inside;
    bool reduced;
} Axis;

typedef struct State {
    const Isa *isa;
    int threads, n;
    Axis axis[MAX_RANK + 1];
    int64_t kept;
    double scale;
} State;

/* Sum of n elements side by side. */
static double row_sum(const State *s, const Block *x, int64_t n)
{
    enum { WIDE = 64 };
    double part[WIDE] = { 0 }, sum = 0;
    Block rows = *x;
    rows.ld = WIDE;
    if (n >= WIDE) s->isa->column_sums(rows, n / WIDE, WIDE, part);
    Block rest = *x;
    rest.data = (const char *)x->data + (size_t)(n / WIDE * WIDE) * dtype_bytes(x->dtype);
    if (n % WIDE) s->isa->column_sums(rest, 1, n % WIDE, part);
    for (int i = 0; i < WIDE; i++)
        sum += part[i];
    return sum;
}

static Block moved(Block x, int64_t elements)
{
    x.data = (const char *)x.data + (size_t)elements * dtype_bytes(x.dtype);
    return x;
}

/* Adds x, from axis a on, of which only [lo, hi) are taken, to out. */
static void add_axes(const State *s, int a, int64_t lo, int64_t hi, Block x, double *out)
{
    const Axis *q = &s->axis[a];
    if (a == s->n - 1) {
        if (q->reduced)
            *out += row_sum(s, &(Block) { .data = moved(x, lo).data, .dtype = x.dtype }, hi - lo);
        else
            s->isa->column_sums(moved(x, lo), 1, hi - lo, out);
        return;
    }
    if (q->reduced && a == s->n - 2) { /* and the last is kept */
        x.ld = q->step;
        s->isa->column_sums(moved(x, lo * q->step), hi - lo, q->step, out);
        return;
    }
    for (int64_t i = lo; i < hi; i++)
        add_axes(s, a + 1, 0, s->axis[a + 1].n, moved(x, i * q->step), q->reduced ? out : out + (i - lo) * q->inside);
}

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    const Axis *first = &s->axis[0];
    Block x = { .data = a->in[0].data, .dtype = a->in[0].dtype };
    double *sum = a->scratch;
    int copies = first->reduced ? s->threads : 1;
    memset(sum, 0, (size_t)(copies * s->kept) * sizeof *sum);
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int i = 0; i < s->threads; i++) {
        int64_t lo, hi;
        share(first->n, 1, i, s->threads, &lo, &hi);
        if (hi > lo)
            add_axes(s, 0, lo, hi, x, first->reduced ? sum + i * s->kept : sum + lo * (s->n > 1 ? first->inside : 1));
    }
    for (int64_t c = 0; c < s->kept; c++) {
        double total = sum[c];
        for (int i = 1; i < copies; i++)
            total += sum[i * s->kept + c];
        dtype_store(a->out[0].data, a->out[0].dtype, c, total * s->scale);
    }
    return DYN_OK;
}

/* Bit d: dimension d is summed over. */
static unsigned summed(const Node *n, const Type *x, const Type *y)
{
    int64_t dims[MAX_RANK];
    unsigned mask = 0;
    if (str_eq(n->op->name, "sum_to")) {
        for (int d = 0; d < x->shape.rank; d++)
            mask |= (unsigned)(y->shape.dim[d] != x->shape.dim[d]) << d;
        return mask;
    }
    for (int i = attr_list(n, "dims", dims, MAX_RANK) - 1; i >= 0; i--)
        mask |= 1u << dims[i];
    return mask;
}

static void add_axis(State *s, int64_t n, bool reduced)
{
    if (n == 1) return;
    if (s->n && s->axis[s->n - 1].reduced == reduced)
        s->axis[s->n - 1].n *= n;
    else
        s->axis[s->n++] = (Axis) { .n = n, .reduced = reduced };
}

static void fill_steps(State *s)
{
    int64_t step = 1;
    s->kept = 1;
    if (!s->n) s->axis[s->n++] = (Axis) { .n = 1 };
    for (int i = s->n - 1; i >= 0; i--) {
        s->axis[i].step = step, s->axis[i].inside = s->kept;
        step *= s->axis[i].n;
        if (!s->axis[i].reduced) s->kept *= s->axis[i].n;
    }
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    static const int image_order[4] = { 0, 2, 3, 1 };
    const Type *x = &p->in[0], *y = &p->out[0];
    unsigned mask = summed(p->node, x, y);
    int64_t total = shape_count(&x->shape);
    State s = { .isa = cpu->isa, .scale = 1 };
    if (!is_float(x) || !is_float(y)) return decline(why, n, "types other than f32 and bf16");
    if (total == 0) return decline(why, n, "empty");
    if (is_image(x) != is_image(y) && x->shape.rank == 4 && !(mask >> 1 & 1) && x->shape.dim[1] > 1 &&
        !((mask >> 2 & 1 || x->shape.dim[2] == 1) && (mask >> 3 & 1 || x->shape.dim[3] == 1)))
        return decline(why, n, "the result lies in another order");
    for (int i = 0; i < x->shape.rank; i++) {
        int d = is_image(x) ? image_order[i] : i;
        add_axis(&s, x->shape.dim[d], mask >> d & 1);
    }
    fill_steps(&s);
    if (str_eq(p->node->op->name, "reduce_mean")) s.scale = (double)s.kept / (double)total;
    s.threads = threads_for(p->threads, total);
    if (s.axis[0].reduced && s.kept > total / 16) s.threads = 1;
    k->scratch_bytes = (size_t)(s.kept * s.threads) * sizeof(double);
    return accept(k, cpu, &s, sizeof s, run, why, n);
}

const CpuKernel cpu_reduce_dims = {
    .name = "reduce_dims", .ops = "reduce_sum reduce_mean sum_to", .priority = PRIORITY_GENERIC, .claim = claim
};
