/* SPDX-License-Identifier: Apache-2.0
 *
 * NAdam (Dozat 2016): Adam with Nesterov momentum whose schedule is mu_t = b1 (1 - 0.5 * 0.96^(0.004 t)). */
#include "train/optim.h"

#include <math.h>

static double mu(double momentum, int64_t t)
{
    return momentum * (1 - 0.5 * pow(0.96, 0.004 * (double)t));
}

static void step(const OptimStep *s, OptimSpan x)
{
    const double b2 = 0.999, next = mu(s->momentum, s->t + 1);
    const float rate_g = (float)(s->lr * (1 - mu(s->momentum, s->t)) / (1 - s->product));
    const float rate_m = (float)(s->lr * next / (1 - s->product * next));
    const float c2 = (float)(1 - pow(b2, (double)s->t)), decay = (float)s->decay, eps = 1e-8f;
    const float keep_m = (float)s->momentum, take_m = (float)(1 - s->momentum);
    const float keep_v = (float)b2, take_v = (float)(1 - b2), scale = s->scale;
    float *restrict m = x.state[0], *restrict v = x.state[1];
#pragma omp simd
    for (int64_t i = 0; i < x.n; i++) {
        float g = x.g[i] * scale + decay * x.p[i];
        m[i] = keep_m * m[i] + take_m * g;
        v[i] = keep_v * v[i] + take_v * g * g;
        x.p[i] -= (rate_g * g + rate_m * m[i]) / (sqrtf(v[i] / c2) + eps);
    }
}

const OptimDef optim_nadam = {
    .name = "NAdam", .doc = "Adam with Nesterov momentum", .n_state = 2, .product = mu, .step = step
};
