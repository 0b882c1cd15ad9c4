/* SPDX-License-Identifier: Apache-2.0
 *
 * Rotation, scale, shear, shift and perspective (spec 6.2), in one warp from the patches of the canvas to the sample.
 * M = T S R P C, right-most first: centre to the origin, perspective, rotation with scale, shear, shift. Boxes follow
 * as the hull of their corners, or of their outline where the data set has polygons; those of which little is left go.
 */
#include "data/augment.h"

#include <math.h>
#include <string.h>

enum { DEGREES, TRANSLATE, SCALE, SHEAR, PERSPECTIVE, OUTLINE_POINTS = 1000 };
static const double PI = 3.14159265358979323846;

static void multiply(const double a[9], double b[9]) /* b = a b */
{
    double y[9];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            y[3 * i + j] = a[3 * i] * b[j] + a[3 * i + 1] * b[3 + j] + a[3 * i + 2] * b[6 + j];
    memcpy(b, y, sizeof y);
}

/* Returns the scale. */
static double draw_matrix(const AugmentContext *c, const double *v, Rng *r, const Sample *s, double M[9])
{
    double px = rng_uniform(r, -v[PERSPECTIVE], v[PERSPECTIVE]), py = rng_uniform(r, -v[PERSPECTIVE], v[PERSPECTIVE]);
    double angle = rng_uniform(r, -v[DEGREES], v[DEGREES]) * PI / 180;
    double scale = rng_uniform(r, 1 - v[SCALE], 1 + v[SCALE]);
    double shear_x = tan(rng_uniform(r, -v[SHEAR], v[SHEAR]) * PI / 180);
    double shear_y = tan(rng_uniform(r, -v[SHEAR], v[SHEAR]) * PI / 180);
    double tx = rng_uniform(r, 0.5 - v[TRANSLATE], 0.5 + v[TRANSLATE]) * c->w;
    double ty = rng_uniform(r, 0.5 - v[TRANSLATE], 0.5 + v[TRANSLATE]) * c->h;
    const double centre[9] = { 1, 0, -s->canvas_w / 2.0, 0, 1, -s->canvas_h / 2.0, 0, 0, 1 };
    const double lens[9] = { 1, 0, 0, 0, 1, 0, px, py, 1 };
    const double co = scale * cos(angle), si = scale * sin(angle);
    const double turn[9] = { co, si, 0, -si, co, 0, 0, 0, 1 };
    const double shear[9] = { 1, shear_x, 0, shear_y, 1, 0, 0, 0, 1 };
    const double shift[9] = { 1, 0, tx, 0, 1, ty, 0, 0, 1 };
    memcpy(M, centre, sizeof centre);
    multiply(lens, M);
    multiply(turn, M);
    multiply(shear, M);
    multiply(shift, M);
    return scale;
}

/* A perspective needs the canvas as pixels. */
static Status warp_canvas(const Sample *s, const double M[9], Image *out, Error *err)
{
    Image canvas;
    TRY(image_new(&canvas, s->canvas_w, s->canvas_h, err));
    image_fill(&canvas, IMAGE_PAD);
    for (int i = 0; i < s->n_patches; i++) {
        const ImagePatch *p = &s->patch[i];
        for (int y = 0; y < p->im.h; y++)
            memcpy(canvas.data + (ptrdiff_t)(p->y + y) * canvas.stride_bytes + 3 * (ptrdiff_t)p->x,
                   p->im.data + (ptrdiff_t)y * p->im.stride_bytes, 3 * (size_t)p->im.w);
    }
    Status status = image_warp_perspective(&canvas, M, IMAGE_PAD, out, err);
    image_free(&canvas);
    return status;
}

static void map_point(const double M[9], double x, double y, float to[2])
{
    double w = M[6] * x + M[7] * y + M[8];
    to[0] = (float)((M[0] * x + M[1] * y + M[2]) / w), to[1] = (float)((M[3] * x + M[4] * y + M[5]) / w);
}

/* Smallest box around points. */
typedef struct Hull {
    float x1, y1, x2, y2;
} Hull;
static const Hull no_hull = { INFINITY, INFINITY, -INFINITY, -INFINITY };

static void hull_add(Hull *h, const float p[2])
{
    h->x1 = fminf(h->x1, p[0]), h->x2 = fmaxf(h->x2, p[0]);
    h->y1 = fminf(h->y1, p[1]), h->y2 = fmaxf(h->y2, p[1]);
}

