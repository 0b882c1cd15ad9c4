/* SPDX-License-Identifier: Apache-2.0 */
#include "train/scheduled.h"

void scheduled_set(const Graph *g, const Slab *model, const Slab *average, const Schedule *run, bool published,
                   int64_t epoch, int64_t i)
{
    for (int k = 0; k < graph_n_params(g); k++) {
        const ParamSpec *p = graph_param_spec((Graph *)g, k);
        if (p->kind != PARAM_SCHEDULE) continue;
        double now = published ? p->schedule.published : schedule_scheduled(run, &p->schedule, epoch, i);
        float *at = model->data + p->offset;
        *at = MIN(*at, (float)now);
        average->data[p->offset] = *at;
    }
}

static bool same_schedule(const ParamSpec *a, const ParamSpec *b)
{
    const ScheduleSpec *s = &a->schedule, *t = &b->schedule;
    return s->start == t->start && s->end == t->end && s->step == t->step && s->epochs == t->epochs;
}

void scheduled_columns(const Graph *g, ScheduledColumns *c)
{
    *c = (ScheduledColumns) { 0 };
    for (int k = 0; k < graph_n_params(g) && c->n < MAX_SCHEDULES; k++) {
        const ParamSpec *p = graph_param_spec((Graph *)g, k);
        size_t i = 0;
        if (p->kind != PARAM_SCHEDULE) continue;
        while (i < c->n && !same_schedule(p, graph_param_spec((Graph *)g, c->param[i])))
            i++;
        if (i < c->n) continue;
        const char *dot = strrchr(p->name, '.');
        c->param[i] = k;
        snprintf(c->text[i], sizeof c->text[i], "%.24s/%g-%g", dot ? dot + 1 : p->name, p->schedule.start,
                 p->schedule.end);
        c->name[i] = c->text[i];
        c->n++;
    }
}

void scheduled_fill(const Graph *g, const Slab *average, ScheduledColumns *c, ResultsRow *row)
{
    for (size_t i = 0; i < c->n; i++)
        c->value[i] = average->data[graph_param_spec((Graph *)g, c->param[i])->offset];
    row->extra = c->value;
    row->n_extra = c->n;
}
