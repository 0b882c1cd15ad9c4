/* SPDX-License-Identifier: Apache-2.0
 *
 * SGD with Nesterov momentum, coupled weight decay:
 *   g += decay p      m = momentum m + g      p -= lr (g + momentum m) */
#include "train/optim.h"

static void step(const OptimStep *s, OptimSpan x)
{
    const float lr = (float)s->lr, decay = (float)s->decay, momentum = (float)s->momentum, scale = s->scale;
    float *restrict m = x.state[0];
#pragma omp simd
    for (int64_t i = 0; i < x.n; i++) {
        float g = x.g[i] * scale + decay * x.p[i];
        m[i] = momentum * m[i] + g;
        x.p[i] -= lr * (g + momentum * m[i]);
    }
}

const OptimDef optim_sgd = {
    .name = "SGD", .doc = "gradient descent with Nesterov momentum", .n_state = 1, .warm_momentum = true, .step = step
};
