/* SPDX-License-Identifier: Apache-2.0
 *
 * Which row of a file stands for which row of a model that is not the file's: rows were inserted, taken out, replaced.
 * The two lists are laid side by side in their order (the longest common subsequence with weights, Needleman & Wunsch
 * 1970) such that the most of the rows' structure agrees: the names of their tensors, a dynamic module's through what
 * it declares of the plain layer (build_plain). Shapes only choose among alignments that agree as much in names, so
 * that another width or depth of the same description aligns row by row. Rows of one name
 * ({name: ..}) in both descriptions belong together. Rows without tensors take no part. */
#include "model/transfer.h"

#include <stdlib.h>

enum { SAME_NAME = 2000, OWN_NAMES = 1000, MODEL_NAMES = 500, SHAPES = 40, SAME_ROW = 1, MOST_ROWS = 1000 };

int row_of_name(const char *name, const char **rest)
{
    char *end;
    if (!str_starts(name, "model.") || name[6] < '0' || name[6] > '9') return -1;
    long row = strtol(name + 6, &end, 10);
    if (*end != '.' || end - name > 15) return -1;
    *rest = end + 1;
    return (int)MIN(row, 1000000000L);
}

const char *name_in_row(const char *name, int source, char *buf, size_t n)
{
    const char *rest;
    if (row_of_name(name, &rest) < 0) return name;
    snprintf(buf, n, "model.%d.%s", source, rest);
    return buf;
}

typedef struct FileRow {
    int row;
    int64_t n; /* tensors */
} FileRow;

static int by_row(const void *a, const void *b)
{
    const FileRow *x = a, *y = b;
    return (x->row > y->row) - (x->row < y->row);
}

/* The file's rows in their order; names sorted as texts have a row's tensors side by side. */
static Status file_rows(const BlobIndex *x, Arena *a, FileRow **out, int *n, Error *err)
{
    const char *rest;
    FileRow *r = *out = ARENA_ARRAY(a, FileRow, MOST_ROWS + 1);
    *n = 0;
    if (!r) return fail_nomem(err, sizeof *r * MOST_ROWS);
    for (size_t i = 0; i < x->n; i++) {
        int row = row_of_name(x->sorted[i]->name, &rest);
        if (row < 0) continue;
        if (*n && r[*n - 1].row == row) {
            r[*n - 1].n++;
            continue;
        }
        if (*n == MOST_ROWS) return fail(err, DYN_FORMAT, "weights of more than %d rows", (int)MOST_ROWS);
        r[(*n)++] = (FileRow) { row, 1 };
    }
    qsort(r, (size_t)*n, sizeof *r, by_row);
    return DYN_OK;
}

/* The model's parameters lie row by row. */
typedef struct ModelRange {
    int first, n;
} ModelRange;

static void model_ranges(const Model *m, ModelRange *range)
{
    const char *rest;
    for (int i = 0; i < graph_n_params(m->g); i++) {
        int row = row_of_name(graph_param_spec(m->g, i)->name, &rest);
        if (row < 0 || row >= m->n_row) continue;
        if (!range[row].n) range[row].first = i;
        range[row].n++;
    }
}

/* Name of a row in the file's description, NULL: [from, repeats, module, args, {name: ..}]. */
static const char *file_name(const Yaml *description, int row)
{
    static const char *const part[] = { "backbone", "head" };
    for (size_t i = 0; description && i < COUNT_OF(part); i++) {
        const Yaml *rows = yaml_get(description, part[i]);
        if (!yaml_is(rows, YAML_LIST)) return NULL;
        if (row >= 0 && (size_t)row < rows->n) {
            const Yaml *r = rows->item[row];
            const Yaml *map = yaml_is(r, YAML_LIST) && r->n == 5 ? r->item[4] : NULL;
            const Yaml *name = yaml_is(map, YAML_MAP) ? yaml_get(map, "name") : NULL;
            return name ? name->text : NULL;
        }
        row -= (int)rows->n;
    }
    return NULL;
}

static bool same_name(const char *a, const char *b)
{
    return a && b && str_eq(a, b);
}

static int agreement(const Model *m, const BlobIndex *x, const PlainSpec *const *plain, ModelRange t, const FileRow *s,
                     int row)
{
    int64_t used = 0, named = 0, fits = 0;
    char buf[512];
    for (int i = t.first; i < t.first + t.n; i++) {
        const ParamSpec *p = graph_param_spec(m->g, i);
        const Blob *b = index_find(x, name_in_row(p->name, s->row, buf, sizeof buf));
        bool own = b && (p->kind == PARAM_COUNT || blob_fits(b, p));
        if (!own && plain[i]) {
            const Blob *other = index_find(x, name_in_row(plain[i]->name, s->row, buf, sizeof buf));
            own =
                other && (!plain[i]->gain || p->kind == PARAM_COUNT || blob_fits(other, p) || blob_fits_bank(other, p));
            if (other && plain[i]->gain) used++, b = NULL;
            named += other && !b;
        }
        used += b != NULL;
        named += b != NULL;
        fits += own;
    }
    if (!used) return 0;
    return (int)(OWN_NAMES * MIN(used, s->n) / s->n + MODEL_NAMES * named / t.n + SHAPES * fits / t.n) +
           (s->row == row ? SAME_ROW : 0);
}

static Status best_path(const Model *m, const BlobIndex *x, const PlainSpec *const *plain, const ModelRange *range,
                        const FileRow *s, int n_s, const Yaml *description, Arena *a, int *row, Error *err)
{
    int w = m->n_row + 1;
    int *sum = ARENA_ARRAY(a, int, (int64_t)(n_s + 1) * w), *pair = ARENA_ARRAY(a, int, (int64_t)(n_s + 1) * w);
    if (!sum || !pair) return fail_nomem(err, sizeof *sum * (size_t)(n_s + 1) * (size_t)w);
    for (int i = 1; i <= n_s; i++)
        for (int j = 1; j < w; j++) {
            int at = i * w + j, without = MAX(sum[at - 1], sum[at - w]);
            int both = range[j - 1].n ? agreement(m, x, plain, range[j - 1], &s[i - 1], j - 1) : 0;
            if (both && same_name(m->row[j - 1].name, file_name(description, s[i - 1].row))) both += SAME_NAME;
            pair[at] = both && sum[at - w - 1] + both > without;
            sum[at] = pair[at] ? sum[at - w - 1] + both : without;
        }
    for (int i = n_s, j = w - 1; i && j;) {
        int at = i * w + j;
        if (pair[at])
            row[--j] = s[--i].row;
        else if (sum[at] == sum[at - 1])
            j--;
        else
            i--;
    }
    return DYN_OK;
}

Status align_rows(const Model *m, const BlobIndex *x, const Yaml *description, Arena *a, int *row, Error *err)
{
    int n = graph_n_params(m->g), n_s;
    FileRow *s;
    ModelRange *range = ARENA_ARRAY(a, ModelRange, m->n_row + 1);
    const PlainSpec **plain = ARENA_ARRAY(a, const PlainSpec *, n + 1);
    if (!range || !plain) return fail_nomem(err, sizeof *range);
    for (int i = 0; i < m->n_row; i++)
        row[i] = -1;
    for (int i = 0; i < n; i++)
        plain[i] = plain_of(m, i);
    TRY(file_rows(x, a, &s, &n_s, err));
    model_ranges(m, range);
    return best_path(m, x, plain, range, s, n_s, description, a, row, err);
}
