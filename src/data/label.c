/* SPDX-License-Identifier: Apache-2.0
 *
 * Label files (spec 5.3): rows of `class cx cy w h`, or of a class and the corners of a polygon, all relative to the
 * picture. A file is good as a whole or refused as a whole. Two passes: the first counts and decides which kind the
 * file is, the second converts. Stricter than the reference in one point: what is not a finite number is refused. */
#include "data/data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NUMBER = 63 };
static const float LOWEST = -0.01f, HIGHEST = 1.01f;

typedef struct Reader {
    const char *name, *p, *end;
    int line;
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

static Status read_number(const Reader *r, const char *word, size_t n, float *x, Error *err)
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
    return fail(err, DYN_FORMAT, "%s:%d: '%.*s' is not a number", r->name, r->line, (int)MIN(n, 40), word);
}

typedef struct Shape {
    int rows;
    size_t values;
    bool polygons;
} Shape;

static Status measure(Reader r, Shape *s, Error *err)
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
        if (s->rows == 1 << 24) return fail(err, DYN_FORMAT, "%s:%d: too many rows", r.name, r.line);
    }
    return DYN_OK;
}

/* Of every value after the class, and of the class. */
static Status check_values(const Reader *r, float cls, const float *v, int n, int nc, Error *err)
{
    for (int i = 0; i < n; i++)
        if (v[i] > HIGHEST || v[i] < LOWEST)
            return fail(err, DYN_FORMAT, "%s:%d: coordinate %g is outside the picture; they must be relative, 0 to 1",
                        r->name, r->line, (double)v[i]);
    if (cls < LOWEST) return fail(err, DYN_FORMAT, "%s:%d: class %g is negative", r->name, r->line, (double)cls);
    if (nc > 0 && cls >= (float)nc)
        return fail(err, DYN_FORMAT, "%s:%d: class %g, but there are only %d classes (0 to %d)", r->name, r->line,
                    (double)cls, nc, nc - 1);
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
static Status take_row(const Reader *r, bool polygons, float *v, int count, int nc, Label *l, Polygon *poly, Error *err)
{
    if (!polygons && count != 5)
        return fail(err, DYN_FORMAT, "%s:%d: %d values, wanted 5 (class cx cy w h)", r->name, r->line, count);
    if (polygons && (count < 3 || count % 2 == 0))
        return fail(err, DYN_FORMAT, "%s:%d: %d values in a file of polygons, wanted a class and pairs of coordinates",
                    r->name, r->line, count);
    TRY(check_values(r, v[0], v + 1, count - 1, nc, err));
    if (polygons) {
        *poly = (Polygon) { (const float(*)[2])(const void *)(v + 1), count / 2 };
        *l = hull(v[0], poly->point, poly->n);
    } else {
        *l = (Label) { v[0], v[1], v[2], v[3], v[4] };
    }
    return DYN_OK;
}

typedef struct Row {
    Label label;
    Polygon polygon;
    int order;
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
static Status drop_duplicates(Arena *a, LabelFile *f, Error *err)
{
    if (f->n < 2) return DYN_OK;
    Row *row = ARENA_ARRAY(a, Row, f->n);
    if (!row) return fail_nomem(err, (size_t)f->n * sizeof *row);
    for (int i = 0; i < f->n; i++) {
        row[i] = (Row) { .label = f->label[i], .order = i };
        if (f->polygon) row[i].polygon = f->polygon[i];
    }
    qsort(row, (size_t)f->n, sizeof *row, by_value_then_order);
    int kept = 1;
    for (int i = 1; i < f->n; i++)
        if (by_value(&row[i].label, &row[kept - 1].label) != 0) row[kept++] = row[i];
    if (kept == f->n) return DYN_OK;
    for (int i = 0; i < kept; i++) {
        f->label[i] = row[i].label;
        if (f->polygon) f->polygon[i] = row[i].polygon;
    }
    f->duplicates = f->n - kept;
    f->n = kept;
    return DYN_OK;
}

static Status take_rows(Reader r, const Shape *s, float *v, int nc, LabelFile *f, Error *err)
{
    const char *word;
    size_t n;
    while (next_line(&r)) {
        int count = 0;
        while (next_word(&r, &word, &n))
            TRY(read_number(&r, word, n, &v[count++], err));
        if (!count) continue;
        TRY(take_row(&r, s->polygons, v, count, nc, &f->label[f->n], s->polygons ? &f->polygon[f->n] : NULL, err));
        f->n++;
        v += count;
    }
    return DYN_OK;
}

Status label_parse(Arena *a, const char *name, const char *text, size_t n, int nc, LabelFile *f, Error *err)
{
    Reader r = { name, text, text + n, 0 };
    Shape s;
    *f = (LabelFile) { 0 };
    TRY(measure(r, &s, err));
    if (!s.rows) return DYN_OK;
    float *v = ARENA_ARRAY(a, float, s.values);
    f->label = ARENA_ARRAY(a, Label, s.rows);
    if (s.polygons) f->polygon = ARENA_ARRAY(a, Polygon, s.rows);
    if (!v || !f->label || (s.polygons && !f->polygon)) return fail_nomem(err, s.values * sizeof *v);
    TRY(take_rows(r, &s, v, nc, f, err));
    return drop_duplicates(a, f, err);
}
