/* SPDX-License-Identifier: Apache-2.0
 *
 * labels_plot - what a data set's labels look like, spec 9.7: instances per class, the shapes of the first 500 boxes
 * laid over each other, and histograms of where centres lie and how large boxes are. */
#include "report/canvas.h"

#include <math.h>

enum { BINS = 50, SHAPES = 500, NAMED_CLASSES = 40 };

static const double TOP = 42;

static void heading(Canvas *c, Rect r, const char *text)
{
    const TextStyle style = { .size = 15, .bold = true, .color = INK };
    canvas_text_within(c, r.x + 18, r.y + 22, r.w - 30, text, &style);
}

/* The square below a heading in which fractions 0..1 are shown. */
static Rect unit_square(Rect r)
{
    double side = MIN(r.w - 140, r.h - TOP - 56);
    return (Rect) { r.x + (r.w - side) / 2, r.y + TOP, side, side };
}

static void unit_axes(Canvas *c, Rect p, const char *x, const char *y)
{
    TextStyle style = { .size = 12, .color = SOFT_INK, .align = ALIGN_CENTER };
    char text[16];
    cairo_set_line_width(c->cr, 1);
    canvas_color(c, SOFT_INK, 1);
    cairo_rectangle(c->cr, p.x + 0.5, p.y + 0.5, p.w, p.h);
    cairo_stroke(c->cr);
    for (int i = 0; i <= 4; i++) {
        snprintf(text, sizeof text, "%g", i / 4.);
        style.align = ALIGN_CENTER;
        canvas_text(c, p.x + p.w * i / 4, p.y + p.h + 12, text, &style);
        style.align = ALIGN_RIGHT;
        canvas_text(c, p.x - 7, p.y + p.h * i / 4, text, &style);
    }
    style = (TextStyle) { .size = 13, .color = INK, .align = ALIGN_CENTER };
    canvas_text(c, p.x + p.w / 2, p.y + p.h + 34, x, &style);
    style.upward = true;
    canvas_text(c, p.x - 48, p.y + p.h / 2, y, &style);
}

/* Counts of (u, v) pairs: v grows downward, as in pictures. */
static void draw_histogram(Canvas *c, Rect r, const char *title, const Target *label, size_t n, bool centres)
{
    static const double gap = 0.5;
    int count[BINS * BINS] = { 0 }, most = 1;
    Rect p = unit_square(r);
    double cell = p.w / BINS;
    for (size_t i = 0; i < n; i++) {
        double u = centres ? label[i].x : label[i].w, v = centres ? label[i].y : label[i].h;
        if (!(u >= 0 && u <= 1 && v >= 0 && v <= 1)) continue;
        int k = MIN((int)(v * BINS), BINS - 1) * BINS + MIN((int)(u * BINS), BINS - 1);
        count[k]++;
        most = MAX(most, count[k]);
    }
    heading(c, r, title);
    for (int k = 0; k < BINS * BINS; k++)
        if (count[k])
            canvas_fill_rect(c, (Rect) { p.x + k % BINS * cell, p.y + k / BINS * cell, cell + gap, cell + gap },
                             heat_color(0.15 + 0.85 * sqrt((double)count[k] / most)));
    unit_axes(c, p, centres ? "centre x" : "width", centres ? "centre y" : "height");
}

static void draw_shapes(Canvas *c, Rect r, const Target *label, size_t n)
{
    Rect p = unit_square(r);
    heading(c, r, n > SHAPES ? "Shapes of the first 500 boxes" : "Shapes of the boxes");
    cairo_set_line_width(c->cr, 1);
    for (size_t i = 0; i < MIN(n, SHAPES); i++) {
        double w = label[i].w * p.w, h = label[i].h * p.h;
        if (!(w >= 0 && h >= 0 && w <= p.w && h <= p.h)) continue;
        canvas_color(c, palette_line((size_t)MAX(label[i].cls, 0)), 0.55);
        cairo_rectangle(c->cr, p.x + (p.w - w) / 2, p.y + (p.h - h) / 2, w, h);
        cairo_stroke(c->cr);
    }
    unit_axes(c, p, "width", "height");
}

/* With more classes than can be named the ones with most instances are shown. */
static Status draw_classes(Canvas *c, Rect r, const Target *label, size_t n, const char *const *names, int32_t nc,
                           Arena *a, Error *err)
{
    double *count = ARENA_ARRAY(a, double, nc), value[NAMED_CLASSES];
    const char *shown[NAMED_CLASSES];
    Rgb color[NAMED_CLASSES];
    if (!count) return fail_nomem(err, (size_t)nc * sizeof *count);
    for (size_t i = 0; i < n; i++)
        if (label[i].cls >= 0 && label[i].cls < nc) count[label[i].cls]++;
    size_t n_shown = (size_t)MIN(nc, NAMED_CLASSES);
    for (size_t i = 0; i < n_shown; i++) {
        int32_t k = (int32_t)i;
        if (nc > NAMED_CLASSES)
            for (int32_t j = k = 0; j < nc; j++)
                if (count[j] > count[k]) k = j;
        value[i] = count[k], shown[i] = names[k], color[i] = palette_line((size_t)k);
        if (nc > NAMED_CLASSES) count[k] = -1;
    }
    char title[80];
    snprintf(title, sizeof title, nc > NAMED_CLASSES ? "Instances per class (top %zu of %d)" : "Instances per class",
             n_shown, nc);
    Bars bars = { title, NULL, shown, value, color, n_shown, "%.0f" };
    draw_bars(c, &bars, r);
    return DYN_OK;
}

Status report_labels(const char *path, const Target *label, size_t n, const char *const *names, int32_t nc, Error *err)
{
    enum { CELL = 640 };
    if (nc < 1) return fail(err, DYN_USAGE, "%d classes in '%s': cannot be drawn", nc, path);
    Canvas c;
    Arena *a = arena_new();
    if (!a) return fail_nomem(err, 1);
    Status s = canvas_new(&c, 2 * CELL, 2 * CELL, err);
    if (s == DYN_OK) {
        s = draw_classes(&c, (Rect) { 0, 0, CELL, CELL }, label, n, names, nc, a, err);
        draw_shapes(&c, (Rect) { CELL, 0, CELL, CELL }, label, n);
        draw_histogram(&c, (Rect) { 0, CELL, CELL, CELL }, "Where boxes lie", label, n, true);
        draw_histogram(&c, (Rect) { CELL, CELL, CELL, CELL }, "How large boxes are", label, n, false);
        if (s == DYN_OK) s = canvas_save(&c, path, err);
        canvas_free(&c);
    }
    arena_free(&a);
    return s;
}
