/* SPDX-License-Identifier: Apache-2.0
 *
 * Label files (spec 5.3): rows of `class cx cy w h`, or of a class and the corners of a polygon, all relative to the
 * picture. A file is good as a whole or refused as a whole. Two passes: the first counts and decides which kind the
 * file is, the second converts. Stricter than the reference in one point: what is not a finite number is refused.
 *
 * Whoever wants to know all that is wrong gives a LabelTell: rows are then told one by one and the reading goes on. */
#include "data/data_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NUMBER = 63 };
static const float LOWEST = -0.01f, HIGHEST = 1.01f;

typedef struct Reader {
    const char *p, *end;
    int line;
    const char *kind; /* of the last refusal */
} Reader;

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* The next word of the current line; false at the line's end. */
static bool next_word(Reader *r, const char **word, size_t *n)
{
    while (r->p < r->end && is_space(*r->p))
        r->p++;
    *word = r->p;
    while (r->p < r->end && !is_space(*r->p) && *r->p != '\n')
        r->p++;
    *n = (size_t)(r->p - *word);
    return *n > 0;
}

static bool next_line(Reader *r)
{
    if (r->line++ && r->p < r->end) r->p++; /* the newline that ended the last one */
    return r->p < r->end;
}

static Status read_number(Reader *r, const char *word, size_t n, float *x, Error *err)
{
    char buf[MAX_NUMBER + 1];
    double d;
    if (n <= MAX_NUMBER) {
        memcpy(buf, word, n);
        buf[n] = 0;
        if (!memchr(word, 0, n) && str_to_double(buf, &d) && isfinite((float)d)) {
            *x = (float)d;
            return DYN_OK;
        }
    }
    r->kind = "number";
    return fail(err, DYN_FORMAT, "'%.*s' is not a number", (int)MIN(n, 40), word);
}

typedef struct Shape {
    int rows;
    size_t values;
    bool polygons;
} Shape;

static Status measure(Reader r, const char *name, Shape *s, Error *err)
{
    const char *word;
    size_t n;
    *s = (Shape) { 0 };
    while (next_line(&r)) {
        int count = 0;
        while (next_word(&r, &word, &n))
            count++;
        s->rows += count > 0;
        s->values += (size_t)count;
        if (count > 6) s->polygons = true;
        if (s->rows == 1 << 24) return fail(err, DYN_FORMAT, "%s:%d: too many rows", name, r.line);
    }
    return DYN_OK;
}

/* Of every value after the class, and of the class. */
static Status check_values(Reader *r, float cls, const float *v, int n, int nc, Error *err)
{
    r->kind = "coordinate";
    for (int i = 0; i < n; i++)
        if (v[i] > HIGHEST || v[i] < LOWEST)
            return fail(err, DYN_FORMAT, "coordinate %g is outside the picture; they must be relative, 0 to 1",
                        (double)v[i]);
    r->kind = "class";
    if (cls < LOWEST) return fail(err, DYN_FORMAT, "class %g is negative", (double)cls);
    if (nc > 0 && cls >= (float)nc)
        return fail(err, DYN_FORMAT, "class %g, but there are only %d classes (0 to %d)", (double)cls, nc, nc - 1);
    return DYN_OK;
}

