/* SPDX-License-Identifier: Apache-2.0
 *
 * draw - boxes and name tags on a picture, spec 9.6. Edges are antialiased lines on whole pixels; a tag sits on the
 * box's top edge, moves below it where there is no room, and is pushed back where it would leave the picture. */
#include "report/canvas.h"

#include <math.h>

DrawOpt draw_defaults(const char *const *names, int32_t n_names)
{
    return (DrawOpt) { .names = names, .n_names = n_names, .labels = true, .conf = true };
}

static void tag_text(char *buf, size_t size, const Detection *d, const DrawOpt *opt)
{
    char number[16], conf[16] = "";
    snprintf(number, sizeof number, "%d", d->cls);
    if (opt->conf && d->conf >= 0) snprintf(conf, sizeof conf, " %.2f", d->conf);
    snprintf(buf, size, "%.200s%s", d->cls >= 0 && d->cls < opt->n_names && opt->names ? opt->names[d->cls] : number,
             conf);
}

static void draw_tag(Canvas *c, const char *text, Rect box, Rgb color, double lw, double size, Rect clip)
{
    TextStyle style = { .size = size, .color = readable_on(color) };
    double pad = size * 0.3, text_w = MIN(text_width(c, text, &style), clip.w - 2 * pad), w = text_w + 2 * pad,
           h = size * 1.35;
    double x = box.x - lw / 2, y = box.y - lw / 2 - h;
    if (y < clip.y) y = box.y + lw / 2; /* no room above: inside the box */
    x = CLAMP(x, clip.x, MAX(clip.x, clip.x + clip.w - w));
    y = CLAMP(y, clip.y, MAX(clip.y, clip.y + clip.h - h));
    canvas_fill_rect(c, (Rect) { round(x), round(y), ceil(w), ceil(h) }, color);
    canvas_text_within(c, round(x) + pad, round(y) + ceil(h) / 2, text_w, text, &style);
}

/* The box in canvas pixels; false when it has none. */
static bool place_box(const Detection *d, double scale, Rect clip, Rect *box)
{
    *box = (Rect) { clip.x + round(d->x1 * scale), clip.y + round(d->y1 * scale), round((d->x2 - d->x1) * scale),
                    round((d->y2 - d->y1) * scale) };
    return isfinite(box->x + box->y + box->w + box->h);
}

void draw_boxes(Canvas *c, const Detection *det, size_t n, const DrawOpt *opt, double scale, double lw,
                double text_size, Rect clip)
{
    char text[256];
    Rect box;
    cairo_save(c->cr);
    cairo_rectangle(c->cr, clip.x, clip.y, clip.w, clip.h);
    cairo_clip(c->cr);
    cairo_set_line_join(c->cr, CAIRO_LINE_JOIN_ROUND);
    for (size_t i = n; i-- > 0;) {
        if (!place_box(&det[i], scale, clip, &box)) continue;
        canvas_color(c, palette_box(det[i].cls), 1);
        cairo_set_line_width(c->cr, lw);
        cairo_rectangle(c->cr, box.x, box.y, box.w, box.h);
        cairo_stroke(c->cr);
    }
    for (size_t i = n; i-- > 0 && opt->labels;) { /* after all boxes, so that no edge crosses a name */
        if (!place_box(&det[i], scale, clip, &box)) continue;
        tag_text(text, sizeof text, &det[i], opt);
        draw_tag(c, text, box, palette_box(det[i].cls), lw, text_size, clip);
    }
    cairo_restore(c->cr);
}

Status report_draw(Image *im, const Detection *det, size_t n, const DrawOpt *opt, Error *err)
{
    if (n == 0) return DYN_OK;
    Canvas c;
    TRY(canvas_from_image(&c, im, err));
    double lw = opt->line_width > 0 ? opt->line_width : MAX(nearbyint((im->w + im->h + 3) / 2. * 0.003), 2);
    draw_boxes(&c, det, n, opt, 1, lw, MAX(11, 5 + 4 * lw), (Rect) { 0, 0, im->w, im->h });
    Status s = canvas_check(&c, err);
    if (s == DYN_OK) canvas_to_image(&c, im);
    canvas_free(&c);
    return s;
}
