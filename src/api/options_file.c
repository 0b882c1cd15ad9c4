/* SPDX-License-Identifier: Apache-2.0
 *
 * dyn_options_load: a YAML of options, such as the args.yaml of a run or the reference package's default file, in place
 * of the options given before (spec 12.1). One such file serves all modes: keys of another mode are passed over, and so
 * are keys that nobody here knows as long as their value asks for nothing. */
#include "api/api.h"
#include "api/options.h"
#include "formats/yaml.h"

#include <string.h>

static Status value_text(const Yaml *y, const char *key, Arena *a, const char **text, Error *err)
{
    if (y->kind == YAML_MAP) return yaml_fail(y, err, DYN_USAGE, "%s: wants one value or a list", key);
    if (y->kind != YAML_LIST) {
        *text = y->kind == YAML_NULL ? "None" : y->kind != YAML_BOOL ? y->text : y->b ? "True" : "False";
        return DYN_OK;
    }
    Text t = { .a = a };
    for (size_t i = 0; i < y->n; i++) {
        const char *item;
        TRY(yaml_as_text(y->item[i], key, &item, err));
        text_add(&t, "%s%s", i ? ", " : "[", item);
    }
    text_add(&t, y->n ? "]" : "[]");
    return (*text = text_done(&t)) ? DYN_OK : fail_nomem(err, t.n);
}

static bool asks_nothing(const Yaml *y)
{
    return y->kind == YAML_NULL || (y->kind == YAML_BOOL && !y->b) ||
           ((y->kind == YAML_INT || y->kind == YAML_FLOAT) && y->f == 0);
}

/* What the reference package's own file says of other modes under a name that the mode has too. */
static bool of_export(const char *key, const char *value)
{
    return str_eq(key, "format") && !str_eq(value, "json");
}

static Status set(DynOptions *o, DynMode mode, const Yaml *key, const Yaml *item, Arena *a, Error *err)
{
    const char *value = "", *note;
    bool here, known = options_known(key->text, mode, &here);
    if (str_eq(key->text, "cfg") || (known && !here) || (!known && asks_nothing(item))) return DYN_OK;
    TRY(value_text(item, key->text, a, &value, err));
    if (of_export(key->text, value)) return DYN_OK;
    Error why;
    Status s = dyn_option_set(o, mode, key->text, value, &note, &why);
    return s == DYN_OK ? s : yaml_fail(key, err, s, "%s", why.text);
}

DynStatus dyn_options_load(DynContext *ctx, DynOptions *o, DynMode mode, const char *path, DynError *err)
{
    const Yaml *root;
    DynOptions loaded;
    if (!o || !path) return fail(err, DYN_USAGE, "dyn_options_load wants options and a path");
    TRY(yaml_read(ctx->loaded, path, &root, err));
    if (root->kind != YAML_NULL) TRY(yaml_as_kind(root, YAML_MAP, "options", err));
    dyn_options_defaults(&loaded, mode);
    for (size_t i = 0; i < root->n; i++)
        TRY(set(&loaded, mode, root->key[i], root->item[i], ctx->loaded, err));
    *o = loaded;
    return DYN_OK;
}
