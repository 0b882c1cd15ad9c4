/* SPDX-License-Identifier: Apache-2.0
 *
 * Outlines and textures of the drawn classes. */
#include "data/synth.h"

#include <math.h>

static const double PI = 3.14159265358979323846;

enum { DISC, SQUARE, TRIANGLE, RING, STAR, CROSS, CRESCENT, HEXAGON };

const char *shape_name(int cls)
{
    static const char *const names[SYNTH_MAX_CLASSES] = { "disc", "square", "triangle", "ring",
                                                          "star", "cross",  "crescent", "hexagon" };
    return names[cls];
}

Colour colour_hsv(double h, double s, double v)
{
    double k[3], c[3] = { 5, 3, 1 };
    for (int i = 0; i < 3; i++) {
        double t = fmod(c[i] + h * 6, 6);
        k[i] = v - v * s * fmax(0, fmin(fmin(t, 4 - t), 1));
    }
    return (Colour) { k[0], k[1], k[2] };
}

static void source(cairo_t *cr, Colour c)
{
    cairo_set_source_rgb(cr, c.r, c.g, c.b);
}

/* n corners alternating between two radii. */
static void star_path(cairo_t *cr, int n, double outer, double inner)
{
    cairo_new_path(cr);
    for (int i = 0; i < n; i++) {
        double r = i % 2 ? inner : outer, a = 2 * PI * i / n - PI / 2;
        cairo_line_to(cr, r * cos(a), r * sin(a));
    }
    cairo_close_path(cr);
}

static void cross_path(cairo_t *cr)
{
    static const double t = 0.32,
                        corner[12][2] = { { -t, -1 }, { t, -1 }, { t, -t }, { 1, -t }, { 1, t },   { t, t },
                                          { t, 1 },   { -t, 1 }, { -t, t }, { -1, t }, { -1, -t }, { -t, -t } };
    cairo_new_path(cr);
    for (int i = 0; i < 12; i++)
        cairo_line_to(cr, corner[i][0], corner[i][1]);
    cairo_close_path(cr);
}

/* A circle less another of radius 0.8 whose centre is 0.45 to the right; the angles are where the two meet. */
static void crescent_path(cairo_t *cr)
{
    const double d = 0.45, q = 0.8, x = (1 - q * q + d * d) / (2 * d), y = sqrt(1 - x * x);
    const double outer = atan2(y, x), inner = atan2(y, x - d);
    cairo_new_path(cr);
    cairo_arc(cr, 0, 0, 1, outer, 2 * PI - outer);
    cairo_arc_negative(cr, d, 0, q, 2 * PI - inner, inner);
    cairo_close_path(cr);
}

void shape_path(cairo_t *cr, int cls)
{
    cairo_set_fill_rule(cr, CAIRO_FILL_RULE_EVEN_ODD);
    switch (cls) {
    case SQUARE:
        cairo_new_path(cr);
        cairo_rectangle(cr, -0.8, -0.8, 1.6, 1.6);
        break;
    case TRIANGLE: star_path(cr, 3, 1, 1); break;
    case STAR: star_path(cr, 10, 1, 0.45); break;
    case CROSS: cross_path(cr); break;
    case CRESCENT: crescent_path(cr); break;
    case HEXAGON: star_path(cr, 6, 1, 1); break;
    default:
        cairo_new_path(cr);
        cairo_arc(cr, 0, 0, 1, 0, 2 * PI);
        cairo_close_path(cr);
        if (cls != RING) break;
        cairo_new_sub_path(cr);
        cairo_arc(cr, 0, 0, 0.58, 0, 2 * PI);
        cairo_close_path(cr);
    }
}

void shape_blob(cairo_t *cr, Rng *r)
{
    enum { N = 7 };
    double p[N][2];
    double squeeze = rng_uniform(r, 0.35, 0.8);
    for (int i = 0; i < N; i++) {
        double a = 2 * PI * i / N, q = rng_uniform(r, 0.55, 1.15);
        p[i][0] = q * cos(a), p[i][1] = squeeze * q * sin(a);
    }
    cairo_new_path(cr);
    for (int i = 0; i <= N; i++) { /* Catmull-Rom through the points, as cubics */
        const double *a = p[(i + N - 1) % N], *b = p[i % N], *c = p[(i + 1) % N], *d = p[(i + 2) % N];
        if (i == 0) cairo_move_to(cr, b[0], b[1]);
        cairo_curve_to(cr, b[0] + (c[0] - a[0]) / 6, b[1] + (c[1] - a[1]) / 6, c[0] - (d[0] - b[0]) / 6,
                       c[1] - (d[1] - b[1]) / 6, c[0], c[1]);
    }
    cairo_close_path(cr);
}

static void stripes(cairo_t *cr, double period)
{
    for (double x = -1.5; x < 1.5; x += period)
        cairo_rectangle(cr, x, -1.5, period / 2, 3);
    cairo_fill(cr);
}

static void checks(cairo_t *cr, double side)
{
    for (int i = -4; i < 4; i++)
        for (int j = -4; j < 4; j++)
            if ((i + j) % 2 == 0) cairo_rectangle(cr, i * side, j * side, side, side);
    cairo_fill(cr);
}

static void dots(cairo_t *cr, double pitch)
{
    for (int i = -5; i <= 5; i++)
        for (int j = -5; j <= 5; j++) {
            cairo_new_sub_path(cr);
            cairo_arc(cr, (i + (j % 2 ? 0.5 : 0)) * pitch, j * pitch * 0.866, pitch * 0.27, 0, 2 * PI);
        }
    cairo_fill(cr);
}

static void rays(cairo_t *cr, int n)
{
    for (int i = 0; i < n; i++) {
        cairo_move_to(cr, 0, 0);
        cairo_arc(cr, 0, 0, 1.5, 2 * PI * i / n, 2 * PI * (i + 0.5) / n);
        cairo_close_path(cr);
    }
    cairo_fill(cr);
}

static void nested(cairo_t *cr, int cls)
{
    for (double s = 0.8; s > 0.2; s -= 0.4) {
        cairo_save(cr);
        cairo_scale(cr, s, s);
        shape_path(cr, cls);
        cairo_restore(cr);
        cairo_set_line_width(cr, 0.12);
        cairo_stroke(cr);
    }
}

void shape_texture(cairo_t *cr, int cls, Colour a, Colour b, Rng *r)
{
    source(cr, a);
    cairo_paint(cr);
    source(cr, b);
    cairo_set_fill_rule(cr, CAIRO_FILL_RULE_WINDING);
    cairo_new_path(cr);
    switch (cls) {
    case DISC:
        cairo_rotate(cr, rng_uniform(r, 0, PI));
        stripes(cr, rng_uniform(r, 0.38, 0.6));
        break;
    case SQUARE: checks(cr, rng_uniform(r, 0.3, 0.45)); break;
    case TRIANGLE: dots(cr, rng_uniform(r, 0.3, 0.42)); break;
    case RING: rays(cr, 6 + 2 * (int)rng_int(r, 3)); break;
    case STAR: nested(cr, STAR); break;
    case CROSS:
        cairo_rotate(cr, PI / 4);
        stripes(cr, rng_uniform(r, 0.3, 0.45));
        break;
    case CRESCENT: dots(cr, rng_uniform(r, 0.22, 0.3)); break;
    default: nested(cr, HEXAGON);
    }
}
