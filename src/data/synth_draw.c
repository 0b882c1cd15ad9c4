/* SPDX-License-Identifier: Apache-2.0
 *
 * One picture of the drawn data set: a lit, textured ground with clutter, objects that overlap one another and the
 * border, then what a camera adds. An object that is nearly hidden would be a label that nobody can learn: such a place
 * is not taken. */
#include "data/synth.h"

#include <math.h>
#include <string.h>

/* Everything that makes the task easier or harder. Lengths are shares of the long side. */
static const struct {
    int min_objects, max_objects;
    double min_size, max_size; /* diameter, drawn log-uniformly */
    double outside;            /* of the radius, by which a centre may come near the border or pass it */
    double min_visible;        /* share of an object that must stay in sight */
    int min_clutter, max_clutter, lines;
    double blur, noise; /* probability; largest amplitude of grey levels */
} hard = { 1, 7, 0.13, 0.5, 0.35, 0.55, 3, 8, 8, 0.35, 22 };

static const double PI = 3.14159265358979323846;

/* The picture in the making. */
typedef struct Easel {
    int w, h, side;
    cairo_surface_t *surface, *mask;
    cairo_t *cr, *mask_cr;
    uint8_t *owner; /* [h, w] 1 + object on top, 0 ground */
    int area[SYNTH_MAX_OBJECTS], seen[SYNTH_MAX_OBJECTS], cls[SYNTH_MAX_OBJECTS];
    int n;
    Rng r;
} Easel;

static uint32_t *pixels(cairo_surface_t *s, int y)
{
    return (uint32_t *)(void *)(cairo_image_surface_get_data(s) + (ptrdiff_t)y * cairo_image_surface_get_stride(s));
}

/* ---- ground ------------------------------------------------------------------------------------------------------ */

enum { LATTICE = 64 };

/* Smooth noise, -1..1, of a given number of cells across the long side. */
typedef struct Field {
    float v[LATTICE][LATTICE];
    double cells;
} Field;

static void field_init(Field *f, double cells, Rng *r)
{
    f->cells = cells;
    for (int i = 0; i < LATTICE; i++)
        for (int j = 0; j < LATTICE; j++)
            f->v[i][j] = (float)rng_uniform(r, -1, 1);
}

static double field_at(const Field *f, double x, double y)
{
    x *= f->cells, y *= f->cells;
    int i = (int)x % (LATTICE - 1), j = (int)y % (LATTICE - 1);
    double u = x - floor(x), v = y - floor(y);
    u = u * u * (3 - 2 * u), v = v * v * (3 - 2 * v);
    double top = (double)f->v[j][i] * (1 - u) + (double)f->v[j][i + 1] * u;
    double bottom = (double)f->v[j + 1][i] * (1 - u) + (double)f->v[j + 1][i + 1] * u;
    return top * (1 - v) + bottom * v;
}

static uint32_t pack(double r, double g, double b)
{
    uint32_t c[3] = { (uint32_t)(CLAMP(r, 0, 1) * 255 + 0.5), (uint32_t)(CLAMP(g, 0, 1) * 255 + 0.5),
                      (uint32_t)(CLAMP(b, 0, 1) * 255 + 0.5) };
    return 0xff000000u | c[0] << 16 | c[1] << 8 | c[2];
}

static void draw_ground(Easel *e, Field f[3])
{
    double hue = rng_unit(&e->r), s = rng_uniform(&e->r, 0.05, 0.5), v = rng_uniform(&e->r, 0.35, 0.8);
    Colour a = colour_hsv(hue, s, v);
    Colour b = colour_hsv(hue + rng_uniform(&e->r, 0, 0.25), s * 0.8, v * rng_uniform(&e->r, 0.5, 0.9));
    double grain = rng_uniform(&e->r, 0.05, 0.25), stretch = rng_int(&e->r, 2) ? 1 : 0.15; /* wood, or clouds */
    field_init(&f[0], 3, &e->r);
    field_init(&f[1], 11, &e->r);
    field_init(&f[2], 40, &e->r);
    for (int y = 0; y < e->h; y++)
        for (int x = 0; x < e->w; x++) {
            double px = (double)x / e->side, py = (double)y / e->side;
            double t = 0.5 + 0.6 * field_at(&f[0], px, py) + 0.3 * field_at(&f[1], px * stretch, py);
            double g = grain * (field_at(&f[1], px * stretch, py) + field_at(&f[2], px * stretch, py)) * 0.5;
            t = CLAMP(t, 0, 1);
            pixels(e->surface, y)[x] =
                pack(a.r + (b.r - a.r) * t + g, a.g + (b.g - a.g) * t + g, a.b + (b.b - a.b) * t + g);
        }
    cairo_surface_mark_dirty(e->surface);
}

