/* SPDX-License-Identifier: Apache-2.0
 *
 * csv - results.csv, spec 7.12. Appended row by row, so that a run that is killed keeps its history; read back for the
 * plot, also from the reference's older padded form. Numbers are written with a point whatever the locale says. */
#include "report/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const size_t MOST_BYTES = (size_t)1 << 28;

static const char COLUMNS[] = "epoch,time,train/box_loss,train/cls_loss,train/dfl_loss,metrics/precision(B),"
                              "metrics/recall(B),metrics/mAP50(B),metrics/mAP50-95(B),val/box_loss,val/cls_loss,"
                              "val/dfl_loss,lr/pg0,lr/pg1,lr/pg2";

char *results_header(Arena *a, const char *const *extra, size_t n_extra)
{
    char *text = arena_strdup(a, COLUMNS);
    for (size_t i = 0; i < n_extra && text; i++)
        text = arena_printf(a, "%s,%s", text, extra[i]);
    return text;
}

typedef struct Line {
    char *text;
    size_t used, size;
} Line;

static void put(Line *l, double v)
{
    int n = snprintf(l->text + l->used, l->size - l->used, l->used ? ",%.6g" : "%.6g", v);
    str_point(l->text + l->used + (l->used > 0));
    l->used += (size_t)n;
}

static double rounded(double v)
{
    return nearbyint(v * 1e5) / 1e5;
}

char *results_line(Arena *a, const ResultsRow *row)
{
    Line l = { .size = 32 * (15 + row->n_extra) };
    l.text = arena_alloc(a, l.size);
    if (!l.text) return NULL;
    put(&l, row->epoch), put(&l, row->seconds);
    for (int i = 0; i < 3; i++)
        put(&l, rounded(row->train_loss[i]));
    put(&l, rounded(row->precision)), put(&l, rounded(row->recall));
    put(&l, rounded(row->map50)), put(&l, rounded(row->map));
    for (int i = 0; i < 3; i++)
        put(&l, rounded(row->val_loss[i]));
    for (int i = 0; i < 3; i++)
        put(&l, row->lr[i]);
    for (size_t i = 0; i < row->n_extra; i++)
        put(&l, row->extra[i]);
    return l.text;
}

Status results_append(const char *path, const ResultsRow *row, const char *const *extra, Error *err)
{
    Arena *a = arena_new();
    char *header = a ? results_header(a, extra, row->n_extra) : NULL, *line = header ? results_line(a, row) : NULL;
    Status s = line ? DYN_OK : fail_nomem(err, 1024);
    if (s == DYN_OK) {
        bool is_new = !file_exists(path);
        char *text = arena_printf(a, "%s%s%s\n", is_new ? header : "", is_new ? "\n" : "", line);
        s = text ? file_append(path, text, true, err) : fail_nomem(err, 1024);
    }
    if (a) arena_free(&a);
    return s;
}

/* The next field of a line, spaces trimmed, written over with a zero; NULL after the last. */
static char *next_field(char **at)
{
    char *s = *at, *end;
    if (!s) return NULL;
    end = strchr(s, ',');
    *at = end ? end + 1 : NULL;
    if (!end) end = s + strlen(s);
    while (*s == ' ' || *s == '\t')
        s++;
    while (end > s && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
        end--;
    *end = 0;
    return s;
}

static char *next_line(char **at)
{
    char *s = *at, *end = strchr(s, '\n');
    *at = end ? end + 1 : s + strlen(s);
    if (end) *end = 0;
    return s;
}

Status results_read(Arena *a, const char *path, ResultsTable *t, Error *err)
{
    char *text;
    size_t n;
    TRY(file_read(a, path, MOST_BYTES, &text, &n, err));
    return results_parse(a, text, path, t, err);
}

Status results_parse(Arena *a, char *text, const char *path, ResultsTable *t, Error *err)
{
    enum { MOST_COLUMNS = 1000 };
    char *field;
    size_t lines = 0;
    *t = (ResultsTable) { 0 };
    for (const char *c = text; *c; c++)
        lines += *c == '\n';
    char *head = next_line(&text);
    size_t columns = 1;
    for (const char *c = head; *c; c++)
        columns += *c == ',';
    if (columns < 2 || columns > MOST_COLUMNS)
        return fail(err, DYN_FORMAT, "'%s': line 1 names %zu columns; this is no results.csv", path, columns);
    t->name = ARENA_ARRAY(a, char *, columns);
    t->value = ARENA_ARRAY(a, double, columns *(lines + 1));
    if (!t->name || !t->value) return fail_nomem(err, columns * (lines + 1) * sizeof(double));
    while ((field = next_field(&head)))
        t->name[t->n_columns++] = field;
    for (size_t line_number = 2; *text; line_number++) {
        char *line = next_line(&text);
        size_t i = 0;
        double *row = t->value + t->n_rows * columns;
        if (line[strspn(line, " \t\r")] == 0) continue;
        for (; (field = next_field(&line)); i++) {
            if (i == columns) return fail(err, DYN_FORMAT, "'%s' line %zu: more fields than names", path, line_number);
            if (!str_to_double(field, &row[i])) row[i] = NAN;
        }
        if (i < columns)
            return fail(err, DYN_FORMAT, "'%s' line %zu: %zu fields, wanted %zu", path, line_number, i, columns);
        t->n_rows++;
    }
    return DYN_OK;
}

/* The epoch that a line begins with; below all epochs when it is no number. */
static double epoch_of(const char *line)
{
    char field[32];
    double epoch;
    snprintf(field, sizeof field, "%.*s", (int)strcspn(line, ",\r\n"), line);
    return str_to_double(field + strspn(field, " \t"), &epoch) ? epoch : -INFINITY;
}

Status results_trim(const char *path, int last_epoch, Error *err)
{
    if (!file_exists(path)) return DYN_OK;
    char *text;
    size_t n, end = 0;
    Arena *a = arena_new();
    Status s = a ? file_read(a, path, MOST_BYTES, &text, &n, err) : fail_nomem(err, 1);
    if (s == DYN_OK) {
        while (end < n) { /* whole lines only: a row that was cut off in writing goes too */
            const char *line = text + end, *newline = memchr(line, '\n', n - end);
            if (!newline || (end > 0 && epoch_of(line) > last_epoch)) break;
            end = (size_t)(newline + 1 - text);
        }
        s = end == n ? DYN_OK : file_write(path, text, end, err);
    }
    if (a) arena_free(&a);
    return s;
}

int results_column(const ResultsTable *t, const char *name)
{
    for (size_t i = 0; i < t->n_columns; i++)
        if (str_eq(t->name[i], name)) return (int)i;
    return -1;
}
