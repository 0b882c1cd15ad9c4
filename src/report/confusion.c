/* SPDX-License-Identifier: Apache-2.0
 *
 * confusion - the confusion matrix as shaded cells, with numbers while they can be read (spec 8.10). */
#include "report/canvas.h"

#include <math.h>

enum { NUMBERED_CLASSES = 30 };

static double cell_value(const int64_t *m, size_t n, size_t row, size_t col, bool normalised)
{
    double sum = 1e-9;
    if (!normalised) return (double)m[row * n + col];
    for (size_t i = 0; i < n; i++)
        sum += (double)m[i * n + col];
    return (double)m[row * n + col] / sum;
}

static void draw_cells(Canvas *c, const int64_t *m, size_t n, bool normalised, Rect p)
{
    double cell = p.w / (double)n, most = 0;
    char text[32];
    for (size_t i = 0; i < n * n; i++)
        most = MAX(most, cell_value(m, n, i / n, i % n, normalised));
    canvas_fill_rect(c, p, (Rgb) { 0.975, 0.98, 0.985 });
    for (size_t i = 0; i < n * n; i++) {
        double v = cell_value(m, n, i / n, i % n, normalised), x = p.x + (double)(i % n) * cell,
               y = p.y + (double)(i / n) * cell;
        if (normalised ? v < 0.005 : v <= 0) continue;
        /* The root lifts small cells out of the white. */
        Rgb color = heat_color(0.08 + 0.92 * sqrt(v / most));
        canvas_fill_rect(c, (Rect) { x, y, cell, cell }, color);
        if (n > NUMBERED_CLASSES + 1) continue;
        snprintf(text, sizeof text, normalised ? "%.2f" : "%.0f", v);
        TextStyle style = { .size = MIN(cell * 0.36, 15), .align = ALIGN_CENTER, .color = readable_on(color) };
        double wide = text_width(c, text, &style);
        if (wide > cell * 0.92) style.size *= cell * 0.92 / wide;
        canvas_text(c, x + cell / 2, y + cell / 2, text, &style);
    }
    for (size_t i = 0; i <= n; i++) {
        double d = round((double)i * cell) + 0.5;
        if (n > NUMBERED_CLASSES + 1 && i % n) continue;
        canvas_line(c, p.x + d, p.y, p.x + d, p.y + p.h, GRID, 1);
        canvas_line(c, p.x, p.y + d, p.x + p.w, p.y + d, GRID, 1);
    }
}

static void draw_scale(Canvas *c, Rect r, double most, bool normalised)
{
    TextStyle style = { .size = 12, .color = SOFT_INK };
    char text[32];
    for (int i = 0; i < (int)r.h; i++)
        canvas_fill_rect(c, (Rect) { r.x, r.y + i, r.w, 1.5 }, heat_color(0.08 + 0.92 * sqrt(1 - i / r.h)));
    for (int i = 0; i <= 4; i++) {
        snprintf(text, sizeof text, normalised || most < 4 ? "%.2f" : "%.0f", most * i / 4);
        canvas_text(c, r.x + r.w + 6, r.y + r.h * (1 - i / 4.), text, &style);
    }
}

Status report_confusion(const char *path, const int64_t *m, int32_t nc, const char *const *names, bool normalised,
                        Error *err)
{
    if (nc < 1 || nc > 10000) return fail(err, DYN_USAGE, "%d classes in '%s': cannot be drawn", nc, path);
    size_t n = (size_t)nc + 1;
    Canvas c;
    double cell = CLAMP(1000. / (double)n, 6, 90), side = cell * (double)n;
    if (side > 4000) cell = 4000 / (double)n, side = 4000;
    TextStyle style = { .size = CLAMP(cell * 0.85, 4, 13), .color = INK };
    double label = 0, most = 0;
    TRY(canvas_new(&c, 8, 8, err)); /* to measure text before the size is known */
    for (size_t i = 0; i < n; i++)
        label = MAX(label, text_width(&c, i + 1 < n ? names[i] : "background", &style));
    canvas_free(&c);
    label = CLAMP(label, 60, 180);
    Rect p = { 44 + label + 12, 56, side, side };
    TRY(canvas_new(&c, (int)(p.x + side + 110), (int)(p.y + side + label + 60), err));
    TextStyle title = { .size = 17, .bold = true, .color = INK };
    canvas_text(&c, p.x, 28, normalised ? "Confusion matrix, columns sum to 1" : "Confusion matrix", &title);
    draw_cells(&c, m, n, normalised, p);
    for (size_t i = 0; i < n; i++) {
        const char *name = i + 1 < n ? names[i] : "background";
        double at = ((double)i + 0.5) * cell;
        style.upward = false, style.align = ALIGN_RIGHT;
        canvas_text_within(&c, p.x - 8, p.y + at, label, name, &style);
        style.upward = true;
        canvas_text_within(&c, p.x + at, p.y + side + 8, label, name, &style);
    }
    title.size = 14, title.align = ALIGN_CENTER;
    canvas_text(&c, p.x + side / 2, c.h - 20, "True", &title);
    title.upward = true;
    canvas_text(&c, 22, p.y + side / 2, "Predicted", &title);
    for (size_t i = 0; i < n * n; i++)
        most = MAX(most, cell_value(m, n, i / n, i % n, normalised));
    draw_scale(&c, (Rect) { p.x + side + 24, p.y, 16, MIN(side, 420) }, most, normalised);
    Status s = canvas_save(&c, path, err);
    canvas_free(&c);
    return s;
}