static Colour any_colour(Rng *r)
{
    return colour_hsv(rng_unit(r), rng_uniform(r, 0.15, 0.95), rng_uniform(r, 0.25, 1));
}

/* Two that can be told apart. */
static void two_colours(Rng *r, Colour *a, Colour *b)
{
    double hue = rng_unit(r), light = rng_uniform(r, 0.75, 1), dark = light - rng_uniform(r, 0.35, 0.6);
    *a = colour_hsv(hue, rng_uniform(r, 0.3, 0.95), light);
    *b = colour_hsv(fmod(hue + rng_uniform(r, 0, 1), 1), rng_uniform(r, 0.2, 0.95), dark);
    if (rng_int(r, 2)) {
        Colour t = *a;
        *a = *b, *b = t;
    }
}

/* Where and how large and how turned something is. */
typedef struct Pose {
    double x, y, radius, angle, squash;
} Pose;

static void enter(cairo_t *cr, const Pose *p)
{
    cairo_save(cr);
    cairo_translate(cr, p->x, p->y);
    cairo_rotate(cr, p->angle);
    cairo_scale(cr, p->radius, p->radius * p->squash);
}

/* Light from the upper left, in the picture's own frame: the shape's transformation is set aside. */
static void shade(cairo_t *cr, const Pose *p)
{
    cairo_pattern_t *light;
    cairo_identity_matrix(cr);
    light = cairo_pattern_create_radial(p->x - p->radius * 0.5, p->y - p->radius * 0.6, 0, p->x, p->y, p->radius * 1.2);
    cairo_pattern_add_color_stop_rgba(light, 0, 1, 1, 1, 0.38);
    cairo_pattern_add_color_stop_rgba(light, 0.5, 1, 1, 1, 0);
    cairo_pattern_add_color_stop_rgba(light, 0.55, 0, 0, 0, 0);
    cairo_pattern_add_color_stop_rgba(light, 1, 0, 0, 0, 0.42);
    cairo_set_source(cr, light);
    cairo_paint(cr);
    cairo_pattern_destroy(light);
}

static void draw_clutter(Easel *e)
{
    Rng *r = &e->r;
    for (int i = (int)rng_int(r, hard.lines); i > 0; i--) {
        Colour c = any_colour(r);
        cairo_set_source_rgba(e->cr, c.r, c.g, c.b, rng_uniform(r, 0.3, 0.9));
        cairo_set_line_width(e->cr, rng_uniform(r, 0.004, 0.03) * e->side);
        cairo_move_to(e->cr, rng_uniform(r, 0, e->w), rng_uniform(r, 0, e->h));
        cairo_curve_to(e->cr, rng_uniform(r, 0, e->w), rng_uniform(r, 0, e->h), rng_uniform(r, 0, e->w),
                       rng_uniform(r, 0, e->h), rng_uniform(r, 0, e->w), rng_uniform(r, 0, e->h));
        cairo_stroke(e->cr);
    }
    for (int i = hard.min_clutter + (int)rng_int(r, hard.max_clutter - hard.min_clutter + 1); i > 0; i--) {
        Colour a, b;
        Pose p = { rng_uniform(r, 0, e->w), rng_uniform(r, 0, e->h), rng_uniform(r, 0.04, 0.2) * e->side,
                   rng_uniform(r, 0, 2 * PI), 1 };
        two_colours(r, &a, &b);
        enter(e->cr, &p);
        shape_blob(e->cr, r);
        cairo_clip(e->cr);
        shape_texture(e->cr, (int)rng_int(r, 3), a, rng_int(r, 2) ? a : b, r);
        shade(e->cr, &p);
        cairo_restore(e->cr);
    }
}

/* ---- objects ----------------------------------------------------------------------------------------------------- */

static Pose any_pose(Easel *e)
{
    Rng *r = &e->r;
    double size = exp(rng_uniform(r, log(hard.min_size), log(hard.max_size)));
    Pose p = { .radius = size * e->side / 2, .angle = rng_uniform(r, 0, 2 * PI), .squash = rng_uniform(r, 0.8, 1) };
    double margin = p.radius * (1 - hard.outside);
    p.x = rng_uniform(r, fmin(margin, e->w / 2.0), fmax(e->w - margin, e->w / 2.0));
    p.y = rng_uniform(r, fmin(margin, e->h / 2.0), fmax(e->h - margin, e->h / 2.0));
    return p;
}

static const uint8_t *draw_mask(Easel *e, const Pose *p, int cls, int *stride)
{
    cairo_set_operator(e->mask_cr, CAIRO_OPERATOR_CLEAR);
    cairo_paint(e->mask_cr);
    cairo_set_operator(e->mask_cr, CAIRO_OPERATOR_OVER);
    enter(e->mask_cr, p);
    shape_path(e->mask_cr, cls);
    cairo_restore(e->mask_cr);
    cairo_fill(e->mask_cr);
    cairo_surface_flush(e->mask);
    *stride = cairo_image_surface_get_stride(e->mask);
    return cairo_image_surface_get_data(e->mask);
}

