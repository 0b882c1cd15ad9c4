/* SPDX-License-Identifier: Apache-2.0
 *
 * RMSProp with momentum: v = 0.99 v + 0.01 g^2      m = momentum m + g / (sqrt(v) + eps)      p -= lr m */
#include "train/optim.h"

#include <math.h>

static void step(const OptimStep *s, OptimSpan x)
{
    const float lr = (float)s->lr, decay = (float)s->decay, momentum = (float)s->momentum, scale = s->scale;
    const float keep_v = 0.99f, take_v = (float)(1 - 0.99), eps = 1e-8f;
    float *restrict m = x.state[0], *restrict v = x.state[1];
#pragma omp simd
    for (int64_t i = 0; i < x.n; i++) {
        float g = x.g[i] * scale + decay * x.p[i];
        v[i] = keep_v * v[i] + take_v * g * g;
        m[i] = momentum * m[i] + g / (sqrtf(v[i]) + eps);
        x.p[i] -= lr * m[i];
    }
}

const OptimDef optim_rmsprop = {
    .name = "RMSProp", .doc = "gradients over their running size", .n_state = 2, .warm_momentum = true, .step = step
};
