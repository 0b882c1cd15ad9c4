/* SPDX-License-Identifier: Apache-2.0
 *
 * What is compared, and where: lists of models and seeds, the folder, and the options that it was begun with. */
#include "api/compare.h"
#include "api/options.h"
#include "formats/yaml.h"

#include <math.h>
#include <string.h>

/* May differ when a comparison goes on: where and how fast it runs, and which models and seeds there are, because
 * those that are trained already stay comparable. */
static const char *const changeable[] = { "models", "seeds", "project", "name",    "exist_ok", "resume", "device",
                                          "iters",  "cache", "threads", "workers", "plots",    "verbose" };

static bool is_changeable(const char *key)
{
    for (size_t i = 0; i < COUNT_OF(changeable); i++)
        if (str_eq(key, changeable[i])) return true;
    return false;
}

/* ---- lists --------------------------------------------------------------------------------------------------- */

/* "a, b" or "[a, b]" or what else YAML takes for a list. */
static Status split_list(const char *text, const char *key, Arena *a, const Yaml **list, Error *err)
{
    char *flow = arena_printf(a, text[0] == '[' ? "%s" : "[%s]", text);
    if (!flow) return fail_nomem(err, 1);
    TRY(yaml_parse(a, key, flow, strlen(flow), list, err));
    return yaml_as_kind(*list, YAML_LIST, key, err);
}

static Status read_seeds(CompareJob *j, Error *err)
{
    int32_t *id;
    TRY(parse_ids(j->o.seeds, "seeds", j->a, &id, &j->c.n_seeds, err));
    if (j->c.n_seeds < 1 || j->c.n_seeds > COMPARE_MOST_SEEDS)
        return fail(err, DYN_USAGE, "seeds: %zu of them, where 1 to %d are wanted, such as seeds=0,1", j->c.n_seeds,
                    COMPARE_MOST_SEEDS);
    int64_t *seed = ARENA_ARRAY(j->a, int64_t, j->c.n_seeds);
    if (!seed) return fail_nomem(err, j->c.n_seeds * sizeof *seed);
    for (size_t i = 0; i < j->c.n_seeds; i++) {
        seed[i] = id[i];
        for (size_t k = 0; k < i; k++)
            if (id[k] == id[i]) return fail(err, DYN_USAGE, "seeds=%s: %d stands there twice", j->o.seeds, id[i]);
    }
    j->c.seed = seed;
    return DYN_OK;
}

/* The file's stem; a number keeps two files of one stem apart. */
static char *name_of(const CompareJob *j, size_t i)
{
    const CompareModel *m = j->c.model;
    char *stem = path_stem(j->a, m[i].file), *name = stem;
    for (int number = 2; name; number++) {
        size_t k = 0;
        while (k < i && !str_eq(m[k].name, name))
            k++;
        if (k == i) break;
        name = arena_printf(j->a, "%s-%d", stem, number);
    }
    return name;
}

static Status read_models(CompareJob *j, Error *err)
{
    const Yaml *list;
    if (!j->o.models)
        return fail(err, DYN_USAGE,
                    "which models? For example: models=yolov8n.yaml,yolov8n-p2.yaml; the first is the baseline");
    TRY(split_list(j->o.models, "models", j->a, &list, err));
    if (!list->n) return fail(err, DYN_USAGE, "models=%s: at least one is wanted", j->o.models);
    CompareModel *m = j->c.model = ARENA_ARRAY(j->a, CompareModel, list->n);
    if (!m) return fail_nomem(err, list->n * sizeof *m);
    for (size_t i = 0; i < list->n; i++, j->c.n++) {
        m[i] = (CompareModel) { NULL, NULL, NULL, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NULL };
        m[i].run = ARENA_ARRAY(j->a, CompareRun, j->c.n_seeds);
        TRY(yaml_as_text(list->item[i], "a model", &m[i].file, err));
        for (size_t k = 0; k < i; k++)
            if (str_eq(m[k].file, m[i].file))
                return fail(err, DYN_USAGE, "models=%s: '%s' stands there twice", j->o.models, m[i].file);
        if (!m[i].run || !(m[i].name = name_of(j, i))) return fail_nomem(err, 1);
        for (size_t k = 0; k < j->c.n_seeds; k++)
            m[i].run[k].best_map50 = m[i].run[k].best_map = NAN;
    }
    return DYN_OK;
}

/* ---- the folder ---------------------------------------------------------------------------------------------- */

