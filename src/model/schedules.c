/* SPDX-License-Identifier: Apache-2.0
 *
 * What moves in training without a gradient, for people: a line for all temperatures that follow one schedule and stand
 * at one value. */
#include "model/transfer.h"

static bool alike(const Model *m, const ParamSpec *p, const ParamSpec *q)
{
    const ScheduleSpec *s = &p->schedule, *t = &q->schedule;
    return q->kind == PARAM_SCHEDULE && s->start == t->start && s->end == t->end && s->step == t->step &&
           s->epochs == t->epochs && m->w.data[p->offset] == m->w.data[q->offset];
}

static void add_rows(Text *t, const Model *m, const ParamSpec *p)
{
    int last = -1, n = 0;
    const char *rest;
    for (int i = 0; i < graph_n_params(m->g); i++) {
        const ParamSpec *q = graph_param_spec(m->g, i);
        int row = row_of_name(q->name, &rest);
        if (!alike(m, p, q) || row == last) continue;
        text_add(t, "%s%d", n++ ? ", " : "", row);
        last = row;
    }
}

char *model_schedules(const Model *m, Arena *a)
{
    Text t = { .a = a };
    for (int i = 0; i < graph_n_params(m->g); i++) {
        const ParamSpec *p = graph_param_spec(m->g, i);
        int before = 0;
        if (p->kind != PARAM_SCHEDULE) continue;
        while (!alike(m, p, graph_param_spec(m->g, before)))
            before++;
        if (before < i) continue;
        const ScheduleSpec *s = &p->schedule;
        const char *dot = strrchr(p->name, '.');
        text_add(&t, "%s%s %g now, in training from %g ", t.n ? "\n" : "", dot ? dot + 1 : p->name,
                 (double)m->w.data[p->offset], s->start);
        if (s->step > 0)
            text_add(&t, "by %g an epoch to %g", s->step, s->end);
        else
            text_add(&t, "to %g over the first %g epochs", s->end, s->epochs);
        text_add(&t, ", as published %g throughout: rows ", s->published);
        add_rows(&t, m, p);
    }
    return text_done(&t);
}
