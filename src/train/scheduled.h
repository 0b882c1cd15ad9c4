/* SPDX-License-Identifier: Apache-2.0
 *
 * scheduled - parameters that follow a schedule in place of a gradient: the temperatures of dynamic convolutions.
 *
 * Where they stand is a function of the place in the run, with one condition: a temperature only falls. So a model that
 * comes with a low one (fine-tuning) keeps it, instead of losing what its attention has learnt. */
#ifndef TRAIN_SCHEDULED_H
#define TRAIN_SCHEDULED_H

#include "report/report.h"
#include "train/schedule.h"

enum { MAX_SCHEDULES = 8 };

/* One column of results.csv for each schedule that differs from the others. */
typedef struct ScheduledColumns {
    size_t n;
    int param[MAX_SCHEDULES]; /* the first that follows it */
    char text[MAX_SCHEDULES][64];
    const char *name[MAX_SCHEDULES];
    double value[MAX_SCHEDULES];
} ScheduledColumns;

/* Sets every scheduled parameter of model and average for iteration i (zero-based, over all epochs) of an epoch.
 * published: they stay where the reference leaves them. */
void scheduled_set(const Graph *g, const Slab *model, const Slab *average, const Schedule *run, bool published,
                   int64_t epoch, int64_t i);
void scheduled_columns(const Graph *g, ScheduledColumns *c);
/* Values of now, from the average; the row reads them from c. */
void scheduled_fill(const Graph *g, const Slab *average, ScheduledColumns *c, ResultsRow *row);

#endif
