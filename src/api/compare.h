/* SPDX-License-Identifier: Apache-2.0
 *
 * compare - what a comparison consists of while it runs. Shared by the job (compare.c), its options (compare_options.c)
 * and what is measured after the trainings (compare_cost.c). */
#ifndef COMPARE_H
#define COMPARE_H

#include "api/api.h"
#include "report/report.h"

typedef struct CompareJob {
    DynContext *ctx;
    DynOptions o; /* those of the folder, where it goes on */
    DynEventFn *event;
    void *user;
    Arena *a;        /* lives as long as the job; each training has its own */
    char *dir;       /* of the comparison */
    int claim;       /* on dir */
    int64_t nc;      /* classes to train */
    int64_t n_train; /* pictures */
    Comparison c;
} CompareJob;

/* Models and seeds of the options into j->c; the folder, made or gone on with, into j->dir; and with it the options
 * that it began with. DYN_USAGE when what is asked for differs from those. */
Status compare_options(CompareJob *j, Error *err);
/* Options of the training of model i with seed k, which has a folder of its own below j->dir. */
DynOptions compare_run_options(const CompareJob *j, size_t i, size_t k, const char *name);

/* Model i as its trainings begin with it, without a word, and the size of pictures that it sees. */
Status compare_model(const CompareJob *j, size_t i, const char *pretrained, Arena *a, Model **m, int64_t size[2],
                     Error *err);

/* Speed and memory of every model that could be built. A model that cannot be measured is warned of and left out. */
Status compare_costs(CompareJob *j, Error *err);

void compare_say(const CompareJob *j, DynEventKind kind, const char *text);

#endif
