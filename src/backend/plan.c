/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/plan.h"

#include <stdlib.h>

typedef struct Order {
    const PlanBuffer *b;
    int index;
} Order;

static int larger_first(const void *x, const void *y)
{
    const Order *p = x, *q = y;
    if (p->b->bytes != q->b->bytes) return p->b->bytes > q->b->bytes ? -1 : 1;
    return p->index - q->index; /* qsort is not stable */
}

/* Lowest offset at which buffer k fits among those placed before it; placed[] is sorted by offset. */
static size_t lowest_fit(const PlanBuffer *b, const PlanBuffer *k, const int *placed, int n_placed)
{
    size_t at = 0;
    for (int i = 0; i < n_placed; i++) {
        const PlanBuffer *p = &b[placed[i]];
        if (p->last < k->first || k->last < p->first) continue;
        if (p->offset >= at + mem_round(k->bytes)) break;
        at = MAX(at, p->offset + mem_round(p->bytes));
    }
    return at;
}

Status plan_buffers(PlanBuffer *b, int n, int n_steps, Arena *a, PlanResult *out, Error *err)
{
    Order *order = ARENA_ARRAY(a, Order, n + 1);
    int *placed = ARENA_ARRAY(a, int, n + 1), n_placed = 0;
    size_t *live = ARENA_ARRAY(a, size_t, n_steps + 2);
    if (!order || !placed || !live) return fail_nomem(err, (size_t)n * sizeof *order);
    *out = (PlanResult) { 0 };
    for (int i = 0; i < n; i++) {
        order[i] = (Order) { &b[i], i };
        out->unshared += mem_round(b[i].bytes);
        for (int s = b[i].first; s <= b[i].last && s < n_steps; s++)
            live[s] += mem_round(b[i].bytes);
    }
    for (int s = 0; s < n_steps; s++)
        if (live[s] > out->peak_live) out->peak_live = live[s], out->peak_step = s;
    qsort(order, (size_t)n, sizeof *order, larger_first);
    for (int i = 0; i < n; i++) {
        PlanBuffer *k = &b[order[i].index];
        int at = n_placed;
        k->offset = lowest_fit(b, k, placed, n_placed);
        out->bytes = MAX(out->bytes, k->offset + mem_round(k->bytes));
        for (; at > 0 && b[placed[at - 1]].offset > k->offset; at--)
            placed[at] = placed[at - 1];
        placed[at] = order[i].index;
        n_placed++;
    }
    return DYN_OK;
}
