/* SPDX-License-Identifier: Apache-2.0
 *
 * work - items 0, 1, 2, ... made by several threads ahead of time and handed out in order: how pictures are loaded
 * while the network computes. What an item is may depend on its index only, so the number of threads changes nothing
 * but the time. */
#ifndef WORK_H
#define WORK_H

#include "base/base.h"

typedef struct Work Work;

/* Makes item `index` in its slot; worker is 0 .. threads-1 (for scratch of the caller's). Called from several threads
 * at once. */
typedef void WorkFn(void *user, int64_t index, void *slot, int worker);

/* count items, at most n_slots in the making or waiting at once; slots is the caller's array of n_slots elements of
 * slot_bytes each and must outlive the work, as must user. threads 0: everything is made in work_next by the caller's
 * thread. */
Status work_start(Work **w, int threads, int64_t count, void *slots, int n_slots, size_t slot_bytes, WorkFn *fn,
                  void *user, Error *err);
/* The next item in order, waiting for it; NULL after the last. The slot is the caller's until work_done. *wait_ms (may
 * be NULL) is increased by the time spent waiting. */
void *work_next(Work *w, double *wait_ms);
/* Gives back the oldest slot that work_next handed out. */
void work_done(Work *w);
/* Waits for what is being made and ends the threads; finished items stay in their slots, which the caller cleans up.
 * Sets *w to NULL. */
void work_stop(Work **w);

#endif
