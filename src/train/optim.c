/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs of parameters, clipping, the step that hands spans to an optimiser, and the moving average. All loops are
 * element by element or sums in a fixed order, so that results do not depend on the number of threads. */
#include "train/optim.h"

#include "base/flush.h"

#include <math.h>
#include <strings.h>

/* Elements that one thread takes at a time; also the length of a partial sum, so part of the definition of optim_norm.
 */
enum { SPAN = 1 << 14 };

#define X(name) extern const OptimDef optim_##name;
#include <train_optim.gen.h>
#undef X

static const OptimDef *const table[] = {
#define X(name) &optim_##name,
#include <train_optim.gen.h>
#undef X
};

int optims_count(void)
{
    return (int)COUNT_OF(table);
}

const OptimDef *optims_at(int i)
{
    return i >= 0 && i < optims_count() ? table[i] : NULL;
}

const OptimDef *optims_find(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(table); i++)
        if (strcasecmp(table[i]->name, name) == 0) return table[i];
    return NULL;
}

OptimChoice optim_auto(int64_t nc, int64_t iterations)
{
    if (iterations > 10000) return (OptimChoice) { "SGD", 0.01, 0.9 };
    return (OptimChoice) { "AdamW", nearbyint(0.002 * 5 / (4 + (double)nc) * 1e6) / 1e6, 0.9 };
}

static ParamGroup group_of(ParamKind kind)
{
    return kind == PARAM_BIAS ? GROUP_BIAS : kind == PARAM_NORM ? GROUP_NORM : GROUP_WEIGHT;
}

/* Appends a parameter, or lengthens the last run when it is its neighbour; runs are cut at SPAN so that they spread
 * over threads. */
static void add_run(Optim *o, const ParamSpec *p)
{
    int64_t offset = p->offset, left = shape_count(&p->shape);
    ParamGroup group = group_of(p->kind);
    while (left > 0) {
        int64_t n = MIN(left, SPAN);
        o->run[o->n_run++] = (OptimRun) { offset, n, group };
        offset += n, left -= n;
    }
}

static int count_runs(const Graph *g)
{
    int64_t count = 0;
    for (int i = 0; i < graph_n_params(g); i++) {
        const ParamSpec *p = graph_param_spec((Graph *)g, i);
        if (p->trainable) count += (shape_count(&p->shape) + SPAN - 1) / SPAN;
    }
    return (int)count;
}

Status optim_new(const OptimDef *def, const Graph *g, double decay, Optim **out, Error *err)
{
    int n = count_runs(g);
    if (n == 0) return fail(err, DYN_USAGE, "nothing is trainable: every parameter is frozen");
    Optim *o = mem_alloc(sizeof *o);
    if (!o) return fail_nomem(err, sizeof *o);
    *o = (Optim) { .def = def, .product = 1, .decay = decay, .n_partial = n };
    o->run = mem_alloc((size_t)n * sizeof *o->run);
    o->partial = mem_alloc((size_t)n * sizeof *o->partial);
    Status s = o->run && o->partial ? DYN_OK : fail_nomem(err, (size_t)n * sizeof *o->run);
    for (int i = 0; s == DYN_OK && i < def->n_state; i++)
        s = slab_new(g, &o->state[i], err);
    if (s != DYN_OK) {
        optim_free(&o);
        return s;
    }
    for (int i = 0; i < graph_n_params(g); i++) {
        const ParamSpec *p = graph_param_spec((Graph *)g, i);
        if (p->trainable) add_run(o, p);
    }
    *out = o;
    return DYN_OK;
}

void optim_free(Optim **o)
{
    if (!*o) return;
    for (int i = 0; i < OPTIM_MAX_STATE; i++)
        slab_free(&(*o)->state[i]);
    mem_free((*o)->run);
    mem_free((*o)->partial);
    mem_free(*o);
    *o = NULL;
}

/* Eight sums side by side, in a fixed order: vectors without freedom to reassociate. */
static double sum_of_squares(const float *x, int64_t n)
{
    double lane[8] = { 0 };
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++)
            lane[k] += (double)x[i + k] * (double)x[i + k];
    for (; i < n; i++)
        lane[i % 8] += (double)x[i] * (double)x[i];
    return ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

double optim_norm(const Optim *o, const Slab *grads)
{
    double sum = 0;
#pragma omp parallel for schedule(static)
    for (int i = 0; i < o->n_run; i++)
        o->partial[i] = sum_of_squares(grads->data + o->run[i].offset, o->run[i].n);
    for (int i = 0; i < o->n_run; i++)
        sum += o->partial[i];
    return sqrt(sum);
}

float optim_clip(double norm, double max_norm)
{
    double factor = max_norm / (norm + 1e-6);
    return factor < 1 ? (float)factor : 1;
}

void optim_step(Optim *o, const Slab *params, const Slab *grads, const double lr[N_GROUP], double momentum, float scale)
{
    o->t++;
    if (o->def->product) o->product *= o->def->product(momentum, o->t);
    unsigned before = flush_begin(0); /* momenta of what no longer moves */
#pragma omp parallel for schedule(static)
    for (int i = 0; i < o->n_run; i++) {
        const OptimRun *r = &o->run[i];
        OptimStep s = { .lr = lr[r->group],
                        .decay = r->group == GROUP_WEIGHT ? o->decay : 0,
                        .momentum = momentum,
                        .scale = scale,
                        .t = o->t,
                        .product = o->product };
        OptimSpan x = { .p = params->data + r->offset, .g = grads->data + r->offset, .n = r->n };
        for (int k = 0; k < o->def->n_state; k++)
            x.state[k] = o->state[k].data + r->offset;
        o->def->step(&s, x);
    }
    flush_end(0, before);
}

double ema_decay(int64_t u)
{
    return 0.9999 * (1 - exp(-(double)u / 2000));
}

void ema_update(const Slab *ema, const Slab *model, int64_t u)
{
    const float part = (float)(1 - ema_decay(u));
    float *restrict e = ema->data;
    const float *restrict m = model->data;
    unsigned before = flush_begin(0);
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < ema->n; i++)
        e[i] += part * (m[i] - e[i]);
    flush_end(0, before);
}

void slab_accumulate(const Slab *sum, const Slab *x, bool first)
{
    float *restrict s = sum->data;
    const float *restrict v = x->data;
    if (first) {
        memcpy(s, v, (size_t)sum->n * sizeof *s);
        return;
    }
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < sum->n; i++)
        s[i] += v[i];
}
