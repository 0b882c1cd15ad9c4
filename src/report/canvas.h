/* SPDX-License-Identifier: Apache-2.0
 *
 * canvas - a picture being drawn: cairo with text that cannot fail. Private to report. */
#ifndef REPORT_CANVAS_H
#define REPORT_CANVAS_H

#include "report/report.h"

#include <cairo.h>

typedef struct Canvas {
    cairo_surface_t *surface;
    cairo_t *cr;
    double w, h;
} Canvas;

typedef struct Rect {
    double x, y, w, h;
} Rect;

/* Where the given point lies in the text: left end, middle or right end of its middle line. */
typedef enum Align { ALIGN_LEFT, ALIGN_CENTER, ALIGN_RIGHT } Align;

typedef struct TextStyle {
    double size; /* pixels */
    bool bold, upward;
    Align align;
    Rgb color;
} TextStyle;

Status canvas_new(Canvas *c, int w, int h, Error *err); /* white */
Status canvas_from_image(Canvas *c, const Image *im, Error *err);
void canvas_to_image(Canvas *c, Image *im); /* im of the canvas's size */
Status canvas_save(Canvas *c, const char *path, Error *err);
void canvas_free(Canvas *c);
/* Fails when cairo has met an error since the canvas was made. */
Status canvas_check(const Canvas *c, Error *err);

void canvas_color(Canvas *c, Rgb color, double alpha);
void canvas_fill_rect(Canvas *c, Rect r, Rgb color);
void canvas_line(Canvas *c, double x0, double y0, double x1, double y1, Rgb color, double width);
/* The picture scaled into r. */
Status canvas_image(Canvas *c, const Image *im, Rect r, Error *err);

double text_width(Canvas *c, const char *text, const TextStyle *style);
void canvas_text(Canvas *c, double x, double y, const char *text, const TextStyle *style);
/* Shortened with "..." to at most max_w pixels. */
void canvas_text_within(Canvas *c, double x, double y, double max_w, const char *text, const TextStyle *style);

/* A sequential scale from white (0) to dark blue (1), and what to write on it. */
Rgb heat_color(double t);
Rgb readable_on(Rgb background);

/* Boxes with name tags; used on pictures and on mosaic tiles. scale and (dx, dy) map box pixels to canvas pixels, clip
 * is where tags have to stay. */
void draw_boxes(Canvas *c, const Detection *det, size_t n, const DrawOpt *opt, double scale, double line_width,
                double text_size, Rect clip);
void draw_bars(Canvas *c, const Bars *bars, Rect r);
void draw_chart(Canvas *c, const Chart *chart, Rect r);

extern const Rgb INK, SOFT_INK, GRID, WHITE;

#endif
