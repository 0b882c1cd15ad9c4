/* SPDX-License-Identifier: Apache-2.0
 *
 * Red and blue change places (spec 5.9). */
#include "data/augment.h"

static Status apply(const AugmentContext *c, const double *value, Rng *r, Sample *s, Error *err)
{
    if (value[0] == 0 || !(rng_unit(r) <= value[0])) return DYN_OK;
    for (int y = 0; y < s->out.h; y++) {
        uint8_t *p = s->out.data + (ptrdiff_t)y * s->out.stride_bytes;
        for (int x = 0; x < s->out.w; x++, p += 3) {
            uint8_t red = p[0];
            p[0] = p[2], p[2] = red;
        }
    }
    return DYN_OK;
}

static const AugmentParam param[] = { { "bgr", 0, 0, 1, "probability that red and blue change places" } };
const AugmentDef augment_bgr = {
    .name = "bgr", .order = ORDER_BGR, .param = param, .n_params = COUNT_OF(param), .apply = apply
};
