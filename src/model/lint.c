/* SPDX-License-Identifier: Apache-2.0
 *
 * What a description may say and seldom means (dynamic modules, C.6): rows that were inserted or taken out without
 * moving the numbers in the rows behind them build and run, and learn less. Warnings, never errors. */
#include "model/build.h"

static bool reads(const ModelRow *r, int source)
{
    for (int k = 0; k < r->n_source; k++)
        if (r->source[k] == source) return true;
    return false;
}

static bool is_read(const Model *m, int row)
{
    for (int i = row + 1; i < m->n_row; i++)
        if (reads(&m->row[i], row)) return true;
    return false;
}

static bool same_map(const ModelRow *a, const ModelRow *b)
{
    return a->shape.rank == 4 && b->shape.rank == 4 && a->shape.dim[2] == b->shape.dim[2] &&
           a->shape.dim[3] == b->shape.dim[3];
}

/* A skip leaves its stage (the rows of one stride, one after another) at the end. */
static void lint_skips(Model *m, const ModelRow *r)
{
    for (int k = 0; k < r->n_source; k++) {
        int s = r->source[k], next = s + 1;
        if (s < 0 || next >= r->index) continue;
        const ModelRow *from = &m->row[s], *behind = &m->row[next];
        if (behind->n_source == 1 && behind->source[0] == s && same_map(from, behind))
            model_warn(m, r->index,
                       "reads row %d (%s), and row %d (%s) goes on from there at the same stride: was row %d meant? A "
                       "row with a name, {name: p4}, is found wherever it stands",
                       s, from->module, next, behind->module, next);
    }
}

static void lint_head(Model *m, const ModelRow *head)
{
    for (int k = 0; k < head->n_source; k++) {
        int s = head->source[k];
        if (s < 0 || !str_eq(m->row[s].module, "Concat")) continue;
        if (s + 1 < head->index)
            model_warn(m, head->index, "level %d reads row %d (Concat): was row %d (%s) meant, which works on it?", k,
                       s, s + 1, m->row[s + 1].module);
        else
            model_warn(m, head->index, "level %d reads row %d (Concat): no block works on what it joins", k, s);
    }
    for (int k = 1; k < m->n_level; k++)
        if (m->stride[k] <= m->stride[k - 1]) {
            model_warn(m, head->index,
                       "level %d has stride %lld behind one of stride %lld: a head reads fine maps first", k,
                       (long long)m->stride[k], (long long)m->stride[k - 1]);
            return;
        }
}

void model_lint(Model *m)
{
    int last = m->n_row - 1;
    for (int i = 0; i < last; i++) {
        if (!is_read(m, i)) model_warn(m, i, "nothing reads its result");
        if (m->row[i].n_source > 1) lint_skips(m, &m->row[i]);
    }
    lint_head(m, &m->row[last]);
}
