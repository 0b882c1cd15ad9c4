/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files check*.c share. */
#ifndef DATA_CHECK_IMPL_H
#define DATA_CHECK_IMPL_H

#include "data/data_impl.h"

/* A picture that could be decoded. */
typedef struct Seen {
    const char *path;
    uint64_t content[2];
    int split; /* number in Checking.split */
} Seen;

typedef struct Numbers {
    float *v;
    size_t n, cap;
} Numbers;

/* One split while it is looked at. */
typedef struct CheckSplit {
    const char *name;
    const DataSources *from;
    char **path; /* [n] of its pictures, sorted */
    size_t n;
    int64_t used, backgrounds, objects, polygons;
    int64_t *objects_of, *pictures_of;
    Numbers picture_w, picture_h, box_w, box_h, box_aspect; /* pixels; the aspect is width by height */
} CheckSplit;

typedef struct Checking {
    Arena *a;
    const DataConfig *config;
    const DataCheck *opt;
    DataReport *out;
    CheckSplit split[3];
    int n_splits, now; /* the split that is scanned */
    Seen *seen;
    size_t n_seen, seen_cap;
} Checking;

/* Counts it and hands it over. */
void check_tell(Checking *c, const DataProblem *p);
/* check_pairs.c: pictures that are there twice. */
Status check_copies(Checking *c, Error *err);
/* check_pairs.c: label files that belong to no picture. */
Status check_orphans(Checking *c, Error *err);
/* check_figures.c: the figures of a split that was looked at. */
bool check_number(Arena *a, Numbers *to, double v);
SplitReport check_figures(CheckSplit *s); /* sorts its numbers */

#endif
