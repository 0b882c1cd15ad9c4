/* SPDX-License-Identifier: Apache-2.0 */
#include "train/schedule.h"

#include <math.h>

double schedule_factor(const Schedule *s, int64_t epoch)
{
    const double pi = 3.14159265358979323846, at = (double)epoch / s->epochs;
    if (s->cosine) return (1 - cos(pi * at)) / 2 * (s->lrf - 1) + 1;
    return MAX(1 - at, 0) * (1 - s->lrf) + s->lrf;
}

int64_t schedule_warmup(const Schedule *s)
{
    if (!(s->warmup_epochs > 0)) return -1;
    return MAX((int64_t)nearbyint(s->warmup_epochs * (double)s->batches), 100);
}

int64_t schedule_accumulate(double batch, double nominal_batch)
{
    return MAX((int64_t)nearbyint(nominal_batch / batch), 1);
}

double schedule_decay(double weight_decay, double batch, double nominal_batch)
{
    return weight_decay * batch * (double)schedule_accumulate(batch, nominal_batch) / nominal_batch;
}

StepPlan schedule_at(const Schedule *s, int64_t epoch, int64_t i)
{
    int64_t warmup = schedule_warmup(s);
    double lr = s->lr0 * schedule_factor(s, epoch);
    StepPlan p = { { lr, lr, lr }, s->momentum, schedule_accumulate(s->batch, s->nominal_batch) };
    if (i > warmup) return p;
    double part = (double)i / (double)warmup;
    for (int g = 0; g < N_GROUP; g++) {
        double from = g == GROUP_BIAS ? s->warmup_bias_lr : 0;
        p.lr[g] = from + (lr - from) * part;
    }
    if (s->warm_momentum) p.momentum = s->warmup_momentum + (s->momentum - s->warmup_momentum) * part;
    p.accumulate = MAX((int64_t)nearbyint(1 + (s->nominal_batch / s->batch - 1) * part), 1);
    return p;
}

double schedule_scheduled(const Schedule *run, const ScheduleSpec *s, int64_t epoch, int64_t i)
{
    if (s->step > 0) return MAX(s->start - s->step * (double)epoch, s->end);
    double total = s->epochs * (double)run->batches;
    return s->end + (s->start - s->end) * (total > 0 ? MAX(1 - (double)i / total, 0) : 1);
}

bool stopper_update(Stopper *s, int64_t epoch, double fitness)
{
    if (fitness > s->best || s->best == 0) {
        s->best = fitness;
        s->best_epoch = epoch;
    }
    return s->patience > 0 && epoch - s->best_epoch >= s->patience;
}
