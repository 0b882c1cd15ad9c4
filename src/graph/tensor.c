/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/graph_impl.h"

Shape shape_make(const int64_t *dim, int rank)
{
    Shape s = { .rank = rank };
    memcpy(s.dim, dim, (size_t)rank * sizeof *dim);
    return s;
}

int64_t shape_count(const Shape *s)
{
    int64_t n = 1;
    for (int d = 0; d < s->rank; d++)
        if (__builtin_mul_overflow(n, s->dim[d], &n)) return -1;
    return n;
}

bool shape_eq(const Shape *a, const Shape *b)
{
    return a->rank == b->rank && memcmp(a->dim, b->dim, (size_t)MAX(a->rank, 0) * sizeof *a->dim) == 0;
}

char *shape_text(const Shape *s, char *buf, size_t n)
{
    size_t at = (size_t)snprintf(buf, n, "[");
    for (int d = 0; d < s->rank && at < n; d++)
        at += (size_t)snprintf(buf + at, n - at, "%s%lld", d ? "," : "", (long long)s->dim[d]);
    if (at < n) snprintf(buf + at, n - at, "]");
    return buf;
}

size_t type_bytes(const Type *t)
{
    return (size_t)shape_count(&t->shape) * dtype_bytes(t->dtype);
}

Tensor tensor_view(void *data, const Type *t)
{
    Tensor x = { .data = data, .dtype = t->dtype, .rank = t->shape.rank };
    int64_t step = 1;
    for (int d = 0; d < x.rank; d++)
        x.dim[d] = t->shape.dim[d];
    if (x.rank == 4 && !t->rowmajor) {
        x.stride[1] = 1;
        x.stride[3] = x.dim[1];
        x.stride[2] = x.stride[3] * x.dim[3];
        x.stride[0] = x.stride[2] * x.dim[2];
        return x;
    }
    for (int d = x.rank - 1; d >= 0; d--) {
        x.stride[d] = step;
        step *= x.dim[d];
    }
    return x;
}

int64_t tensor_count(const Tensor *t)
{
    int64_t n = 1;
    for (int d = 0; d < t->rank; d++)
        n *= t->dim[d];
    return n;
}
