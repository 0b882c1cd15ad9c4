/* SPDX-License-Identifier: Apache-2.0
 *
 * Order of an epoch and shapes of rectangular batches (spec 5.7). */
#include "data/data_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int side(double share, const LoaderOptions *opt)
{
    int stride = MAX(opt->stride, 32);
    return (int)ceil(share * opt->imgsz / stride + opt->pad) * stride;
}

static void rect_shape(double lowest, double highest, const LoaderOptions *opt, int shape[2])
{
    double h = 1, w = 1;
    if (highest < 1)
        h = highest;
    else if (lowest > 1)
        w = 1 / lowest;
    shape[0] = side(h, opt), shape[1] = side(w, opt);
}

static Status rect_order(Order *o, Arena *a, const Dataset *ds, const LoaderOptions *opt, Error *err)
{
    double *h_by_w = ARENA_ARRAY(a, double, o->n);
    if (!h_by_w) return fail_nomem(err, (size_t)o->n * sizeof *h_by_w);
    for (int64_t i = 0; i < o->n; i++)
        h_by_w[i] = (double)ds->item[i].h / ds->item[i].w;
    ratio_sort(h_by_w, o->base, o->n);
    for (int64_t k = 0; k < o->n_batches; k++) {
        int64_t first = k * o->batch, last = MIN(first + o->batch, o->n) - 1;
        rect_shape(h_by_w[o->base[first]], h_by_w[o->base[last]], opt, o->shape[k]);
        if (o->shape[k][0] != o->shape[0][0] || o->shape[k][1] != o->shape[0][1]) o->shuffle = false;
    }
    return DYN_OK;
}

Status order_init(Order *o, Arena *a, const Dataset *ds, const LoaderOptions *opt, Error *err)
{
    *o = (Order) { .n = ds->n, .batch = (int)MIN(opt->batch, ds->n), .shuffle = opt->train };
    o->n_batches = (o->n + o->batch - 1) / o->batch;
    o->base = ARENA_ARRAY(a, int64_t, o->n);
    o->now = ARENA_ARRAY(a, int64_t, o->n);
    o->shape = arena_array(a, (size_t)o->n_batches, sizeof *o->shape);
    if (!o->base || !o->now || !o->shape) return fail_nomem(err, (size_t)o->n * 3 * sizeof *o->base);
    for (int64_t i = 0; i < o->n; i++)
        o->base[i] = i;
    for (int64_t k = 0; k < o->n_batches; k++)
        o->shape[k][0] = o->shape[k][1] = opt->imgsz;
    if (opt->rect) TRY(rect_order(o, a, ds, opt, err));
    for (int64_t k = 0; k < o->n_batches; k++) {
        if ((int64_t)o->shape[k][0] * o->shape[k][1] <= (int64_t)o->largest_h * o->largest_w) continue;
        o->largest_h = o->shape[k][0], o->largest_w = o->shape[k][1];
    }
    return DYN_OK;
}

void order_epoch(Order *o, uint64_t seed, int64_t epoch)
{
    memcpy(o->now, o->base, (size_t)o->n * sizeof *o->now);
    if (!o->shuffle) return;
    Rng r = rng_at(seed, (uint64_t)epoch, 0, rng_key("shuffle"));
    for (int64_t i = o->n - 1; i > 0; i--) { /* Fisher-Yates */
        int64_t j = rng_int(&r, i + 1), t = o->now[i];
        o->now[i] = o->now[j], o->now[j] = t;
    }
}
