/* SPDX-License-Identifier: Apache-2.0
 *
 * Two samples blended (spec 6.3); the labels of both count in full. */
#include "data/augment.h"

#include <math.h>

/* Gamma(shape), shape >= 1 (Marsaglia, Tsang, 2000). */
static double gamma_draw(Rng *r, double shape)
{
    const double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = rng_normal(r), v = 1 + c * x;
        if (v <= 0) continue;
        v = v * v * v;
        if (log(1 - rng_unit(r)) < 0.5 * x * x + d - d * v + d * log(v)) return d * v;
    }
}

static void blend(Image *a, const Image *b, double share)
{
    for (int y = 0; y < a->h; y++) {
        uint8_t *p = a->data + (ptrdiff_t)y * a->stride_bytes;
        const uint8_t *q = b->data + (ptrdiff_t)y * b->stride_bytes;
        for (int x = 0; x < 3 * a->w; x++)
            p[x] = (uint8_t)(p[x] * share + q[x] * (1 - share));
    }
}

static Status apply(const AugmentContext *c, const double *value, Rng *r, Sample *s, Error *err)
{
    Sample partner;
    if (value[0] == 0 || !(rng_unit(r) <= value[0])) return DYN_OK;
    TRY(augment_partner(c, ORDER_MIXUP, rng_int(r, c->ds->n), s, &partner, err));
    double x = gamma_draw(r, 32), y = gamma_draw(r, 32);
    blend(&s->out, &partner.out, x / (x + y)); /* Beta(32, 32) */
    image_free(&partner.out);
    TRY(sample_reserve(s, partner.n_objects, err));
    for (int i = 0; i < partner.n_objects; i++)
        s->object[s->n_objects++] = partner.object[i];
    return DYN_OK;
}

static const AugmentParam param[] = { { "mixup", 0, 0, 1, "probability that another sample is blended in" } };
const AugmentDef augment_mixup = {
    .name = "mixup", .order = ORDER_MIXUP, .mixes = true, .param = param, .n_params = COUNT_OF(param), .apply = apply
};
