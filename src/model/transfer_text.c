/* SPDX-License-Identifier: Apache-2.0
 *
 * What became of a model's weights, for people. */
#include "model/transfer.h"

/* "rows 3, 5" of names that lie row by row. */
static void add_rows(Text *t, const char **name, size_t n)
{
    const char *rest;
    int last = -1, count = 0;
    for (size_t i = 0; i < n; i++) {
        int row = row_of_name(name[i], &rest);
        if (row != last) count++;
        last = row;
    }
    text_add(t, " in row%s", count == 1 ? "" : "s");
    last = -1;
    for (size_t i = 0; i < n; i++) {
        int row = row_of_name(name[i], &rest);
        if (row != last) text_add(t, "%s %d", last < 0 ? "" : ",", row);
        last = row;
    }
}

static void add_names(Text *t, const Model *m, const char **name, size_t n)
{
    int last = -1;
    for (size_t i = 0; i < n; i++) {
        const char *rest = name[i];
        int row = row_of_name(name[i], &rest);
        if (row != last)
            text_add(t, "\n    row %d (%s): %s", row, row >= 0 && row < m->n_row ? m->row[row].module : "", rest);
        else
            text_add(t, ", %s", rest);
        last = row;
    }
}

static void add_list(Text *t, const Model *m, const char *what, const char **name, size_t n, bool verbose)
{
    if (!n) return;
    text_add(t, "\n  %s %zu", what, n);
    add_rows(t, name, n);
    if (verbose) add_names(t, m, name, n);
}

/* Rows that stand elsewhere in the file, those in step with one another as one. */
static void add_moves(Text *t, const Model *m, const int *row)
{
    for (int i = 0; row && i < m->n_row;) {
        int end = i + 1, last = i, shift = row[i] - i;
        if (row[i] < 0 || !shift) {
            i++;
            continue;
        }
        for (; end < m->n_row && (row[end] < 0 || row[end] - end == shift); end++)
            if (row[end] >= 0) last = end;
        if (last == i)
            text_add(t, "\n  row %d from the file's row %d", i, row[i]);
        else
            text_add(t, "\n  rows %d-%d from the file's rows %d-%d", i, last, row[i], row[last]);
        i = last + 1;
    }
}

char *transfer_text(const Model *m, const Transfer *t, const char *from, bool verbose, Arena *a)
{
    Text text = { .a = a };
    text_add(&text, "Transferred %lld/%lld items from %s",
             (long long)t->copied + (long long)(t->n_changed + t->n_resized), (long long)t->total, from);
    add_moves(&text, m, t->row);
    add_list(&text, m, "adapted from a plain layer", t->changed, t->n_changed, verbose);
    add_list(&text, m, "adapted from another number of kernels", t->resized, t->n_resized, verbose);
    add_list(&text, m, "left new", t->missing, t->n_missing, verbose);
    return text_done(&text);
}