static Hull map_corners(const double M[9], const Object *o)
{
    Hull h = no_hull;
    for (int k = 0; k < 4; k++) {
        float p[2];
        map_point(M, (double)(k & 1 ? o->x2 : o->x1), (double)(k & 2 ? o->y2 : o->y1), p);
        hull_add(&h, p);
    }
    return h;
}

/* Point i of an outline of `of` points in all: its own points first (the first one again at the end), then points
 * evenly spaced along the index. */
static void outline_point(const Object *o, int i, int of, double p[2])
{
    int n = o->n_points + 1, more = of < n ? 0 : of - n;
    double t = i < n ? i : more > 1 ? (double)(i - n) * (n - 1) / (more - 1) : 0;
    int k = MIN((int)t, n - 2), next = (k + 1) % o->n_points;
    for (int c = 0; c < 2; c++)
        p[c] = (double)o->point[k][c] + (t - k) * ((double)o->point[next][c] - (double)o->point[k][c]);
}

/* Box of the part of the outline that is strictly inside the sample; an outline that leaves on three sides is clamped
 * first, so that a large object keeps its box. All zero when nothing is inside. */
static Hull map_outline(const AugmentContext *c, const double M[9], const Sample *s, const Object *o)
{
    const float w = (float)c->w, h = (float)c->h;
    int of = MAX(OUTLINE_POINTS, o->n_points + 1);
    Hull all = no_hull, in = no_hull;
    for (int pass = 0; pass < 2; pass++) {
        bool clamp = (all.x1 < 0) + (all.y1 < 0) + (all.x2 > w) + (all.y2 > h) >= 3;
        for (int i = 0; i < of; i++) {
            double p[2];
            float q[2];
            outline_point(o, i, of, p);
            if (s->cut) p[0] = CLAMP(p[0], 0, s->canvas_w), p[1] = CLAMP(p[1], 0, s->canvas_h);
            map_point(M, p[0], p[1], q);
            if (clamp) q[0] = CLAMP(q[0], 0, w), q[1] = CLAMP(q[1], 0, h);
            if (pass == 0)
                hull_add(&all, q);
            else if (q[0] > 0 && q[1] > 0 && q[0] < w && q[1] < h)
                hull_add(&in, q);
        }
    }
    return in.x1 <= in.x2 ? in : (Hull) { 0 };
}

/* before: the object's box times the scale. */
static bool is_left(float before_w, float before_h, const Object *o, float threshold)
{
    const float tiny = 1e-16f, w = o->x2 - o->x1, h = o->y2 - o->y1;
    float slimness = fmaxf(w / (h + tiny), h / (w + tiny));
    return w > 2 && h > 2 && w * h / (before_w * before_h + tiny) > threshold && slimness < 100;
}

static void map_objects(const AugmentContext *c, const double M[9], float scale, Sample *s)
{
    int kept = 0;
    for (int i = 0; i < s->n_objects; i++) {
        Object o = s->object[i];
        float w = (o.x2 - o.x1) * scale, h = (o.y2 - o.y1) * scale;
        Hull hull = o.point ? map_outline(c, M, s, &o) : map_corners(M, &o);
        float threshold = o.point ? 0.01f : 0.1f;
        o = (Object) { .cls = o.cls, .x1 = hull.x1, .y1 = hull.y1, .x2 = hull.x2, .y2 = hull.y2 };
        object_clip(&o, (float)c->w, (float)c->h);
        if (is_left(w, h, &o, threshold)) s->object[kept++] = o;
    }
    s->n_objects = kept;
}

static Status apply(const AugmentContext *c, const double *value, Rng *r, Sample *s, Error *err)
{
    double M[9];
    double scale = draw_matrix(c, value, r, s, M);
    if (value[PERSPECTIVE] != 0)
        TRY(warp_canvas(s, M, &s->out, err));
    else
        TRY(image_warp_patches(s->patch, s->n_patches, M, IMAGE_PAD, &s->out, err));
    map_objects(c, M, (float)scale, s);
    return DYN_OK;
}

static const AugmentParam param[] = {
    [DEGREES] = { "degrees", 0, 0, 180, "rotation by up to so many degrees" },
    [TRANSLATE] = { "translate", 0.1, 0, 1, "shift by up to this share of the size" },
    [SCALE] = { "scale", 0.5, 0, 1, "scale changes by up to this share" },
    [SHEAR] = { "shear", 0, 0, 89, "shear by up to so many degrees" },
    [PERSPECTIVE] = { "perspective", 0, 0, 0.001, "tilt by up to so much per pixel" },
};
const AugmentDef augment_affine = {
    .name = "affine", .order = ORDER_AFFINE, .param = param, .n_params = COUNT_OF(param), .apply = apply
};
