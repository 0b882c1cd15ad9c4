/* SPDX-License-Identifier: Apache-2.0
 *
 * programs - compiled training steps by batch size and shape. They work in one memory, as large as the largest wants,
 * so that multi-scale training keeps one for each size. */
#ifndef TRAIN_PROGRAMS_H
#define TRAIN_PROGRAMS_H

#include "train/train.h"

enum { MAX_PROGRAMS = 24 };

typedef struct TrainProgram {
    Program *program;
    Binding bind;
    int64_t used; /* when last, for choosing the one to drop */
} TrainProgram;

typedef struct TrainPrograms {
    Graph *graph; /* forward, loss and backward */
    Backend *backend;
    const Slab *params, *grads;
    Share *share;
    DType act;
    TrainProgram cached[MAX_PROGRAMS];
    int64_t clock;
    uint64_t seed, step; /* random inputs (drop_path) are a function of both, their name and the place in the batch */
    bool told_single;    /* a warning is given once */
} TrainPrograms;

Status programs_open(TrainPrograms *p, const Model *m, LossGain gain, DType act, Backend *backend, const Slab *params,
                     const Slab *grads, Error *err);
void programs_close(TrainPrograms *p);
/* The program of a batch's size with room for its labels, compiled and loaded; its inputs are not filled. */
Status programs_for(TrainPrograms *p, const TrainBatch *b, Program **out, Error *err);
/* Forward and backward of one batch: gradients go to the slab, items receives box, cls and dfl. */
Status programs_run(TrainPrograms *p, const TrainBatch *b, double items[3], Error *err);

#endif
