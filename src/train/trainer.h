/* SPDX-License-Identifier: Apache-2.0
 *
 * trainer - what a run consists of while it runs. Shared by the loop (trainer.c) and its files (checkpoint.c). */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H

#include "train/programs.h"
#include "train/scheduled.h"
#include "train/train.h"

/* Where a run stands: everything but tensors that a resumed run needs. */
typedef struct TrainState {
    int64_t epoch, batch; /* the next batch to be done */
    int64_t last_step;    /* iteration of the last optimiser step, -1 before the first */
    int64_t pending;      /* batches summed up since then */
    int64_t updates;      /* of the moving average */
    double loss_sum[3];   /* items over the batches of this epoch */
    double seconds;       /* spent so far */
    Stopper stopper;
} TrainState;

typedef struct Trainer {
    const TrainJob *job;
    Model *m;
    Optim *optim;
    Schedule schedule;
    int64_t epochs;       /* as planned now; a run limited by time moves it */
    Slab ema, grads, sum; /* sum: gradients over the pending batches */
    TrainPrograms programs;
    ScheduledColumns scheduled;
    TrainState at;
    double started_ms, seconds_before; /* clock at the start of this process's part, and what was spent before it */
    int64_t first_epoch;               /* of this process's part */
    bool finished;                     /* resumed with nothing left to train */
    char run[17];                      /* names the run in its files */
} Trainer;

double trainer_seconds(const Trainer *t);

/* Writes dir/weights/last.state.safetensors, then last.safetensors; the same as best.* and, with k >= 0, as
 * epochK.safetensors (weights only). A reader finds whole files of one run at any moment. */
Status checkpoint_save(const Trainer *t, bool best, int64_t k, Error *err);
/* Fills the trainer's slabs, optimiser and state from the files beside opt.resume. DYN_FORMAT when they do not belong
 * together, or to another model or optimiser. */
Status checkpoint_load(Trainer *t, Error *err);

#endif
