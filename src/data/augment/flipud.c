/* SPDX-License-Identifier: Apache-2.0
 *
 * Upside down (spec 6.6). */
#include "data/augment.h"

static Status apply(const AugmentContext *c, const double *value, Rng *r, Sample *s, Error *err)
{
    if (!(rng_unit(r) < value[0])) return DYN_OK;
    image_flip_ud(&s->out);
    for (int i = 0; i < s->n_objects; i++) {
        float y1 = s->object[i].y1;
        s->object[i].y1 = (float)c->h - s->object[i].y2, s->object[i].y2 = (float)c->h - y1;
    }
    return DYN_OK;
}

static const AugmentParam param[] = { { "flipud", 0, 0, 1, "probability of a flip upside down" } };
const AugmentDef augment_flipud = {
    .name = "flipud", .order = ORDER_FLIPUD, .param = param, .n_params = COUNT_OF(param), .apply = apply
};
