/* SPDX-License-Identifier: Apache-2.0
 *
 * Adamax: Adam with the infinity norm (Kingma and Ba 2015, section 7.1).
 *   u = max(b2 u, |g| + eps)      p -= lr / (1 - b1^t) * m / u */
#include "train/optim.h"

#include <math.h>

static void step(const OptimStep *s, OptimSpan x)
{
    const float rate = (float)(s->lr / (1 - pow(s->momentum, (double)s->t))), decay = (float)s->decay;
    const float keep_m = (float)s->momentum, take_m = (float)(1 - s->momentum), keep_u = 0.999f, eps = 1e-8f;
    const float scale = s->scale;
    float *restrict m = x.state[0], *restrict u = x.state[1];
#pragma omp simd
    for (int64_t i = 0; i < x.n; i++) {
        float g = x.g[i] * scale + decay * x.p[i], size = fabsf(g) + eps, old = keep_u * u[i];
        m[i] = keep_m * m[i] + take_m * g;
        u[i] = old > size ? old : size;
        x.p[i] -= rate * (m[i] / u[i]);
    }
}

const OptimDef optim_adamax = { .name = "Adamax", .doc = "Adam with the infinity norm", .n_state = 2, .step = step };
