/* SPDX-License-Identifier: Apache-2.0
 *
 * check - what is wrong with a data set, told problem by problem in the order of splits and paths, and what is in it.
 * It takes what training takes, because both are made of scan.c; only, it reads on where training has seen enough. */
#include "data/check_impl.h"

#include <string.h>

void check_tell(Checking *c, const DataProblem *p)
{
    *(p->error ? &c->out->errors : &c->out->warnings) += 1;
    c->opt->problem(c->opt->user, p);
}

/* ---- one picture ------------------------------------------------------------------------------------------------ */

static Status take_labels(Checking *c, const Scan *s, Error *err)
{
    CheckSplit *split = &c->split[c->now];
    const LabelFile *f = &s->labels;
    double w = s->facts.info.w, h = s->facts.info.h;
    for (int i = 0; i < f->n; i++) {
        int cls = CLAMP((int)f->label[i].cls, 0, c->config->nc - 1);
        bool again = false;
        for (int k = 0; k < i && !again; k++)
            again = (int)f->label[k].cls == (int)f->label[i].cls;
        split->objects_of[cls]++;
        split->pictures_of[cls] += !again;
        double box_w = (double)f->label[i].w * w, box_h = (double)f->label[i].h * h;
        bool ok = check_number(c->a, &split->box_w, box_w) && check_number(c->a, &split->box_h, box_h);
        if (ok && box_w > 0 && box_h > 0) ok = check_number(c->a, &split->box_aspect, box_w / box_h);
        if (!ok) return fail_nomem(err, sizeof(float));
    }
    split->objects += f->n;
    if (f->polygon) split->polygons += f->n;
    return DYN_OK;
}

static Status take(void *user, int64_t index, const Scan *s, Error *err)
{
    Checking *c = user;
    CheckSplit *split = &c->split[c->now];
    const char *path = split->path[index];
    for (size_t i = 0; i < s->n; i++) {
        const Finding *f = &s->finding[i];
        check_tell(c, &(DataProblem) { f->refused, f->kind, split->name, f->path, f->line, f->what, f->then });
    }
    if (s->has_content) {
        if (!arena_grow(c->a, &c->seen, c->n_seen, &c->seen_cap, sizeof *c->seen)) return fail_nomem(err, sizeof(Seen));
        c->seen[c->n_seen++] = (Seen) { path, { s->content[0], s->content[1] }, c->now };
    }
    if (c->opt->progress) c->opt->progress(c->opt->user, split->name, index + 1, (int64_t)split->n);
    if (s->refused) return DYN_OK;
    split->used++;
    split->backgrounds += !s->labels.n;
    if (!check_number(c->a, &split->picture_w, s->facts.info.w) ||
        !check_number(c->a, &split->picture_h, s->facts.info.h))
        return fail_nomem(err, sizeof(float));
    return take_labels(c, s, err);
}

/* ---- one split -------------------------------------------------------------------------------------------------- */

static void tell_of_split(Checking *c, bool error, const char *kind, const char *what, const char *then)
{
    const CheckSplit *s = &c->split[c->now];
    check_tell(c, &(DataProblem) { error, kind, s->name, s->from->path[0], 0, what, then });
}

/* A split that is another one under a second name is not looked at twice. */
static const CheckSplit *same_as(const Checking *c, const CheckSplit *s)
{
    for (int i = 0; i < c->n_splits; i++) {
        const CheckSplit *other = &c->split[i];
        size_t k = 0;
        while (k < s->n && s->n == other->n && str_eq(s->path[k], other->path[k]))
            k++;
        if (s->n && k == s->n) return other;
    }
    return NULL;
}

static Status scan_split(Checking *c, Error *err)
{
    CheckSplit *s = &c->split[c->now];
    char what[120];
    Scanner scanner = { .path = s->path, .nc = c->config->nc, .deep = true, .split = s->name, .stop = c->opt->stop };
    s->objects_of = ARENA_ARRAY(c->a, int64_t, c->config->nc);
    s->pictures_of = ARENA_ARRAY(c->a, int64_t, c->config->nc);
    if (!s->objects_of || !s->pictures_of) return fail_nomem(err, (size_t)c->config->nc * sizeof(int64_t));
    TRY(scan_all(&scanner, (int64_t)s->n, c->opt->threads, take, c, err));
    if (!s->used) tell_of_split(c, true, "none", "none of its pictures can be used", "nothing runs on it");
    if (s->polygons && s->polygons < s->objects) {
        snprintf(what, sizeof what, "%lld of %lld objects have polygons", (long long)s->polygons,
                 (long long)s->objects);
        tell_of_split(c, false, "polygons", what, "all polygons are left out, boxes are used");
    }
    return DYN_OK;
}

static Status check_split(Checking *c, const char *name, const DataSources *from, Error *err)
{
    CheckSplit *s = &c->split[c->n_splits];
    char what[80];
    *s = (CheckSplit) { .name = name, .from = from };
    c->now = c->n_splits;
    if (!from->n) return DYN_OK;
    Status status = data_discover(c->a, from, &s->path, &s->n, err);
    if (status == DYN_NOMEM) return status;
    if (status != DYN_OK) {
        tell_of_split(c, true, "source", after_path(err->text, from->path[0]), "nothing runs on it");
        return DYN_OK;
    }
    const CheckSplit *other = same_as(c, s);
    if (other) {
        snprintf(what, sizeof what, "the pictures of %s are those of %s", name, other->name);
        tell_of_split(c, false, "same-split", what, "measured is what was learnt by heart; not looked at again");
        return DYN_OK;
    }
    c->n_splits++;
    return scan_split(c, err);
}

/* ---- all -------------------------------------------------------------------------------------------------------- */

/* A class that cannot be learnt. */
static Status check_classes(Checking *c, Error *err)
{
    const CheckSplit *train = &c->split[0];
    char what[160];
    if (!c->n_splits || !str_eq(train->name, "train")) return DYN_OK;
    for (int k = 0; k < c->config->nc; k++) {
        if (train->objects_of[k]) continue;
        snprintf(what, sizeof what, "class %d '%.100s' has no object in train", k, c->config->names[k]);
        check_tell(c, &(DataProblem) { false, "class-absent", "train", c->config->file, 0, str_one_line(what),
                                       "it is never learnt" });
    }
    return DYN_OK;
}

Status data_check(Arena *a, const DataConfig *config, const DataCheck *check, DataReport *out, Error *err)
{
    const char *name[] = { "train", "val", "test" };
    const DataSources *from[] = { &config->train, &config->val, &config->test };
    Checking c = { .a = a, .config = config, .opt = check, .out = out };
    bool known = !check->split;
    *out = (DataReport) { 0 };
    for (size_t i = 0; i < COUNT_OF(name); i++) {
        if (check->split && !str_eq(check->split, name[i])) continue;
        if (check->split && !from[i]->n)
            return fail(err, DYN_USAGE, "'%s' names no %s pictures", config->file, name[i]);
        known = true;
        TRY(check_split(&c, name[i], from[i], err));
    }
    if (!known) return fail(err, DYN_USAGE, "split=%s: wants train, val or test", check->split);
    TRY(check_copies(&c, err));
    TRY(check_orphans(&c, err));
    TRY(check_classes(&c, err));
    for (out->n_splits = 0; out->n_splits < c.n_splits; out->n_splits++)
        out->split[out->n_splits] = check_figures(&c.split[out->n_splits]);
    return DYN_OK;
}
