/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of this room share. */
#ifndef DATA_IMPL_H
#define DATA_IMPL_H

#include "data/augment.h"

#include <stdatomic.h>

/* discover.c: paths of all pictures of the sources, sorted bytewise; DYN_FORMAT when there are none. */
Status data_discover(Arena *a, const DataSources *from, char ***path, size_t *n, Error *err);

/* sample.c: the data set's pictures after the first resize; filled by whichever worker comes first. */
typedef struct Pictures {
    const Dataset *ds;
    int imgsz;
    _Atomic(uint8_t *) *cache; /* [ds->n] packed rows, NULL until read; NULL: nothing is kept */
} Pictures;
Status pictures_init(Pictures *p, const Dataset *ds, const LoaderOptions *opt, const Log *log, Error *err);
void pictures_free(Pictures *p);

/* order.c: which picture stands where in an epoch and how large batches are (spec 5.7). */
typedef struct Order {
    int64_t n, n_batches;
    int batch;
    int64_t *base;   /* [n] indices, by aspect ratio when rect */
    int64_t *now;    /* [n] of this epoch */
    int (*shape)[2]; /* [n_batches] h, w */
    int largest_h, largest_w;
    bool shuffle;
} Order;
Status order_init(Order *o, Arena *a, const Dataset *ds, const LoaderOptions *opt, Error *err);
void order_epoch(Order *o, uint64_t seed, int64_t epoch);

/* ---- ratio_sort.c ---- */
/* Sorts index[n] (0..n-1 on entry) by key, ties in the reference's order. */
void ratio_sort(const double *key, int64_t *index, int64_t n);

#endif
