/* SPDX-License-Identifier: Apache-2.0
 *
 * Adam (Kingma and Ba 2015), weight decay added to the gradient. */
#include "train/optim.h"

#include <math.h>

static void step(const OptimStep *s, OptimSpan x)
{
    const double b2 = 0.999, c1 = 1 - pow(s->momentum, (double)s->t), c2 = 1 - pow(b2, (double)s->t);
    const float rate = (float)(s->lr / c1), decay = (float)s->decay, root = (float)sqrt(c2), eps = 1e-8f;
    const float keep_m = (float)s->momentum, take_m = (float)(1 - s->momentum);
    const float keep_v = (float)b2, take_v = (float)(1 - b2), scale = s->scale;
    float *restrict m = x.state[0], *restrict v = x.state[1];
#pragma omp simd
    for (int64_t i = 0; i < x.n; i++) {
        float g = x.g[i] * scale + decay * x.p[i];
        m[i] = keep_m * m[i] + take_m * g;
        v[i] = keep_v * v[i] + take_v * g * g;
        x.p[i] -= rate * (m[i] / (sqrtf(v[i]) / root + eps));
    }
}

const OptimDef optim_adam = { .name = "Adam", .doc = "adaptive moments", .n_state = 2, .step = step };
