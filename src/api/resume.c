/* SPDX-License-Identifier: Apache-2.0
 *
 * What a checkpoint remembers of the options, and what may differ when a run goes on. */
#include "api/resume.h"
#include "api/options.h"
#include "formats/yaml.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* May be changed by whoever resumes: they change where and how fast the run goes, or its end (spec 7.13, and ours). */
static const char *const changeable[] = { "imgsz",  "batch",   "device",   "close_mosaic", "save_period", "workers",
                                          "strict", "cache",   "patience", "time",         "freeze",      "val",
                                          "plots",  "threads", "verbose",  "project",      "name",        "exist_ok" };

static bool is_changeable(const char *key)
{
    for (size_t i = 0; i < COUNT_OF(changeable); i++)
        if (str_eq(key, changeable[i])) return true;
    return str_eq(key, "model") || str_eq(key, "resume");
}

Status resume_args(const DynOptions *o, Arena *a, char **json, Error *err)
{
    size_t n;
    const DynOptionRow *row = dyn_option_rows(&n);
    Text t = { .a = a };
    const char *comma = "{";
    char full[PATH_MAX];
    for (size_t i = 0; i < n; i++) {
        if (!(row[i].modes >> DYN_TRAIN & 1) || row[i].offset == (size_t)-1) continue;
        const char *value = options_text(o, &row[i], a);
        if (!value) return fail_nomem(err, 1);
        if (str_eq(row[i].key, "data") && realpath(value, full)) value = full; /* a run may go on from another folder */
        text_add(&t, "%s", comma);
        text_add_json(&t, row[i].key);
        text_add(&t, ": ");
        text_add_json(&t, value);
        comma = ", ";
    }
    text_add(&t, "}");
    return (*json = text_done(&t)) ? DYN_OK : fail_nomem(err, t.n);
}

static bool given_now(const DynOptions *o, const char *key)
{
    size_t n;
    const DynOptionRow *row = dyn_option_rows(&n);
    for (size_t i = 0; i < n; i++)
        if (str_eq(row[i].key, key) && (row[i].modes >> DYN_TRAIN & 1) && options_given(o, &row[i])) return true;
    return false;
}

Status resume_options(const DynOptions *given, const char *json, Arena *a, const Log *log, DynOptions *out, Error *err)
{
    const Yaml *root; /* JSON of texts is YAML */
    const char *note;
    TRY(yaml_parse(a, "the checkpoint's arguments", json, strlen(json), &root, err));
    TRY(yaml_as_kind(root, YAML_MAP, "arguments", err));
    *out = *given;
    for (size_t i = 0; i < root->n; i++) {
        const char *key = root->key[i]->text, *value = root->item[i]->text;
        bool mine = given_now(given, key);
        if (!value || (mine && is_changeable(key))) continue;
        if (mine)
            log_warn(log, "%s is kept as the run began with it (%s): a resumed run may not change it", key, value);
        TRY(dyn_option_set(out, DYN_TRAIN, key, value, &note, err));
    }
    out->model = given->model;
    out->resume = given->resume;
    return DYN_OK;
}
