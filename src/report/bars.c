/* SPDX-License-Identifier: Apache-2.0
 *
 * bars - horizontal bars with the number at their end; the comparison figure. */
#include "report/canvas.h"

#include <math.h>

void draw_bars(Canvas *c, const Bars *bars, Rect r)
{
    TextStyle name = { .size = 13, .color = INK, .align = ALIGN_RIGHT }, number = { .size = 12, .color = SOFT_INK };
    double top = bars->title ? 42 : 14, bottom = bars->label ? 40 : 14, names = 0, numbers = 0, most = 0;
    char text[64];
    double row = (r.h - top - bottom) / (double)MAX(bars->n, 1), thick = CLAMP(row * 0.68, 1, 34);
    name.size = CLAMP(row * 0.8, 6, 13), number.size = CLAMP(row * 0.75, 6, 12);
    for (size_t i = 0; i < bars->n; i++) {
        snprintf(text, sizeof text, bars->unit ? bars->unit : "%g", bars->value[i]);
        names = MAX(names, text_width(c, bars->names[i], &name));
        numbers = MAX(numbers, text_width(c, text, &number));
        if (isfinite(bars->value[i])) most = MAX(most, bars->value[i]);
    }
    names = MIN(names, r.w * 0.4);
    double x = r.x + 18 + names + 10, w = MAX(r.x + r.w - x - numbers - 26, 1);
    const TextStyle title = { .size = 15, .bold = true, .color = INK };
    if (bars->title) canvas_text_within(c, r.x + 18, r.y + 22, r.w - 30, bars->title, &title);
    for (size_t i = 0; i < bars->n; i++) {
        double y = r.y + top + ((double)i + 0.5) * row;
        double len = most > 0 && bars->value[i] > 0 ? MIN(bars->value[i] / most, 1) * w : 0;
        canvas_text_within(c, x - 10, y, names + 1, bars->names[i], &name);
        canvas_fill_rect(c, (Rect) { x, y - thick / 2, MAX(len, 1), thick },
                         bars->color ? bars->color[i] : palette_line(0));
        snprintf(text, sizeof text, bars->unit ? bars->unit : "%g", bars->value[i]);
        canvas_text(c, x + len + 7, y, text, &number);
    }
    canvas_line(c, x - 0.5, r.y + top, x - 0.5, r.y + r.h - bottom, SOFT_INK, 1);
    const TextStyle label = { .size = 13, .color = INK, .align = ALIGN_CENTER };
    if (bars->label) canvas_text(c, x + w / 2, r.y + r.h - 18, bars->label, &label);
}

Status report_bars(const char *path, int w, int h, const Bars *bars, Error *err)
{
    Canvas c;
    TRY(canvas_new(&c, w, h, err));
    draw_bars(&c, bars, (Rect) { 0, 0, w, h });
    Status s = canvas_save(&c, path, err);
    canvas_free(&c);
    return s;
}
