/* SPDX-License-Identifier: Apache-2.0
 *
 * transfer - what transfer.c, adapt.c, align.c and plain.c share. */
#ifndef MODEL_TRANSFER_H
#define MODEL_TRANSFER_H

#include "model/model.h"

/* How a parameter begins where a file has a plain layer in its layer's place: see build_plain. */
typedef struct PlainSpec {
    int param;        /* index in the graph's list */
    const char *name; /* the plain layer's tensor, were it in this row: "model.3.conv.weight" */
    double gain;      /* 0: the parameter is zero where that tensor is there, whatever its shape */
    bool sum;         /* a bank of which gates add kernels up; else a softmax weighs them */
} PlainSpec;
/* What is declared of parameter i, NULL. */
const PlainSpec *plain_of(const Model *m, int i);

/* A file's tensors by name. */
typedef struct BlobIndex {
    const Blob **sorted;
    size_t n;
} BlobIndex;
Status blob_index(const BlobFile *f, Arena *a, BlobIndex *out, Error *err);
const Blob *index_find(const BlobIndex *x, const char *name); /* NULL when there is none */

typedef enum Taken { TAKEN_NOT, TAKEN_COPIED, TAKEN_ADAPTED, TAKEN_RESIZED, TAKEN_NOT_COUNTED } Taken;
/* Parameter i from the tensor of that name, as model_transfer does. */
Taken param_take(Model *m, const BlobIndex *x, int i, const char *name);
/* The tensor's shape is the one that the parameter has in files. */
bool blob_fits(const Blob *b, const ParamSpec *p);
/* The tensor is one kernel of the bank that the parameter is: [K, its shape]. */
bool blob_fits_bank(const Blob *b, const ParamSpec *p);
void blob_to_f32(const Blob *b, float *out);

/* "model.3.conv.weight": 3, and *rest is "conv.weight"; -1 for another name. */
int row_of_name(const char *name, const char **rest);
/* A parameter's name as the file has it when its row is row `source` there; buf when it is another row's. */
const char *name_in_row(const char *name, int source, char *buf, size_t n);
/* row[i], for each row of the model: the row of the file that stands in its place, -1 when there is none. description:
 * the file's, whose names of rows are anchors; may be NULL. */
Status align_rows(const Model *m, const BlobIndex *x, const Yaml *description, Arena *a, int *row, Error *err);

/* Kernel k of a bank, at w + k step, = gain (plain + noise), for n_kernel kernels of n elements (adapt.c). */
void fill_bank(float *w, int64_t step, const float *plain, int64_t n_kernel, int64_t n, double gain, double noise,
               Rng *r);
Rng noise_for(const AdaptOptions *o, const char *name);
/* A parameter of a bank that has another number of kernels in the file's row `source`: experts.c. */
Status adapt_experts(Model *m, const BlobIndex *x, const PlainSpec *s, int source, const AdaptOptions *o, Taken *taken,
                     Error *err);

#endif
