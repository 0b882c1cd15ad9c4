/* SPDX-License-Identifier: Apache-2.0
 *
 * Left to right (spec 6.6). */
#include "data/augment.h"

static Status apply(const AugmentContext *c, const double *value, Rng *r, Sample *s, Error *err)
{
    if (!(rng_unit(r) < value[0])) return DYN_OK;
    image_flip_lr(&s->out);
    for (int i = 0; i < s->n_objects; i++) {
        float x1 = s->object[i].x1;
        s->object[i].x1 = (float)c->w - s->object[i].x2, s->object[i].x2 = (float)c->w - x1;
    }
    return DYN_OK;
}

static const AugmentParam param[] = { { "fliplr", 0.5, 0, 1, "probability of a flip left to right" } };
const AugmentDef augment_fliplr = {
    .name = "fliplr", .order = ORDER_FLIPLR, .param = param, .n_params = COUNT_OF(param), .apply = apply
};