/* resume=FOLDER, or project/name, or the last that run_folder numbered. */
static Status old_folder(CompareJob *j, Error *err)
{
    const DynOptions *o = &j->o;
    const char *project = o->project ? o->project : "runs/detect", *mode = dyn_mode_name(DYN_COMPARE);
    if (!option_true(o->resume)) {
        j->dir = arena_strdup(j->a, o->resume);
        return j->dir ? DYN_OK : fail_nomem(err, 1);
    }
    if (!(j->dir = path_join(j->a, project, o->name ? o->name : mode))) return fail_nomem(err, 1);
    for (int k = 2; !o->name; k++) {
        char *next = arena_printf(j->a, "%s/%s%d", project, mode, k);
        if (!next) return fail_nomem(err, 1);
        if (!dir_exists(next)) break;
        j->dir = next;
    }
    return DYN_OK;
}

/* The folder's options with what was given now in place of theirs. */
static DynOptions merge(const DynOptions *stored, const DynOptions *now)
{
    size_t n;
    const DynOptionRow *row = dyn_option_rows(&n);
    DynOptions all = *stored;
    for (size_t i = 0; i < n; i++) {
        if (!(row[i].modes >> DYN_COMPARE & 1) || row[i].offset == (size_t)-1 || !options_given(now, &row[i])) continue;
        memcpy((char *)&all + row[i].offset, (const char *)now + row[i].offset, options_size(&row[i]));
    }
    memcpy(all.given, now->given, sizeof all.given);
    return all;
}

/* The file has lists and switches as YAML writes them, the command line as they were typed. */
static bool same_text(const char *a, const char *b)
{
    if ((option_true(a) && option_true(b)) || (option_false(a) && option_false(b))) return true;
    for (;; a++, b++) {
        a += strspn(a, " ");
        b += strspn(b, " ");
        if (!*a || *a != *b) return *a == *b;
    }
}

static Status check_same(const CompareJob *j, const DynOptions *stored, Error *err)
{
    size_t n;
    const DynOptionRow *row = dyn_option_rows(&n);
    for (size_t i = 0; i < n; i++) {
        if (!(row[i].modes >> DYN_COMPARE & 1) || row[i].offset == (size_t)-1 || is_changeable(row[i].key)) continue;
        const char *was = options_text(stored, &row[i], j->a), *now = options_text(&j->o, &row[i], j->a);
        if (!was || !now) return fail_nomem(err, 1);
        if (!same_text(was, now))
            return fail(err, DYN_USAGE,
                        "'%s' was begun with %s=%s, now it is %s: keep it, or choose another folder with name=", j->dir,
                        row[i].key, was, now);
    }
    return DYN_OK;
}

static Status go_on(CompareJob *j, const char *args, Error *err)
{
    DynOptions stored;
    TRY(dyn_options_load(j->ctx, &stored, DYN_COMPARE, args, err));
    if (!stored.models)
        return fail(err, DYN_USAGE, "'%s' is no comparison's folder: choose another with name=", j->dir);
    if (!option_false(j->o.resume)) j->o = merge(&stored, &j->o);
    return check_same(j, &stored, err);
}

static Status read_lists(CompareJob *j, Error *err)
{
    TRY(read_seeds(j, err));
    return read_models(j, err);
}

Status compare_options(CompareJob *j, Error *err)
{
    bool resume = !option_false(j->o.resume);
    MetricRules rules;
    TRY(metric_rules(j->o.metrics, &rules, err));
    if (!resume) TRY(read_lists(j, err)); /* what is wrong there leaves no folder behind */
    TRY(resume ? old_folder(j, err) : run_folder(&j->o, DYN_COMPARE, j->a, &j->dir, err));
    char *args = path_join(j->a, j->dir, "args.yaml");
    if (!args) return fail_nomem(err, 1);
    if (resume && !file_exists(args)) return fail(err, DYN_IO, "'%s' holds no comparison to go on with", j->dir);
    TRY(dir_claim(j->dir, &j->claim, err));
    if (file_exists(args)) TRY(go_on(j, args, err));
    if (resume) TRY(read_lists(j, err));
    TRY(metric_rules(j->o.metrics, &rules, err)); /* of the folder, when it goes on */
    j->c.fitness = rules.fitness;
    return write_args(j->dir, &j->o, DYN_COMPARE, err);
}

DynOptions compare_run_options(const CompareJob *j, size_t i, size_t k, const char *name)
{
    size_t n;
    const DynOptionRow *row = dyn_option_rows(&n);
    DynOptions o = j->o;
    o.model = j->c.model[i].file;
    o.seed = j->c.seed[k];
    o.project = j->dir;
    o.name = name;
    o.exist_ok = o.save = true;
    o.resume = "False";
    for (size_t r = 0; r < n; r++) /* so that a training that goes on takes the rest from its checkpoint */
        if (!is_changeable(row[r].key)) o.given[r / 64] &= ~((uint64_t)1 << r % 64);
    return o;
}
