/* SPDX-License-Identifier: Apache-2.0
 *
 * A rectangle of another sample pasted where no object is (spec 6.4). */
#include "data/augment.h"

#include <math.h>
#include <string.h>

enum { TRIES = 3 };
static const float LEAST = 0.1f, LEAST_OUTLINED = 0.01f; /* share of a box that must be in the rectangle */

typedef struct Rect {
    int x1, y1, x2, y2;
} Rect;

/* Beta(1, 1) is the even distribution. */
static Rect draw_rect(Rng *r, int w, int h)
{
    double side = sqrt(1 - rng_unit(r));
    int cut_w = (int)(w * side), cut_h = (int)(h * side), x = (int)rng_int(r, w), y = (int)rng_int(r, h);
    return (Rect) { CLAMP(x - cut_w / 2, 0, w), CLAMP(y - cut_h / 2, 0, h), CLAMP(x + cut_w / 2, 0, w),
                    CLAMP(y + cut_h / 2, 0, h) };
}

static float area_in(const Object *o, const Rect *q)
{
    float w = fminf(o->x2, (float)q->x2) - fmaxf(o->x1, (float)q->x1);
    float h = fminf(o->y2, (float)q->y2) - fmaxf(o->y1, (float)q->y1);
    return w > 0 && h > 0 ? w * h : 0;
}

static bool is_free(const Sample *s, const Rect *q)
{
    for (int i = 0; i < s->n_objects; i++)
        if (area_in(&s->object[i], q) > 0) return false;
    return q->x2 > q->x1 && q->y2 > q->y1;
}

static Status paste(const AugmentContext *c, const Rect *q, const Sample *from, Sample *s, Error *err)
{
    const float least = c->ds->polygons ? LEAST_OUTLINED : LEAST;
    int before = s->n_objects;
    TRY(sample_reserve(s, from->n_objects, err));
    for (int i = 0; i < from->n_objects; i++) {
        Object o = from->object[i];
        if (!(area_in(&o, q) / ((o.x2 - o.x1) * (o.y2 - o.y1)) >= least)) continue;
        o.x1 = fmaxf(o.x1, (float)q->x1), o.x2 = fminf(o.x2, (float)q->x2);
        o.y1 = fmaxf(o.y1, (float)q->y1), o.y2 = fminf(o.y2, (float)q->y2);
        s->object[s->n_objects++] = o;
    }
    if (s->n_objects == before) return DYN_OK;
    for (int y = q->y1; y < q->y2; y++) {
        size_t at = (size_t)y * (size_t)s->out.stride_bytes + 3 * (size_t)q->x1;
        memcpy(s->out.data + at, from->out.data + at, 3 * (size_t)(q->x2 - q->x1));
    }
    return DYN_OK;
}

static Status apply(const AugmentContext *c, const double *value, Rng *r, Sample *s, Error *err)
{
    Rect free_rect[TRIES];
    int n = 0;
    if (value[0] == 0 || !(rng_unit(r) <= value[0])) return DYN_OK;
    int64_t index = rng_int(r, c->ds->n);
    for (int i = 0; i < TRIES; i++) {
        free_rect[n] = draw_rect(r, s->out.w, s->out.h);
        n += is_free(s, &free_rect[n]);
    }
    if (!n) return DYN_OK;
    Sample partner;
    TRY(augment_partner(c, ORDER_MIXUP, index, s, &partner, err));
    Status status = paste(c, &free_rect[rng_int(r, n)], &partner, s, err);
    image_free(&partner.out);
    return status;
}

static const AugmentParam param[] = { { "cutmix", 0, 0, 1,
                                        "probability that a rectangle of another sample is pasted" } };
const AugmentDef augment_cutmix = {
    .name = "cutmix", .order = ORDER_CUTMIX, .mixes = true, .param = param, .n_params = COUNT_OF(param), .apply = apply
};
