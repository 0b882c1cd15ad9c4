/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of this room share. */
#ifndef DATA_IMPL_H
#define DATA_IMPL_H

#include "data/augment.h"

#include <stdatomic.h>

/* discover.c: paths of all pictures of the sources, sorted bytewise; DYN_FORMAT when there are none. */
Status data_discover(Arena *a, const DataSources *from, char ***path, size_t *n, Error *err);
extern const char *const picture_extensions[]; /* of data sets, in small letters; NULL ends them */

/* label.c: what is wrong with one row. refused: the reference drops the picture. */
typedef struct LabelTell {
    void (*fn)(void *user, int line, const char *kind, bool refused, const char *what);
    void *user;
} LabelTell;
/* label_parse, which tells of every row instead of failing at the first that is refused; out gets the good rows. tell
 * NULL: label_parse. */
Status label_scan(Arena *a, const char *name, const char *text, size_t n, int nc, const LabelTell *tell, LabelFile *out,
                  Error *err);

/* scan.c: something to tell of a picture or of its label file. Texts live in the arena of the scan, kinds and `then`
 * for ever. */
typedef struct Finding {
    bool refused;     /* the picture is left out */
    const char *kind; /* for programs: "coordinate" */
    const char *path; /* of the file that is meant */
    int line;         /* 0: all of it */
    const char *what, *then;
} Finding;

/* One picture looked at with its label file. */
typedef struct Scan {
    Arena *a; /* texts, findings and labels live here */
    ImageFacts facts;
    LabelFile labels; /* the rows that are not refused */
    bool has_file;    /* labels */
    Finding *finding; /* [n] */
    size_t n, cap;
    int refused;   /* findings that say so; > 0: the picture is left out */
    Status status; /* not OK: it could not be looked at (out of memory) */
    Error err;
    bool has_content;    /* deep: the picture was decoded */
    uint64_t content[2]; /* and this is what its pixels amount to */
} Scan;

typedef struct Scanner {
    char *const *path;         /* of the pictures */
    int nc;                    /* <= 0: any class */
    bool deep;                 /* decode all pixels, and tell also what training takes as it is */
    const char *split;         /* for the message of a stop */
    const volatile bool *stop; /* may be NULL; true: DYN_STOPPED at the next picture */
} Scanner;
/* Picture `index` into its slot, a Scan whose arena is there and empty: a WorkFn, user is a Scanner. */
void scan_picture(void *user, int64_t index, void *slot, int worker);
/* A message without the "'path': " that it begins with, if it does. */
const char *after_path(const char *text, const char *path);
/* "path:line: what", or with "; then" behind it, in buf. */
const char *finding_text(const Finding *f, bool then, char *buf, size_t n);

/* Every picture in order, looked at by so many threads, handed to fn, which may fail. The Scan is valid in fn only. */
typedef Status ScanFn(void *user, int64_t index, const Scan *s, Error *err);
Status scan_all(const Scanner *scanner, int64_t n, int threads, ScanFn *fn, void *user, Error *err);

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