/* Takes the place if nobody's visible part becomes too small by it. */
static bool take_place(Easel *e, const Pose *p, int cls)
{
    int stride, hidden[SYNTH_MAX_OBJECTS] = { 0 }, inside = 0;
    const uint8_t *mask = draw_mask(e, p, cls, &stride);
    for (int y = 0; y < e->h; y++)
        for (int x = 0; x < e->w; x++) {
            if (mask[(ptrdiff_t)y * stride + x] < 128) continue;
            inside++;
            if (e->owner[y * e->w + x]) hidden[e->owner[y * e->w + x] - 1]++;
        }
    for (int i = 0; i < e->n; i++)
        if (e->seen[i] - hidden[i] < hard.min_visible * e->area[i]) return false;
    for (int y = 0; y < e->h; y++)
        for (int x = 0; x < e->w; x++)
            if (mask[(ptrdiff_t)y * stride + x] >= 128) e->owner[y * e->w + x] = (uint8_t)(e->n + 1);
    for (int i = 0; i < e->n; i++)
        e->seen[i] -= hidden[i];
    e->area[e->n] = e->seen[e->n] = inside;
    e->cls[e->n++] = cls;
    return true;
}

static void draw_shadow(Easel *e, const Pose *p, int cls)
{
    for (int i = 0; i < 4; i++) {
        Pose s = *p;
        s.x += p->radius * 0.10, s.y += p->radius * 0.12, s.radius *= 0.96 + 0.05 * i;
        enter(e->cr, &s);
        shape_path(e->cr, cls);
        cairo_set_source_rgba(e->cr, 0, 0, 0, 0.11);
        cairo_fill(e->cr);
        cairo_restore(e->cr);
    }
}

static void draw_object(Easel *e, const Pose *p, int cls)
{
    Colour a, b;
    two_colours(&e->r, &a, &b);
    draw_shadow(e, p, cls);
    enter(e->cr, p);
    shape_path(e->cr, cls);
    cairo_clip(e->cr);
    cairo_save(e->cr);
    shape_texture(e->cr, cls, a, b, &e->r);
    cairo_restore(e->cr);
    cairo_save(e->cr);
    shade(e->cr, p);
    cairo_restore(e->cr);
    shape_path(e->cr, cls);
    cairo_set_line_width(e->cr, 0.1);
    cairo_set_source_rgba(e->cr, b.r * 0.5, b.g * 0.5, b.b * 0.5, 0.8);
    cairo_stroke(e->cr);
    cairo_restore(e->cr);
}

static void draw_objects(Easel *e, int classes)
{
    int want = hard.min_objects + (int)rng_int(&e->r, hard.max_objects - hard.min_objects + 1);
    for (int tries = 0; e->n < want && tries < 4 * want; tries++) {
        Pose p = any_pose(e);
        int cls = (int)rng_int(&e->r, classes);
        if (take_place(e, &p, cls)) draw_object(e, &p, cls);
    }
}

static void find_labels(const Easel *e, SynthPicture *out)
{
    int box[SYNTH_MAX_OBJECTS][4];
    for (int i = 0; i < e->n; i++)
        box[i][0] = e->w, box[i][1] = e->h, box[i][2] = box[i][3] = 0;
    for (int y = 0; y < e->h; y++)
        for (int x = 0; x < e->w; x++) {
            int i = e->owner[y * e->w + x] - 1;
            if (i < 0) continue;
            box[i][0] = MIN(box[i][0], x), box[i][2] = MAX(box[i][2], x + 1);
            box[i][1] = MIN(box[i][1], y), box[i][3] = MAX(box[i][3], y + 1);
        }
    for (int i = 0; i < e->n; i++)
        out->label[i] =
            (Label) { (float)e->cls[i], (float)(box[i][0] + box[i][2]) / 2 / (float)e->w,
                      (float)(box[i][1] + box[i][3]) / 2 / (float)e->h, (float)(box[i][2] - box[i][0]) / (float)e->w,
                      (float)(box[i][3] - box[i][1]) / (float)e->h };
    out->n_labels = e->n;
}

/* ---- camera ------------------------------------------------------------------------------------------------------ */

/* 1 2 1 both ways, in place. */
static void blur(Image *im, uint8_t *row)
{
    for (int pass = 0; pass < 2; pass++) {
        int n = pass ? im->h : im->w, lines = pass ? im->w : im->h;
        ptrdiff_t step = pass ? im->stride_bytes : 3, line_step = pass ? 3 : im->stride_bytes;
        for (int k = 0; k < lines; k++)
            for (int c = 0; c < 3; c++) {
                uint8_t *p = im->data + k * line_step + c;
                for (int i = 0; i < n; i++)
                    row[i] = p[i * step];
                for (int i = 0; i < n; i++)
                    p[i * step] = (uint8_t)((row[MAX(i - 1, 0)] + 2 * row[i] + row[MIN(i + 1, n - 1)] + 2) / 4);
            }
    }
}

