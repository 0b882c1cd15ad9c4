/* SPDX-License-Identifier: Apache-2.0
 *
 * Four pictures around a random centre on a canvas of twice the size (spec 6.1). Partners are drawn uniformly from the
 * whole data set, with replacement: the reference does so when it caches in memory, else from what a worker happened to
 * load lately, which would make samples depend on the number of workers. */
#include "data/augment.h"

/* Where a picture of w x h pixels comes to lie: the window of it that is on the canvas, and where. */
typedef struct Window {
    int x, y, w, h, to_x, to_y;
} Window;

static Window quadrant(int k, int xc, int yc, int size, int w, int h)
{
    bool left = k % 2 == 0, above = k < 2;
    Window q = { .w = MIN(w, left ? xc : size - xc), .h = MIN(h, above ? yc : size - yc) };
    q.to_x = left ? xc - q.w : xc, q.to_y = above ? yc - q.h : yc;
    q.x = left ? w - q.w : 0, q.y = above ? h - q.h : 0;
    return q;
}

static Status add(const AugmentContext *c, int64_t index, int k, int xc, int yc, Sample *s, Error *err)
{
    Image im, owned;
    TRY(picture_get(c->source, index, &im, &owned, err));
    Window q = quadrant(k, xc, yc, s->canvas_w, im.w, im.h);
    sample_add_patch(s, &im, &owned, q.x, q.y, q.w, q.h, q.to_x, q.to_y);
    return sample_add_labels(s, &c->ds->item[index], (float)im.w, (float)im.h, (float)(q.to_x - q.x),
                             (float)(q.to_y - q.y), err);
}

static Status apply(const AugmentContext *c, const double *value, Rng *r, Sample *s, Error *err)
{
    const double side = c->imgsz;
    int64_t index[4] = { s->index };
    if (!(rng_unit(r) <= value[0])) return DYN_OK;
    for (int k = 1; k < 4; k++)
        index[k] = rng_int(r, c->ds->n);
    int yc = (int)rng_uniform(r, side / 2, side * 3 / 2), xc = (int)rng_uniform(r, side / 2, side * 3 / 2);
    s->canvas_w = s->canvas_h = 2 * c->imgsz;
    s->cut = true;
    for (int k = 0; k < 4; k++)
        TRY(add(c, index[k], k, xc, yc, s, err));
    int kept = 0;
    for (int i = 0; i < s->n_objects; i++) {
        Object *o = &s->object[i];
        object_clip(o, (float)s->canvas_w, (float)s->canvas_h);
        if (o->x2 > o->x1 && o->y2 > o->y1) s->object[kept++] = *o;
    }
    s->n_objects = kept;
    return DYN_OK;
}

static const AugmentParam param[] = { { "mosaic", 1, 0, 1, "probability of a mosaic of four pictures" } };
const AugmentDef augment_mosaic = {
    .name = "mosaic", .order = ORDER_MOSAIC, .mixes = true, .param = param, .n_params = COUNT_OF(param), .apply = apply
};
