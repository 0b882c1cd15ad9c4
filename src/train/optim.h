/* SPDX-License-Identifier: Apache-2.0
 *
 * optim - optimisers over flat slabs. One file per optimiser under optim/, each an `const OptimDef optim_NAME`; the
 * folder is the registry. Semantics are PyTorch's (spec 7.5), which the tests hold them to.
 *
 * A slab is cut into runs: neighbouring trainable parameters of one group. A step walks the runs once. */
#ifndef TRAIN_OPTIM_H
#define TRAIN_OPTIM_H

#include "graph/graph.h"

/* Parameter groups in the order of the columns lr/pg0, lr/pg1, lr/pg2 (classic: reference up to 8.3). */
typedef enum ParamGroup { GROUP_BIAS, GROUP_WEIGHT, GROUP_NORM, N_GROUP } ParamGroup;

enum { OPTIM_MAX_STATE = 2 };

/* What one step knows besides the numbers of a parameter. */
typedef struct OptimStep {
    double lr, decay, momentum; /* of the group */
    float scale;                /* gradients are multiplied by it first: clipping */
    int64_t t;                  /* 1 in the first step */
    double product;             /* OptimDef.product over the steps so far, this one included; 1 without */
} OptimStep;

/* p, g and the states of n neighbouring parameters. */
typedef struct OptimSpan {
    float *restrict p;
    const float *restrict g;
    float *restrict state[OPTIM_MAX_STATE]; /* zero before the first step */
    int64_t n;
} OptimSpan;

typedef struct OptimDef {
    const char *name; /* as users write it: "SGD"; compared without case */
    const char *doc;
    int n_state;
    bool warm_momentum; /* its momentum is called momentum and takes part in the warm-up; else it is Adam's beta1 */
    /* A factor of step t whose product over all steps it needs (NAdam's momentum schedule); NULL mostly. */
    double (*product)(double momentum, int64_t t);
    void (*step)(const OptimStep *s, OptimSpan x);
} OptimDef;

int optims_count(void);
const OptimDef *optims_at(int i);
/* NULL when there is none; "auto" is not one, see optim_auto. */
const OptimDef *optims_find(const char *name);

/* The rule of optimizer=auto (classic): long runs (more than 10000 iterations) take SGD, short ones AdamW with a rate
 * fitted to the number of classes. Its warmup_bias_lr is 0. */
typedef struct OptimChoice {
    const char *name;
    double lr, momentum;
} OptimChoice;
OptimChoice optim_auto(int64_t nc, int64_t iterations);

typedef struct OptimRun {
    int64_t offset, n;
    ParamGroup group;
} OptimRun;

typedef struct Optim {
    const OptimDef *def;
    OptimRun *run;
    int n_run;
    Slab state[OPTIM_MAX_STATE]; /* saved with checkpoints */
    int64_t t;                   /* steps taken; saved */
    double product;              /* saved */
    double decay;                /* of GROUP_WEIGHT; the others have none */
    double *partial;             /* room for the sums of optim_norm */
    int64_t n_partial;
} Optim;

/* For the trainable parameters of g as they are now. */
Status optim_new(const OptimDef *def, const Graph *g, double decay, Optim **out, Error *err);
void optim_free(Optim **o);

/* L2 norm over the gradients of all trainable parameters. In double, the same bits for any number of threads. */
double optim_norm(const Optim *o, const Slab *grads);
/* The factor that clips a gradient of this norm to max_norm, as PyTorch's clip_grad_norm_: max / (norm + 1e-6), at
 * most 1. */
float optim_clip(double norm, double max_norm);
/* One step with a learning rate per group. */
void optim_step(Optim *o, const Slab *params, const Slab *grads, const double lr[N_GROUP], double momentum,
                float scale);

/* ema += (1 - d) (model - ema) over the whole slab, states included; what is equal (scheduled parameters) stays equal.
 * u: updates so far, this one included; d = 0.9999 (1 - exp(-u / 2000)). */
double ema_decay(int64_t u);
void ema_update(const Slab *ema, const Slab *model, int64_t u);
/* sum += x, or sum = x for the first. */
void slab_accumulate(const Slab *sum, const Slab *x, bool first);

#endif
