/* SPDX-License-Identifier: Apache-2.0
 *
 * RAdam (Liu et al. 2020): the adaptive rate is used once its variance can be estimated (rho > 5), rectified. */
#include "train/optim.h"

#include <math.h>

static void step(const OptimStep *s, OptimSpan x)
{
    const double b2 = 0.999, t = (double)s->t, c1 = 1 - pow(s->momentum, t), c2 = 1 - pow(b2, t);
    const double limit = 2 / (1 - b2) - 1, rho = limit - 2 * t * pow(b2, t) / c2;
    const double rect = sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho));
    const bool adaptive = rho > 5;
    const float rate = (float)(s->lr / c1 * (adaptive ? rect * sqrt(c2) : 1)), decay = (float)s->decay;
    const float keep_m = (float)s->momentum, take_m = (float)(1 - s->momentum), eps = 1e-8f;
    const float keep_v = (float)b2, take_v = (float)(1 - b2), scale = s->scale;
    float *restrict m = x.state[0], *restrict v = x.state[1];
#pragma omp simd
    for (int64_t i = 0; i < x.n; i++) {
        float g = x.g[i] * scale + decay * x.p[i];
        m[i] = keep_m * m[i] + take_m * g;
        v[i] = keep_v * v[i] + take_v * g * g;
        float size = adaptive ? sqrtf(v[i]) + eps : 1;
        x.p[i] -= rate * (m[i] / size);
    }
}

const OptimDef optim_radam = { .name = "RAdam", .doc = "rectified Adam", .n_state = 2, .step = step };
