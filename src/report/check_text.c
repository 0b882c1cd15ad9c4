/* SPDX-License-Identifier: Apache-2.0
 *
 * check_text - what a check of a data set found, for people and as JSON lines for scripts. Numbers carry a point in
 * every locale; a JSON line has a "type": problem, split, class or summary. */
#include "report/report.h"

#include <math.h>
#include <string.h>

static const char *place(Arena *a, const DataProblem *p)
{
    return p->line ? arena_printf(a, "%s:%d", p->path, p->line) : p->path;
}

char *check_problem_text(Arena *a, const DataProblem *p)
{
    const char *where = place(a, p);
    char *text =
        where ? arena_printf(a, "%s: %s: %s: %s; %s", p->error ? "error" : "warning", p->split, where, p->what, p->then)
              : NULL;
    return text ? str_one_line(text) : NULL;
}

static void add_pair(Text *t, const char *key, const char *value)
{
    text_add(t, ", \"%s\": ", key);
    text_add_json(t, value);
}

char *check_problem_json(Arena *a, const DataProblem *p)
{
    Text t = { .a = a };
    text_add(&t, "{\"type\": \"problem\", \"level\": \"%s\"", p->error ? "error" : "warning");
    add_pair(&t, "kind", p->kind);
    add_pair(&t, "split", p->split);
    add_pair(&t, "path", p->path);
    if (p->line) text_add(&t, ", \"line\": %d", p->line);
    add_pair(&t, "what", p->what);
    add_pair(&t, "then", p->then);
    text_add(&t, "}");
    return text_done(&t);
}

/* ---- the ranges of a split, told and written alike ------------------------------------------------------------------
 */

enum { N_RANGES = 5 };
typedef struct NamedRange {
    const char *key, *text;
    const DataRange *range;
} NamedRange;

static void ranges_of(const SplitReport *s, NamedRange out[N_RANGES])
{
    const NamedRange all[N_RANGES] = { { "picture_width", "picture width", &s->picture_w },
                                       { "picture_height", "picture height", &s->picture_h },
                                       { "box_width", "box width", &s->box_w },
                                       { "box_height", "box height", &s->box_h },
                                       { "box_aspect", "box width / height", &s->box_aspect } };
    memcpy(out, all, sizeof all);
}

static void five_of(const DataRange *r, double out[5])
{
    const double all[] = { r->min, r->low, r->median, r->high, r->max };
    memcpy(out, all, sizeof all);
}

/* ---- JSON ---------------------------------------------------------------------------------------------------------
 */

static char *number(Arena *a, double v)
{
    return isfinite(v) ? str_point(arena_printf(a, "%.6g", v)) : arena_strdup(a, "null");
}

static void split_json(Text *t, const SplitReport *s)
{
    NamedRange range[N_RANGES];
    ranges_of(s, range);
    text_add(t,
             "{\"type\": \"split\", \"split\": \"%s\", \"pictures\": %lld, \"used\": %lld, \"backgrounds\": %lld, "
             "\"objects\": %lld, \"small\": %lld, \"medium\": %lld, \"large\": %lld",
             s->name, (long long)s->pictures, (long long)s->used, (long long)s->backgrounds, (long long)s->objects,
             (long long)s->small, (long long)s->medium, (long long)s->large);
    for (int i = 0; i < N_RANGES; i++) {
        double v[5];
        five_of(range[i].range, v);
        text_add(t, ", \"%s\": [", range[i].key);
        for (int k = 0; k < 5; k++) {
            char *x = number(t->a, v[k]);
            t->failed |= !x;
            text_add(t, "%s%s", k ? ", " : "", x ? x : "");
        }
        text_add(t, "]");
    }
    text_add(t, "}\n");
}

static void class_json(Text *t, const DataConfig *config, const DataReport *r, int cls)
{
    text_add(t, "{\"type\": \"class\", \"class\": %d", cls);
    add_pair(t, "name", config->names[cls]);
    for (int i = 0; i < r->n_splits; i++)
        text_add(t, ", \"%s\": {\"objects\": %lld, \"pictures\": %lld}", r->split[i].name,
                 (long long)r->split[i].objects_of[cls], (long long)r->split[i].pictures_of[cls]);
    text_add(t, "}\n");
}

char *check_report_json(Arena *a, const DataConfig *config, const DataReport *r)
{
    Text t = { .a = a };
    for (int i = 0; i < r->n_splits; i++)
        split_json(&t, &r->split[i]);
    for (int cls = 0; cls < config->nc && r->n_splits; cls++)
        class_json(&t, config, r, cls);
    text_add(&t, "{\"type\": \"summary\", \"data\": ");
    text_add_json(&t, config->file);
    text_add(&t, ", \"errors\": %lld, \"warnings\": %lld}", (long long)r->errors, (long long)r->warnings);
    return text_done(&t);
}

/* ---- tables ---------------------------------------------------------------------------------------------------------
 */

static double percent(int64_t part, int64_t of)
{
    return of ? 100.0 * (double)part / (double)of : 0;
}

static void split_rows(Text *t, const DataReport *r)
{
    text_add(t, "%-8s%10s%10s%13s%10s%9s%9s%9s\n", "split", "pictures", "used", "backgrounds", "objects", "small",
             "medium", "large");
    for (int i = 0; i < r->n_splits; i++) {
        const SplitReport *s = &r->split[i];
        text_add(t, "%-8s%10lld%10lld%13lld%10lld%7.0f %%%7.0f %%%7.0f %%\n", s->name, (long long)s->pictures,
                 (long long)s->used, (long long)s->backgrounds, (long long)s->objects, percent(s->small, s->objects),
                 percent(s->medium, s->objects), percent(s->large, s->objects));
    }
}

static void range_rows(Text *t, const DataReport *r)
{
    text_add(t, "\n%-27s%10s%10s%10s%10s%10s\n", "pixels", "least", "5 %", "median", "95 %", "most");
    for (int i = 0; i < r->n_splits; i++) {
        NamedRange range[N_RANGES];
        ranges_of(&r->split[i], range);
        for (int k = 0; k < N_RANGES; k++) {
            double v[5];
            five_of(range[k].range, v);
            text_add(t, "%-8s%-19s", r->split[i].name, range[k].text);
            for (int m = 0; m < 5; m++) {
                char x[32] = "-";
                if (isfinite(v[m])) snprintf(x, sizeof x, k == N_RANGES - 1 ? "%.2f" : "%.0f", v[m]);
                text_add(t, "%10s", str_point(x));
            }
            text_add(t, "\n");
        }
    }
}

static void class_rows(Text *t, const DataConfig *config, const DataReport *r)
{
    char name[64];
    text_add(t, "\n%-28s", "class");
    for (int i = 0; i < r->n_splits; i++)
        text_add(t, "%10s%8s%10s", r->split[i].name, "", "pictures");
    for (int cls = 0; cls < config->nc; cls++) {
        snprintf(name, sizeof name, "%.24s", config->names[cls]);
        text_add(t, "\n%3d %-24s", cls, str_one_line(name));
        for (int i = 0; i < r->n_splits; i++) {
            const SplitReport *s = &r->split[i];
            text_add(t, "%10lld%6.1f %%%10lld", (long long)s->objects_of[cls], percent(s->objects_of[cls], s->objects),
                     (long long)s->pictures_of[cls]);
        }
    }
}

char *check_report_text(Arena *a, const DataConfig *config, const DataReport *r)
{
    Text t = { .a = a };
    split_rows(&t, r);
    range_rows(&t, r);
    class_rows(&t, config, r);
    return text_done(&t);
}
