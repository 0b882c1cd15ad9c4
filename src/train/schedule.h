/* SPDX-License-Identifier: Apache-2.0
 *
 * schedule - what each training step is done with, as functions of the position alone (spec 7.3, 7.4, 7.6, 7.10):
 * nothing is remembered, so a resumed run cannot differ. */
#ifndef TRAIN_SCHEDULE_H
#define TRAIN_SCHEDULE_H

#include "train/optim.h"

typedef struct Schedule {
    double epochs; /* E; a run limited by time estimates it */
    double lr0, lrf;
    bool cosine;
    double momentum;
    bool warm_momentum; /* the optimiser has a momentum that the warm-up moves */
    double warmup_epochs, warmup_momentum, warmup_bias_lr;
    int64_t batches;             /* an epoch */
    double batch, nominal_batch; /* images */
} Schedule;

/* Factor on the learning rate in an epoch (zero-based). */
double schedule_factor(const Schedule *s, int64_t epoch);
/* Iterations of the warm-up; -1 when there is none. */
int64_t schedule_warmup(const Schedule *s);
/* Batches between two steps once the warm-up is over. */
int64_t schedule_accumulate(double batch, double nominal_batch);
double schedule_decay(double weight_decay, double batch, double nominal_batch);

typedef struct StepPlan {
    double lr[N_GROUP], momentum;
    int64_t accumulate;
} StepPlan;
/* Iteration i (zero-based, over all epochs) of an epoch. */
StepPlan schedule_at(const Schedule *s, int64_t epoch, int64_t i);

/* Where a scheduled parameter stands in iteration i of an epoch (dynamic modules, A.5 and D.5). */
double schedule_scheduled(const Schedule *run, const ScheduleSpec *s, int64_t epoch, int64_t i);

typedef struct Stopper {
    int64_t patience; /* epochs without improvement; 0: never stop */
    double best;
    int64_t best_epoch; /* one-based, 0 before the first */
} Stopper;
/* After an epoch (one-based); true when it is time to stop. */
bool stopper_update(Stopper *s, int64_t epoch, double fitness);

#endif
