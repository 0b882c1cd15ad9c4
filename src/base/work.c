/* SPDX-License-Identifier: Apache-2.0
 *
 * A ring of slots: item i is made in slot i mod n_slots once item i - n_slots has been given back. */
#include "base/work.h"

#include <pthread.h>
#include <string.h>

struct Work {
    WorkFn *fn;
    void *user;
    char *slots;
    size_t slot_bytes;
    int n_slots, n_threads;
    int64_t count;
    int64_t next_made;  /* next item for a worker to begin */
    int64_t next_taken; /* next item for the consumer */
    int64_t released;   /* items given back */
    bool stop;
    bool *ready; /* by slot */
    pthread_mutex_t lock;
    pthread_cond_t made, freed;
    pthread_t *thread;
    int started;
};

typedef struct Start {
    Work *w;
    int worker;
} Start;

static void *slot_of(const Work *w, int64_t item)
{
    return w->slots + (size_t)(item % w->n_slots) * w->slot_bytes;
}

static void *worker_main(void *arg)
{
    Start *start = arg;
    Work *w = start->w;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->stop && w->next_made < w->count && w->next_made >= w->released + w->n_slots)
            pthread_cond_wait(&w->freed, &w->lock);
        if (w->stop || w->next_made >= w->count) break;
        int64_t item = w->next_made++;
        pthread_mutex_unlock(&w->lock);
        w->fn(w->user, item, slot_of(w, item), start->worker);
        pthread_mutex_lock(&w->lock);
        w->ready[item % w->n_slots] = true;
        pthread_cond_broadcast(&w->made);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void free_work(Work *w)
{
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->made);
    pthread_cond_destroy(&w->freed);
    mem_free(w);
}

Status work_start(Work **out, int threads, int64_t count, void *slots, int n_slots, size_t slot_bytes, WorkFn *fn,
                  void *user, Error *err)
{
    size_t ready = sizeof(Work), tids = ready + mem_round((size_t)n_slots),
           starts = tids + (size_t)threads * sizeof(pthread_t);
    size_t bytes = starts + (size_t)threads * sizeof(Start);
    char *block = mem_alloc(bytes);
    if (!block) return fail_nomem(err, bytes);
    memset(block, 0, bytes);
    Work *w = (Work *)block;
    *w = (Work) { .fn = fn,
                  .user = user,
                  .slots = slots,
                  .slot_bytes = slot_bytes,
                  .n_slots = n_slots,
                  .n_threads = threads,
                  .count = count,
                  .ready = (bool *)(block + ready),
                  .thread = (pthread_t *)(block + tids) };
    Start *start = (Start *)(block + starts);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->made, NULL);
    pthread_cond_init(&w->freed, NULL);
    for (; w->started < threads; w->started++) {
        start[w->started] = (Start) { w, w->started };
        if (pthread_create(&w->thread[w->started], NULL, worker_main, &start[w->started]) != 0) break;
    }
    if (threads && !w->started) w->n_threads = 0; /* no thread could be had: the caller's does the work */
    *out = w;
    return DYN_OK;
}

void *work_next(Work *w, double *wait_ms)
{
    int64_t item = w->next_taken;
    if (item >= w->count || item - w->released >= w->n_slots) return NULL;
    if (!w->n_threads) {
        w->fn(w->user, item, slot_of(w, item), 0);
    } else {
        pthread_mutex_lock(&w->lock);
        if (!w->ready[item % w->n_slots]) {
            double start = clock_ms();
            while (!w->ready[item % w->n_slots])
                pthread_cond_wait(&w->made, &w->lock);
            if (wait_ms) *wait_ms += clock_ms() - start;
        }
        w->ready[item % w->n_slots] = false;
        pthread_mutex_unlock(&w->lock);
    }
    w->next_taken++;
    return slot_of(w, item);
}

void work_done(Work *w)
{
    pthread_mutex_lock(&w->lock);
    w->released++;
    pthread_cond_signal(&w->freed);
    pthread_mutex_unlock(&w->lock);
}

void work_stop(Work **ww)
{
    Work *w = *ww;
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->freed);
    pthread_mutex_unlock(&w->lock);
    for (int i = 0; i < w->started; i++)
        pthread_join(w->thread[i], NULL);
    free_work(w);
    *ww = NULL;
}
