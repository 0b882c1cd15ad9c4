/* SPDX-License-Identifier: Apache-2.0
 *
 * Hue, saturation and brightness (spec 6.5). */
#include "data/augment.h"

static Status apply(const AugmentContext *c, const double *value, Rng *r, Sample *s, Error *err)
{
    double g[3];
    HsvTables t;
    for (int k = 0; k < 3; k++)
        g[k] = rng_uniform(r, -1, 1) * value[k];
    if (value[0] == 0 && value[1] == 0 && value[2] == 0) return DYN_OK;
    hsv_tables(&t, g[0], g[1], g[2]);
    image_hsv(&s->out, &t);
    return DYN_OK;
}

static const AugmentParam param[] = {
    { "hsv_h", 0.015, 0, 1, "hue is shifted by up to this share of the circle" },
    { "hsv_s", 0.7, 0, 1, "saturation changes by up to this share" },
    { "hsv_v", 0.4, 0, 1, "brightness changes by up to this share" },
};
const AugmentDef augment_hsv = {
    .name = "hsv", .order = ORDER_HSV, .param = param, .n_params = COUNT_OF(param), .apply = apply
};
