/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of transforms, made from the folder augment/, their numbers, and the run of a sample through them. */
#include "data/augment.h"

#include <string.h>

#define X(name) extern const AugmentDef augment_##name;
#include <data_augment.gen.h>
#undef X

static const AugmentDef *const table[] = {
#define X(name) &augment_##name,
#include <data_augment.gen.h>
#undef X
};

int augment_param_count(void)
{
    int n = 0;
    for (size_t i = 0; i < COUNT_OF(table); i++)
        n += table[i]->n_params;
    return n;
}

const AugmentParam *augment_param_at(int i)
{
    for (size_t t = 0; i >= 0 && t < COUNT_OF(table); i -= table[t++]->n_params)
        if (i < table[t]->n_params) return &table[t]->param[i];
    return NULL;
}

int augment_param_find(const char *name)
{
    for (int i = 0, n = augment_param_count(); i < n; i++)
        if (str_eq(augment_param_at(i)->name, name)) return i;
    return -1;
}

AugmentOptions augment_defaults(void)
{
    AugmentOptions o = { 0 };
    _Static_assert(COUNT_OF(table) < AUGMENT_MAX_PARAMS, "room for the parameters");
    for (int i = 0, n = augment_param_count(); i < n && i < AUGMENT_MAX_PARAMS; i++)
        o.value[i] = augment_param_at(i)->def;
    return o;
}

Status augment_set(AugmentOptions *o, const char *name, double value, Error *err)
{
    int i = augment_param_find(name);
    if (i < 0) return fail(err, DYN_USAGE, "'%s' is not a parameter of the augmentation", name);
    const AugmentParam *p = augment_param_at(i);
    if (!(value >= p->min && value <= p->max))
        return fail(err, DYN_USAGE, "%s is %g; %g to %g is accepted", name, value, p->min, p->max);
    o->value[i] = value;
    return DYN_OK;
}

/* The picture alone, letterboxed: what the transforms find when there is no mosaic. */
static Status one_picture(const AugmentContext *c, Sample *s, Error *err)
{
    Image im, owned, resized;
    LetterboxPlan p;
    Letterbox lb = LETTERBOX(c->w, c->h);
    s->canvas_w = c->w, s->canvas_h = c->h;
    TRY(picture_get(c->source, s->index, &im, &owned, err));
    Status status = letterbox_plan(&lb, im.w, im.h, &p, err);
    float w = (float)(im.w * p.ratio_w), h = (float)(im.h * p.ratio_h);
    if (status == DYN_OK && (p.w != im.w || p.h != im.h)) {
        status = image_resize(&im, p.w, p.h, &resized, err);
        image_free(&owned);
        if (status == DYN_OK) im = owned = resized;
    }
    if (status != DYN_OK) {
        image_free(&owned);
        return status;
    }
    sample_add_patch(s, &im, &owned, 0, 0, im.w, im.h, p.left, p.top);
    return sample_add_labels(s, &c->ds->item[s->index], w, h, (float)p.left, (float)p.top, err);
}

static Status apply_order(const AugmentContext *c, int order, Sample *s, Error *err)
{
    for (size_t t = 0, at = 0; t < COUNT_OF(table); at += (size_t)table[t++]->n_params) {
        const AugmentDef *d = table[t];
        if (d->order != order || (d->mixes && !c->mix)) continue;
        Rng r = rng_at(c->seed, c->epoch, (uint64_t)s->index, rng_key(d->name) + c->stream);
        TRY(d->apply(c, c->opt->value + at, &r, s, err));
    }
    return DYN_OK;
}

Status augment_run(const AugmentContext *c, int before, Sample *s, Error *err)
{
    TRY(apply_order(c, ORDER_MOSAIC, s, err));
    if (!s->n_patches) TRY(one_picture(c, s, err));
    for (int order = ORDER_MOSAIC + 1; order < before; order++)
        TRY(apply_order(c, order, s, err));
    return DYN_OK;
}

Status augment_partner(const AugmentContext *c, int before, int64_t index, const Sample *s, Sample *partner, Error *err)
{
    AugmentContext own = *c;
    /* The same picture may be partner of several samples, and of one sample twice: each time another draw. */
    own.stream = rng_key("partner") + (uint64_t)s->index * 0x9e3779b97f4a7c15u + (uint64_t)s->n_objects;
    *partner = (Sample) { .index = index, .a = s->a };
    TRY(image_new(&partner->out, s->out.w, s->out.h, err));
    Status status = augment_run(&own, before, partner, err);
    sample_release(partner);
    if (status != DYN_OK) image_free(&partner->out);
    return status;
}
