/* SPDX-License-Identifier: Apache-2.0
 *
 * chart - lines over two axes: what every curve of the reports is drawn with. Margins come from measured text, so
 * labels are neither cut nor laid over each other; the legend stands beside the plot, never on it. */
#include "report/canvas.h"

#include <math.h>

static const double TICK_SIZE = 12, LABEL_SIZE = 13, TITLE_SIZE = 15;

typedef struct Scale {
    double lo, hi, step;
} Scale;

/* 1, 2 or 5 times a power of ten, so that about `count` steps make up the span. */
static double nice_step(double span, double count, bool whole)
{
    double raw = span / MAX(count, 1), base = pow(10, floor(log10(raw))), m = raw / base;
    double step = base * (m <= 1 ? 1 : m <= 2 ? 2 : m <= 5 ? 5 : 10);
    return whole ? MAX(1, step) : step;
}

static Scale scale_of(const Axis *axis, const Chart *chart, bool is_x, double pixels, double pixels_per_tick)
{
    double lo = axis->lo, hi = axis->hi;
    bool fixed = lo != hi;
    if (!fixed) {
        lo = INFINITY, hi = -INFINITY;
        for (size_t s = 0; s < chart->n; s++)
            for (size_t i = 0; i < chart->series[s].n; i++) {
                const Series *line = &chart->series[s];
                double v = is_x ? line->x[i] : line->y[i];
                if (isfinite(v)) lo = MIN(lo, v), hi = MAX(hi, v);
                if (!is_x && line->lo && isfinite(line->lo[i])) lo = MIN(lo, line->lo[i]);
                if (!is_x && line->hi && isfinite(line->hi[i])) hi = MAX(hi, line->hi[i]);
            }
        if (!(lo <= hi)) lo = 0, hi = 1;
        if (hi - lo < 1e-9 * MAX(fabs(hi), 1e-3)) {
            double room = axis->whole ? 1 : MAX(fabs(hi) * 0.1, 1e-3);
            lo -= room, hi += room;
        }
    }
    Scale s = { lo, hi, nice_step(hi - lo, pixels / pixels_per_tick, axis->whole) };
    if (!fixed && !is_x) s.lo = floor(lo / s.step + 1e-9) * s.step, s.hi = ceil(hi / s.step - 1e-9) * s.step;
    return s;
}

static void tick_text(char *buf, size_t size, double v, double step)
{
    int decimals = (int)CLAMP(-floor(log10(step) + 1e-9), 0, 9);
    if (fabs(v) < step * 1e-6) v = 0;
    if (fabs(v) >= 1e6 || decimals > 5)
        snprintf(buf, size, "%.3g", v);
    else
        snprintf(buf, size, "%.*f", decimals, v);
}

static double first_tick(const Scale *s)
{
    return ceil(s->lo / s->step - 1e-9) * s->step;
}

static double tick_width(Canvas *c, const Scale *s)
{
    const TextStyle style = { .size = TICK_SIZE };
    char text[32];
    double w = 0;
    for (double v = first_tick(s); v <= s->hi + s->step * 1e-6; v += s->step) {
        tick_text(text, sizeof text, v, s->step);
        w = MAX(w, text_width(c, text, &style));
    }
    return w;
}

static double place(const Scale *s, double v, double from, double to)
{
    return from + (v - s->lo) / (s->hi - s->lo) * (to - from);
}

static void draw_ticks(Canvas *c, const Scale *x, const Scale *y, Rect p)
{
    TextStyle style = { .size = TICK_SIZE, .color = SOFT_INK, .align = ALIGN_CENTER };
    char text[32];
    for (double v = first_tick(x); v <= x->hi + x->step * 1e-6; v += x->step) {
        double at = round(place(x, v, p.x, p.x + p.w)) + 0.5;
        canvas_line(c, at, p.y, at, p.y + p.h, GRID, 1);
        tick_text(text, sizeof text, v, x->step);
        canvas_text(c, at, p.y + p.h + TICK_SIZE, text, &style);
    }
    style.align = ALIGN_RIGHT;
    for (double v = first_tick(y); v <= y->hi + y->step * 1e-6; v += y->step) {
        double at = round(place(y, v, p.y + p.h, p.y)) + 0.5;
        canvas_line(c, p.x, at, p.x + p.w, at, GRID, 1);
        tick_text(text, sizeof text, v, y->step);
        canvas_text(c, p.x - 7, at, text, &style);
    }
}

static void draw_series(Canvas *c, const Series *s, const Scale *x, const Scale *y, Rect p)
{
    bool pen = false;
    canvas_color(c, s->color, 1);
    cairo_set_line_join(c->cr, CAIRO_LINE_JOIN_ROUND);
    for (size_t i = 0; i < s->n && s->width > 0; i++) {
        double px = place(x, s->x[i], p.x, p.x + p.w), py = place(y, s->y[i], p.y + p.h, p.y);
        bool ok = isfinite(px) && isfinite(py);
        if (ok && pen)
            cairo_line_to(c->cr, px, py);
        else if (ok)
            cairo_move_to(c->cr, px, py);
        pen = ok;
    }
    cairo_set_line_width(c->cr, s->width);
    cairo_stroke(c->cr);
    for (size_t i = 0; i < s->n && s->dot > 0; i++) {
        double px = place(x, s->x[i], p.x, p.x + p.w), py = place(y, s->y[i], p.y + p.h, p.y);
        if (!isfinite(px) || !isfinite(py)) continue;
        cairo_new_sub_path(c->cr);
        cairo_arc(c->cr, px, py, s->dot, 0, 2 * acos(-1));
        cairo_fill(c->cr);
    }
}

