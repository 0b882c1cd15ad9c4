/* SPDX-License-Identifier: Apache-2.0
 *
 * a + b, a - b, a * b, a / b: equal shapes, or images of which one is constant over space (per channel), over channels
 * (per pixel), or over both. */
#include "backend/cpu/cpu.h"
#include "ops/ops.h"

typedef struct State {
    const Isa *isa;
    ZipOp op;
    int threads;
    bool same;
} State;

/* t as rows that fit an image of the shape of y: ld 0 where it repeats over space, splat where over channels. For one
 * image of the batch. */
static Rows fitted(const Tensor *t, const Tensor *y, int64_t image)
{
    Rows r = { .b = { .dtype = t->dtype } };
    int64_t at = t->dim[0] > 1 ? image * t->stride[0] : 0;
    r.rows = y->dim[2] * y->dim[3];
    r.cols = y->dim[1];
    r.b.data = (const char *)t->data + (size_t)at * dtype_bytes(t->dtype);
    r.b.splat = t->dim[1] == 1 && y->dim[1] > 1;
    r.b.ld = t->dim[2] * t->dim[3] == 1 ? 0 : t->dim[3] > 1 ? t->stride[3] : t->stride[2];
    if (r.rows == 1) r.b.ld = r.cols; /* whatever: there is no second row */
    return r;
}

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    const Tensor *y = &a->out[0];
    if (s->same) {
        Rows ra = rows_of(&a->in[0]), rb = rows_of(&a->in[1]), ry = rows_of(y);
        zip_rows(s->isa, s->op, &ra, &rb, &ry, s->threads);
        return DYN_OK;
    }
    for (int64_t n = 0; n < y->dim[0]; n++) {
        Rows ra = fitted(&a->in[0], y, n), rb = fitted(&a->in[1], y, n), ry = fitted(y, y, n);
        zip_rows(s->isa, s->op, &ra, &rb, &ry, s->threads);
    }
    return DYN_OK;
}

/* Repeats over the batch, over all of space, over channels: what fitted() can say. */
static bool fits(const Type *t, const Type *y)
{
    const int64_t *a = t->shape.dim, *b = y->shape.dim;
    bool pixel = t->shape.rank == 4 && a[2] * a[3] == 1; /* a parameter [1,C,1,1] lies as an image of one pixel does */
    return (is_image(t) || pixel) && (a[0] == b[0] || a[0] == 1) && (a[1] == b[1] || a[1] == 1) &&
           ((a[2] == b[2] && a[3] == b[3]) || a[2] * a[3] == 1);
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    static const char *const names[N_ZIP_OP] = { "add", "sub", "mul", "div" };
    const Type *a = &p->in[0], *b = &p->in[1], *y = &p->out[0];
    State s = { .isa = cpu->isa, .threads = p->threads };
    while (!str_eq(names[s.op], p->node->op->name))
        s.op++;
    if (!is_float(y) || a->dtype != y->dtype || b->dtype != y->dtype)
        return decline(why, n, "operands of mixed types, or neither f32 nor bf16");
    s.same = shape_eq(&a->shape, &y->shape) && shape_eq(&b->shape, &y->shape);
    if (s.same && (a->rowmajor != y->rowmajor || b->rowmajor != y->rowmajor))
        return decline(why, n, "operands of different layouts");
    if (!s.same && !(is_image(y) && fits(a, y) && fits(b, y))) return decline(why, n, "this repetition");
    if (!accept(k, cpu, &s, sizeof s, run, why, n)) return false;
    k->strided_in = 3;
    k->strided_out = 1;
    return true;
}

const CpuKernel cpu_binary = { .name = "binary", .ops = "add sub mul div", .priority = PRIORITY_OWN, .claim = claim };
