/* SPDX-License-Identifier: Apache-2.0
 *
 * AdamW (Loshchilov and Hutter 2019): Adam whose weight decay acts on the parameter itself.
 *   p *= 1 - lr decay      m = b1 m + (1-b1) g      v = b2 v + (1-b2) g^2
 *   p -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps) */
#include "train/optim.h"

#include <math.h>

static void step(const OptimStep *s, OptimSpan x)
{
    const double b2 = 0.999, c1 = 1 - pow(s->momentum, (double)s->t), c2 = 1 - pow(b2, (double)s->t);
    const float rate = (float)(s->lr / c1), keep = (float)(1 - s->lr * s->decay), root = (float)sqrt(c2), eps = 1e-8f;
    const float keep_m = (float)s->momentum, take_m = (float)(1 - s->momentum);
    const float keep_v = (float)b2, take_v = (float)(1 - b2), scale = s->scale;
    float *restrict m = x.state[0], *restrict v = x.state[1];
#pragma omp simd
    for (int64_t i = 0; i < x.n; i++) {
        float g = x.g[i] * scale;
        m[i] = keep_m * m[i] + take_m * g;
        v[i] = keep_v * v[i] + take_v * g * g;
        x.p[i] = x.p[i] * keep - rate * (m[i] / (sqrtf(v[i]) / root + eps));
    }
}

const OptimDef optim_adamw = { .name = "AdamW", .doc = "Adam with decoupled weight decay", .n_state = 2, .step = step };