/* The stretches over which both bounds are finite, each filled once. */
static void draw_band(Canvas *c, const Series *s, const Scale *x, const Scale *y, Rect p)
{
    if (!s->lo || !s->hi) return;
    canvas_color(c, s->color, 0.16);
    for (size_t i = 0, end; i < s->n; i = end + 1) {
        for (end = i; end < s->n && isfinite(s->x[end]) && isfinite(s->lo[end]) && isfinite(s->hi[end]); end++)
            cairo_line_to(c->cr, place(x, s->x[end], p.x, p.x + p.w), place(y, s->hi[end], p.y + p.h, p.y));
        for (size_t k = end; k-- > i;)
            cairo_line_to(c->cr, place(x, s->x[k], p.x, p.x + p.w), place(y, s->lo[k], p.y + p.h, p.y));
        cairo_close_path(c->cr);
        cairo_fill(c->cr);
    }
}

static const double LEGEND_ROW = 20, LEGEND_KEY = 22;

static double legend_width(Canvas *c, const Chart *chart, double most)
{
    double w = 0;
    for (size_t i = 0; i < chart->n; i++) {
        TextStyle style = { .size = TICK_SIZE, .bold = chart->series[i].width >= 2.5 };
        if (chart->series[i].name) w = MAX(w, text_width(c, chart->series[i].name, &style));
    }
    return MIN(w + LEGEND_KEY + 8, most);
}

/* Top series first, as they lie over each other; as many rows as fit, then a count of the rest. */
static void draw_legend(Canvas *c, const Chart *chart, Rect r)
{
    size_t named = 0, room = (size_t)MAX(r.h / LEGEND_ROW, 1), shown = 0;
    for (size_t i = 0; i < chart->n; i++)
        named += chart->series[i].name != NULL;
    double y = r.y + LEGEND_ROW / 2;
    for (size_t i = chart->n; i-- > 0;) {
        const Series *s = &chart->series[i];
        TextStyle style = { .size = TICK_SIZE, .color = INK, .bold = s->width >= 2.5 };
        if (!s->name) continue;
        if (named > room && shown + 1 == room) {
            char more[32];
            snprintf(more, sizeof more, "and %zu more", named - shown);
            style.bold = false, style.color = SOFT_INK;
            canvas_text(c, r.x + LEGEND_KEY, y, more, &style);
            return;
        }
        canvas_line(c, r.x, y, r.x + 15, y, s->color, s->width > 0 ? MAX(s->width, 2) : 4);
        canvas_text_within(c, r.x + LEGEND_KEY, y, r.w - LEGEND_KEY, s->name, &style);
        y += LEGEND_ROW, shown++;
    }
}

void draw_chart(Canvas *c, const Chart *chart, Rect r)
{
    double top = chart->title ? 38 : 14, bottom = chart->x.label ? 56 : 34;
    double legend = chart->legend ? legend_width(c, chart, r.w * 0.4) + 18 : 0;
    double h = MAX(r.h - top - bottom, 1);
    Scale y = scale_of(&chart->y, chart, false, h, 46);
    double left = tick_width(c, &y) + (chart->y.label ? 42 : 18), w = MAX(r.w - left - legend - 20, 1);
    Scale x = scale_of(&chart->x, chart, true, w, 62);
    Rect p = { r.x + left, r.y + top, w, h };

    TextStyle style = { .size = TITLE_SIZE, .bold = true, .color = INK };
    if (chart->title) canvas_text_within(c, p.x, r.y + 20, r.x + r.w - p.x - 8, chart->title, &style);
    style = (TextStyle) { .size = LABEL_SIZE, .color = INK, .align = ALIGN_CENTER };
    if (chart->x.label) canvas_text(c, p.x + p.w / 2, r.y + r.h - 18, chart->x.label, &style);
    style.upward = true;
    if (chart->y.label) canvas_text(c, r.x + 17, p.y + p.h / 2, chart->y.label, &style);

    draw_ticks(c, &x, &y, p);
    cairo_save(c->cr);
    cairo_rectangle(c->cr, p.x - 3, p.y - 3, p.w + 6, p.h + 6); /* room for the width of lines at the border */
    cairo_clip(c->cr);
    for (size_t i = 0; i < chart->n; i++)
        draw_band(c, &chart->series[i], &x, &y, p);
    for (size_t i = 0; i < chart->n; i++)
        draw_series(c, &chart->series[i], &x, &y, p);
    cairo_restore(c->cr);
    canvas_line(c, p.x, p.y + p.h + 0.5, p.x + p.w, p.y + p.h + 0.5, SOFT_INK, 1);
    if (chart->legend) draw_legend(c, chart, (Rect) { p.x + p.w + 18, p.y, legend - 18, p.h });
}

Status report_charts(const char *path, int w, int h, const char *title, const Chart *chart, size_t n, size_t columns,
                     Error *err)
{
    if (n == 0 || columns == 0) return fail(err, DYN_USAGE, "no chart to draw in '%s'", path);
    Canvas c;
    TRY(canvas_new(&c, w, h, err));
    double top = title ? 44 : 0;
    size_t rows = (n + columns - 1) / columns;
    const TextStyle style = { .size = 19, .bold = true, .color = INK };
    if (title) canvas_text(&c, 20, 28, title, &style);
    double cell_w = c.w / (double)columns, cell_h = (c.h - top) / (double)rows;
    for (size_t i = 0; i < n; i++)
        draw_chart(&c, &chart[i],
                   (Rect) { (double)(i % columns) * cell_w, top + (double)(i / columns) * cell_h, cell_w, cell_h });
    Status s = canvas_save(&c, path, err);
    canvas_free(&c);
    return s;
}

Status report_chart(const char *path, int w, int h, const Chart *chart, Error *err)
{
    return report_charts(path, w, h, NULL, chart, 1, 1, err);
}
