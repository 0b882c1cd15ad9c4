/* SPDX-License-Identifier: Apache-2.0
 *
 * mosaic - a batch as one picture, spec 9.7: up to 16 tiles in a square, column by column, each with boxes and name. */
#include "report/canvas.h"

#include <math.h>
#include <string.h>

enum { MAX_TILES = 16, MAX_SIDE = 1920 };

static void caption(Canvas *c, const char *text, Rect tile)
{
    TextStyle style = { .size = CLAMP(tile.h / 28, 9, 15), .color = WHITE };
    double pad = style.size * 0.45, h = style.size * 1.6;
    double w = MIN(text_width(c, text, &style) + 2 * pad, tile.w);
    canvas_color(c, INK, 0.75);
    cairo_rectangle(c->cr, tile.x, tile.y + tile.h - h, w, h);
    cairo_fill(c->cr);
    canvas_text_within(c, tile.x + pad, tile.y + tile.h - h / 2, w - 2 * pad + 1, text, &style);
}

static Status draw_tile(Canvas *c, const MosaicTile *t, Rect cell, const DrawOpt *opt, Error *err)
{
    double scale = MIN(cell.w / t->image->w, cell.h / t->image->h);
    Rect at = { cell.x, cell.y, t->image->w * scale, t->image->h * scale };
    TRY(canvas_image(c, t->image, at, err));
    /* Detections come best first, so what is sure enough to be shown is a prefix; labels (conf < 0) all are. */
    size_t n = 0;
    while (n < t->n && (t->det[n].conf < 0 || t->det[n].conf > 0.25f))
        n++;
    draw_boxes(c, t->det, n, opt, scale, CLAMP(cell.h / 220, 1.5, 3), CLAMP(cell.h / 32, 9, 14), at);
    if (t->caption) caption(c, path_name(t->caption), at);
    return DYN_OK;
}

Status report_mosaic(const char *path, const MosaicTile *tile, size_t n, const DrawOpt *opt, Error *err)
{
    if (n == 0) return fail(err, DYN_USAGE, "no picture to show in '%s'", path);
    n = MIN(n, MAX_TILES);
    int side = (int)ceil(sqrt((double)n)), w = 1, h = 1;
    for (size_t i = 0; i < n; i++)
        w = MAX(w, tile[i].image->w), h = MAX(h, tile[i].image->h);
    double scale = MIN(1, (double)MAX_SIDE / (side * MAX(w, h)));
    double cell_w = MAX(1, floor(w * scale)), cell_h = MAX(1, floor(h * scale));
    Canvas c;
    TRY(canvas_new(&c, (int)cell_w * side, (int)cell_h * side, err));
    Status s = DYN_OK;
    for (size_t i = 0; i < n && s == DYN_OK; i++) {
        Rect cell = { (double)(i / (size_t)side) * cell_w, (double)(i % (size_t)side) * cell_h, cell_w, cell_h };
        s = draw_tile(&c, &tile[i], cell, opt, err);
    }
    for (int i = 1; i < side && s == DYN_OK; i++) {
        canvas_line(&c, i * cell_w, 0, i * cell_w, c.h, WHITE, 2);
        canvas_line(&c, 0, i * cell_h, c.w, i * cell_h, WHITE, 2);
    }
    if (s == DYN_OK) s = canvas_save(&c, path, err);
    canvas_free(&c);
    return s;
}
