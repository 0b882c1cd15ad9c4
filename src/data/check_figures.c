/* SPDX-License-Identifier: Apache-2.0
 *
 * check_figures - how many and how large: what a split looks like. */
#include "data/check_impl.h"

#include <math.h>
#include <stdlib.h>

bool check_number(Arena *a, Numbers *to, double v)
{
    if (!arena_grow(a, &to->v, to->n, &to->cap, sizeof *to->v)) return false;
    to->v[to->n++] = (float)v;
    return true;
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Sorts v. A share falls on the nearest number, so that what is told occurs. */
static DataRange range_of(float *v, size_t n)
{
    if (!n) return (DataRange) { NAN, NAN, NAN, NAN, NAN };
    qsort(v, n, sizeof *v, by_size);
    double last = (double)(n - 1);
    return (DataRange) { v[0], v[lround(last * 0.05)], v[lround(last * 0.5)], v[lround(last * 0.95)], v[n - 1] };
}

SplitReport check_figures(CheckSplit *s)
{
    enum { SMALL = 32, LARGE = 96 };
    int64_t of_size[3] = { 0 };
    for (size_t i = 0; i < s->box_w.n; i++) {
        float area = s->box_w.v[i] * s->box_h.v[i];
        of_size[area < SMALL * SMALL ? 0 : area < LARGE * LARGE ? 1 : 2]++;
    }
    return (SplitReport) { .name = s->name,
                           .pictures = (int64_t)s->n,
                           .used = s->used,
                           .backgrounds = s->backgrounds,
                           .objects = s->objects,
                           .objects_of = s->objects_of,
                           .pictures_of = s->pictures_of,
                           .picture_w = range_of(s->picture_w.v, s->picture_w.n),
                           .picture_h = range_of(s->picture_h.v, s->picture_h.n),
                           .box_w = range_of(s->box_w.v, s->box_w.n),
                           .box_h = range_of(s->box_h.v, s->box_h.n),
                           .box_aspect = range_of(s->box_aspect.v, s->box_aspect.n),
                           .small = of_size[0],
                           .medium = of_size[1],
                           .large = of_size[2] };
}