/* Uneven light, then noise that is the sum of two even ones. */
static void light_and_noise(Easel *e, Image *im)
{
    Rng *r = &e->r;
    double angle = rng_uniform(r, 0, 2 * PI), depth = rng_uniform(r, 0, 0.45), level = rng_uniform(r, 0.75, 1.15);
    double warm = rng_uniform(r, -0.08, 0.08), noise = rng_uniform(r, 2, hard.noise);
    const double gain[3] = { 1 + warm, 1, 1 - warm };
    for (int y = 0; y < im->h; y++)
        for (int x = 0; x < im->w; x++) {
            double t = ((x - im->w / 2.0) * cos(angle) + (y - im->h / 2.0) * sin(angle)) / e->side;
            double light = level * (1 + depth * t * 2);
            uint64_t bits = rng_u64(r);
            for (int c = 0; c < 3; c++, bits >>= 20) {
                double n = ((double)(bits & 1023) + (double)(bits >> 10 & 1023) - 1023) / 1023 * noise;
                uint8_t *p = im->data + (ptrdiff_t)y * im->stride_bytes + 3 * x + c;
                *p = (uint8_t)CLAMP(*p * light * gain[c] + n + 0.5, 0, 255);
            }
        }
}

static Status photograph(Easel *e, SynthPicture *out, Error *err)
{
    TRY(image_new(&out->im, e->w, e->h, err));
    cairo_surface_flush(e->surface);
    for (int y = 0; y < e->h; y++) {
        uint8_t *to = out->im.data + (ptrdiff_t)y * out->im.stride_bytes;
        for (int x = 0; x < e->w; x++, to += 3) {
            uint32_t p = pixels(e->surface, y)[x];
            to[0] = (uint8_t)(p >> 16), to[1] = (uint8_t)(p >> 8), to[2] = (uint8_t)p;
        }
    }
    for (double u = rng_unit(&e->r); u < hard.blur; u += hard.blur / 2)
        blur(&out->im, e->owner); /* labels are found: the map is free */
    light_and_noise(e, &out->im);
    out->quality = 70 + (int)rng_int(&e->r, 26);
    return DYN_OK;
}

static Status paint(Easel *e, const SynthOptions *opt, SynthPicture *out, Field *fields, Error *err)
{
    draw_ground(e, fields);
    draw_clutter(e);
    draw_objects(e, opt->classes);
    if (cairo_status(e->cr) != CAIRO_STATUS_SUCCESS || cairo_status(e->mask_cr) != CAIRO_STATUS_SUCCESS)
        return fail(err, DYN_NOMEM, "drawing failed: %s", cairo_status_to_string(cairo_status(e->cr)));
    find_labels(e, out);
    return photograph(e, out, err);
}

Status synth_draw(const SynthOptions *opt, uint64_t split, int64_t index, SynthPicture *out, Error *err)
{
    static const double ratio[][2] = { { 1, 1 }, { 1, 0.75 }, { 0.75, 1 }, { 1, 0.67 } };
    Easel e = { .side = opt->imgsz, .r = rng_at(opt->seed, split, (uint64_t)index, rng_key("synth")) };
    const double *shape = ratio[rng_int(&e.r, COUNT_OF(ratio))];
    *out = (SynthPicture) { 0 };
    e.w = (int)(e.side * shape[0]), e.h = (int)(e.side * shape[1]);
    size_t bytes = (size_t)e.w * (size_t)e.h;
    Field *fields = mem_alloc(3 * sizeof *fields);
    e.owner = mem_alloc(bytes);
    e.surface = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, e.w, e.h);
    e.mask = cairo_image_surface_create(CAIRO_FORMAT_A8, e.w, e.h);
    e.cr = cairo_create(e.surface), e.mask_cr = cairo_create(e.mask);
    Status s = DYN_OK;
    if (!fields || !e.owner || cairo_status(e.cr) != CAIRO_STATUS_SUCCESS ||
        cairo_status(e.mask_cr) != CAIRO_STATUS_SUCCESS) {
        s = fail_nomem(err, bytes * 6);
    } else {
        memset(e.owner, 0, bytes);
        s = paint(&e, opt, out, fields, err);
    }
    cairo_destroy(e.cr), cairo_destroy(e.mask_cr);
    cairo_surface_destroy(e.surface), cairo_surface_destroy(e.mask);
    mem_free(fields), mem_free(e.owner);
    return s;
}
