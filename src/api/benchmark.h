/* SPDX-License-Identifier: Apache-2.0
 *
 * benchmark - what is timed, and how: shared by dyn_benchmark and dyn_compare. */
#ifndef BENCHMARK_H
#define BENCHMARK_H

#include "train/optim.h"
#include "train/programs.h"

/* A few runs to warm up, then n timed ones: ms [n]. DYN_STOPPED when *stop becomes true. */
typedef Status BenchmarkRun(void *what, Error *err);
Status benchmark_runs(BenchmarkRun *run, void *what, int64_t n, const volatile bool *stop, double *ms, Error *err);
Status benchmark_program(void *program, Error *err); /* runs a Program */
double benchmark_median(double *v, int64_t n);       /* sorts v */

/* n black pictures of size [h, w] with a few labels each; lives in the arena. */
Status benchmark_batch(Arena *a, int64_t nc, int64_t n, const int64_t size[2], TrainBatch *b, Error *err);

/* All that a step of training does, ready to run on a batch whose inputs are filled: forward, assigner, loss, backward,
 * clipping, SGD and the moving average. The learning rate is 0, so that the weights stay. */
typedef struct TrainStep {
    TrainPrograms programs;
    Slab grads, ema;
    Optim *optim;
    const Slab *weights; /* the model's */
    Program *p;          /* owned by programs */
    int64_t updates;
} TrainStep;
Status train_step_open(TrainStep *t, const Model *m, DType act, Backend *backend, const TrainBatch *b, Error *err);
Status train_step_run(void *step, Error *err); /* a BenchmarkRun */
void train_step_close(TrainStep *t);

#endif