static Label hull(float cls, const float (*p)[2], int n)
{
    float x1 = p[0][0], y1 = p[0][1], x2 = x1, y2 = y1;
    for (int i = 1; i < n; i++) {
        x1 = fminf(x1, p[i][0]), x2 = fmaxf(x2, p[i][0]);
        y1 = fminf(y1, p[i][1]), y2 = fmaxf(y2, p[i][1]);
    }
    return (Label) { cls, (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1 };
}

/* One row: v[count] holds class and coordinates. */
static Status take_row(Reader *r, bool polygons, float *v, int count, int nc, Label *l, Polygon *poly, Error *err)
{
    r->kind = "columns";
    if (!polygons && count != 5) return fail(err, DYN_FORMAT, "%d values, wanted 5 (class cx cy w h)", count);
    if (polygons && (count < 3 || count % 2 == 0))
        return fail(err, DYN_FORMAT, "%d values in a file of polygons, wanted a class and pairs of coordinates", count);
    TRY(check_values(r, v[0], v + 1, count - 1, nc, err));
    if (polygons) {
        *poly = (Polygon) { (const float(*)[2])(const void *)(v + 1), count / 2 };
        *l = hull(v[0], poly->point, poly->n);
    } else {
        *l = (Label) { v[0], v[1], v[2], v[3], v[4] };
    }
    return DYN_OK;
}

/* What is let through, but hardly meant. */
static void note_row(const Reader *r, bool polygons, int count, const Label *l, const LabelTell *tell)
{
    enum { SHOWN = 120 };
    char what[SHOWN];
    if (!tell) return;
#define NOTE(kind, ...) (snprintf(what, sizeof what, __VA_ARGS__), tell->fn(tell->user, r->line, kind, false, what))
    if (polygons && count == 5) NOTE("polygon-box", "5 values in a file of polygons are two corners, not a box");
    if (l->cls != floorf(l->cls)) NOTE("fraction", "class %g is no whole number", (double)l->cls);
    if (!(l->w > 0 && l->h > 0)) NOTE("size", "a box of size %g x %g", (double)l->w, (double)l->h);
    float out = fmaxf(fmaxf(l->w / 2 - l->cx, l->cx + l->w / 2 - 1), fmaxf(l->h / 2 - l->cy, l->cy + l->h / 2 - 1));
    if (out > HIGHEST - 1) NOTE("beyond", "the box reaches beyond the picture by %.3g of a side", (double)out);
#undef NOTE
}

typedef struct Row {
    Label label;
    Polygon polygon;
    int order, line;
} Row;

static int by_value(const Label *a, const Label *b)
{
    const float x[5] = { a->cls, a->cx, a->cy, a->w, a->h }, y[5] = { b->cls, b->cx, b->cy, b->w, b->h };
    for (int i = 0; i < 5; i++)
        if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
    return 0;
}

static int by_value_then_order(const void *a, const void *b)
{
    const Row *x = a, *y = b;
    int c = by_value(&x->label, &y->label);
    return c ? c : x->order - y->order;
}

/* Only a file that has duplicates comes out sorted: so it is in the reference. */
static Status drop_duplicates(Arena *a, LabelFile *f, const int *line, const LabelTell *tell, Error *err)
{
    char what[64];
    if (f->n < 2) return DYN_OK;
    Row *row = ARENA_ARRAY(a, Row, f->n);
    if (!row) return fail_nomem(err, (size_t)f->n * sizeof *row);
    for (int i = 0; i < f->n; i++) {
        row[i] = (Row) { .label = f->label[i], .order = i, .line = line[i] };
        if (f->polygon) row[i].polygon = f->polygon[i];
    }
    qsort(row, (size_t)f->n, sizeof *row, by_value_then_order);
    int kept = 1;
    for (int i = 1; i < f->n; i++) {
        if (by_value(&row[i].label, &row[kept - 1].label) != 0) {
            row[kept++] = row[i];
        } else if (tell) {
            snprintf(what, sizeof what, "the same row as line %d", row[kept - 1].line);
            tell->fn(tell->user, row[i].line, "duplicate-row", false, what);
        }
    }
    if (kept == f->n) return DYN_OK;
    for (int i = 0; i < kept; i++) {
        f->label[i] = row[i].label;
        if (f->polygon) f->polygon[i] = row[i].polygon;
    }
    f->duplicates = f->n - kept;
    f->n = kept;
    return DYN_OK;
}

/* The numbers of the current line; after a failure the reader stands within it. */
static Status read_row(Reader *r, float *v, int *count, Error *err)
{
    const char *word;
    size_t n;
    *count = 0;
    while (next_word(r, &word, &n))
        TRY(read_number(r, word, n, &v[(*count)++], err));
    return DYN_OK;
}

/* line [s->rows] receives where the rows that are kept stand. */
static Status take_rows(Reader r, const char *name, const Shape *s, float *v, int nc, const LabelTell *tell,
                        LabelFile *f, int *line, Error *err)
{
    while (next_line(&r)) {
        int count;
        Status status = read_row(&r, v, &count, err);
        if (status == DYN_OK && !count) continue;
        Label *l = &f->label[f->n];
        if (status == DYN_OK)
            status = take_row(&r, s->polygons, v, count, nc, l, s->polygons ? &f->polygon[f->n] : NULL, err);
        if (status != DYN_OK && !tell) return fail_in(err, "%s:%d", name, r.line);
        if (status != DYN_OK) {
            tell->fn(tell->user, r.line, r.kind, true, err->text);
            while (r.p < r.end && *r.p != '\n')
                r.p++;
            continue;
        }
        note_row(&r, s->polygons, count, l, tell);
        line[f->n++] = r.line;
        v += count;
    }
    return DYN_OK;
}

Status label_scan(Arena *a, const char *name, const char *text, size_t n, int nc, const LabelTell *tell, LabelFile *f,
                  Error *err)
{
    Reader r = { .p = text, .end = text + n };
    Shape s;
    *f = (LabelFile) { 0 };
    TRY(measure(r, name, &s, err));
    if (!s.rows) return DYN_OK;
    float *v = ARENA_ARRAY(a, float, s.values);
    int *line = ARENA_ARRAY(a, int, s.rows);
    f->label = ARENA_ARRAY(a, Label, s.rows);
    if (s.polygons) f->polygon = ARENA_ARRAY(a, Polygon, s.rows);
    if (!v || !line || !f->label || (s.polygons && !f->polygon)) return fail_nomem(err, s.values * sizeof *v);
    TRY(take_rows(r, name, &s, v, nc, tell, f, line, err));
    return drop_duplicates(a, f, line, tell, err);
}

Status label_parse(Arena *a, const char *name, const char *text, size_t n, int nc, LabelFile *f, Error *err)
{
    return label_scan(a, name, text, n, nc, NULL, f, err);
}
