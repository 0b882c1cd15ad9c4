/* SPDX-License-Identifier: Apache-2.0
 *
 * benchmark - what is timed, and how: shared by dyn_benchmark and dyn_compare. */
#ifndef BENCHMARK_H
#define BENCHMARK_H

#include "train/programs.h"

/* A few runs to warm up, then n timed ones: ms [n]. DYN_STOPPED when *stop becomes true. */
Status benchmark_runs(Program *p, int64_t n, const volatile bool *stop, double *ms, Error *err);
double benchmark_median(double *v, int64_t n); /* sorts v */

/* n black pictures of size [h, w] with a few labels each; lives in the arena. */
Status benchmark_batch(Arena *a, int64_t nc, int64_t n, const int64_t size[2], TrainBatch *b, Error *err);

/* Forward, loss, assigner and backward of a batch, ready to run: its inputs are filled. */
typedef struct TrainStep {
    TrainPrograms programs;
    Slab grads;
    Program *p; /* owned by programs */
} TrainStep;
Status train_step_open(TrainStep *t, const Model *m, DType act, Backend *backend, const TrainBatch *b, Error *err);
void train_step_close(TrainStep *t);

#endif
