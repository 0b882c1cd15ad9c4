/* SPDX-License-Identifier: Apache-2.0
 *
 * The data YAML (spec 5.1): where the splits lie and what the classes are called. Other keys (download, minival, pose
 * keys) are passed over: nothing is fetched, nothing runs. */
#include "data/data.h"

#include "formats/yaml.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_CLASSES = 100000, MAX_SOURCES = 10000 };

static bool there(const char *path)
{
    return access(path, F_OK) == 0;
}

/* path as it is given, or the one YAML file of the folder that it names. */
static Status find_yaml(Arena *a, const char *path, const char **file, Error *err)
{
    *file = path;
    if (str_ends_nocase(path, ".zip"))
        return fail(err, DYN_UNSUPPORTED, "'%s' is an archive; unpack it and give the YAML file in it", path);
    if (!dir_exists(path)) return DYN_OK;
    char **list, *real = realpath(path, NULL), *stem = real ? arena_strdup(a, path_name(real)) : NULL;
    size_t n, found = 0;
    free(real);
    TRY(dir_list(a, path, false, &list, &n, err));
    for (size_t i = 0; i < n; i++) {
        if (!str_ends_nocase(list[i], ".yaml") && !str_ends_nocase(list[i], ".yml")) continue;
        const char *name = path_stem(a, list[i]);
        if (name && stem && str_eq(name, stem)) {
            *file = list[i];
            return DYN_OK;
        }
        *file = list[i];
        found++;
    }
    if (found == 1) return DYN_OK;
    return fail(err, DYN_IO, "folder '%s' has %zu YAML files, wanted one that describes the data; give its path", path,
                found);
}

static Status find_root(Arena *a, const Yaml *doc, DataConfig *c, Error *err)
{
    const Yaml *y = yaml_get(doc, "path");
    const char *folder = path_dir(a, c->file), *text;
    if (!folder) return fail_nomem(err, 0);
    c->root = folder;
    if (!y || y->kind == YAML_NULL) return DYN_OK;
    TRY(yaml_as_text(y, "path", &text, err));
    if (!*text || str_eq(text, ".")) return DYN_OK;
    if (!(c->root = path_join(a, folder, text))) return fail_nomem(err, strlen(text));
    if (there(c->root)) return DYN_OK;
    if (text[0] == '/') return yaml_fail(y, err, DYN_IO, "path '%s' does not exist", text);
    if (!there(text))
        return yaml_fail(y, err, DYN_IO,
                         "path '%s' is neither in the folder of this file ('%s') nor in the working directory; nothing "
                         "is downloaded: put the data there or mend path",
                         text, folder);
    c->root = text;
    return DYN_OK;
}

static Status resolve(Arena *a, const char *root, const Yaml *y, const char *key, const char **out, Error *err)
{
    const char *text;
    TRY(yaml_as_text(y, key, &text, err));
    if (!*text) return yaml_fail(y, err, DYN_FORMAT, "%s is an empty path", key);
    char *path = str_eq(root, ".") ? arena_strdup(a, text) : path_join(a, root, text);
    if (path && !there(path) && str_starts(text, "../")) path = path_join(a, root, text + 3);
    if (!path) return fail_nomem(err, strlen(text));
    *out = path;
    return DYN_OK;
}

/* A path or a list of them; absent and null are no sources. */
static Status read_sources(Arena *a, const Yaml *y, const char *root, const char *key, DataSources *s, Error *err)
{
    if (!y || y->kind == YAML_NULL) return DYN_OK;
    size_t n = y->kind == YAML_LIST ? y->n : 1;
    if (n > MAX_SOURCES) return yaml_fail(y, err, DYN_FORMAT, "%s has %zu entries, too many", key, n);
    const char **path = ARENA_ARRAY(a, const char *, MAX(n, 1));
    if (!path) return fail_nomem(err, n * sizeof *path);
    for (size_t i = 0; i < n; i++)
        TRY(resolve(a, root, y->kind == YAML_LIST ? y->item[i] : y, key, &path[i], err));
    *s = (DataSources) { path, n };
    return DYN_OK;
}

static Status check_exist(const Yaml *y, const char *key, const DataSources *s, Error *err)
{
    for (size_t i = 0; i < s->n; i++)
        if (!there(s->path[i]))
            return yaml_fail(
                y->kind == YAML_LIST ? y->item[i] : y, err, DYN_IO,
                "%s path '%s' does not exist; nothing is downloaded: put the data there or mend path and %s", key,
                s->path[i], key);
    return DYN_OK;
}

static Status names_of_list(const Yaml *y, const char **names, Error *err)
{
    for (size_t i = 0; i < y->n; i++)
        TRY(yaml_as_text(y->item[i], "a class name", &names[i], err));
    return DYN_OK;
}

/* Ids 0 .. n-1, in any order. */
static Status names_of_map(const Yaml *y, const char **names, Error *err)
{
    for (size_t i = 0; i < y->n; i++) {
        int64_t id;
        if (!y->key[i]->text || !str_to_int(y->key[i]->text, &id))
            return yaml_fail(y->key[i], err, DYN_FORMAT, "names has the key '%s', which is no class number",
                             y->key[i]->text ? y->key[i]->text : "?");
        if (id < 0 || (uint64_t)id >= y->n)
            return yaml_fail(y->key[i], err, DYN_FORMAT,
                             "names has class %lld among %zu classes; ids must be 0 to %zu without gaps", (long long)id,
                             y->n, y->n - 1);
        if (names[id]) return yaml_fail(y->key[i], err, DYN_FORMAT, "names has class %lld twice", (long long)id);
        TRY(yaml_as_text(y->item[i], "a class name", &names[id], err));
    }
    return DYN_OK;
}

static Status read_names(Arena *a, const Yaml *doc, DataConfig *c, Error *err)
{
    const Yaml *y = yaml_get(doc, "names"), *nc = yaml_get(doc, "nc");
    int64_t n = 0;
    bool named = y && y->kind != YAML_NULL;
    if (nc && nc->kind == YAML_NULL) nc = NULL;
    if (!named && !nc) return fail(err, DYN_FORMAT, "'%s' has neither names nor nc", c->file);
    if (named && y->kind != YAML_LIST && y->kind != YAML_MAP)
        return yaml_fail(y, err, DYN_FORMAT, "names must be a list or a map from id to name, not %s",
                         yaml_kind_name(y->kind));
    if (nc) TRY(yaml_as_int(nc, "nc", &n, err));
    if (nc && named && (uint64_t)n != y->n)
        return yaml_fail(nc, err, DYN_FORMAT, "nc is %lld, but names has %zu", (long long)n, y->n);
    if (named) n = (int64_t)y->n;
    if (n < 1 || n > MAX_CLASSES)
        return yaml_fail(named ? y : nc, err, DYN_FORMAT, "%lld classes; 1 to %d are accepted", (long long)n,
                         MAX_CLASSES);
    const char **names = ARENA_ARRAY(a, const char *, n);
    if (!names) return fail_nomem(err, (size_t)n * sizeof *names);
    if (named) TRY(y->kind == YAML_LIST ? names_of_list(y, names, err) : names_of_map(y, names, err));
    for (int i = 0; !named && i < n; i++)
        if (!(names[i] = arena_printf(a, "class_%d", i))) return fail_nomem(err, 16);
    c->nc = (int)n, c->names = names;
    return DYN_OK;
}

Status data_config_read(Arena *a, const char *path, DataConfig *c, Error *err)
{
    const Yaml *doc, *y;
    int64_t channels = 3;
    *c = (DataConfig) { 0 };
    TRY(find_yaml(a, path, &c->file, err));
    TRY(yaml_read(a, c->file, &doc, err));
    TRY(yaml_as_kind(doc, YAML_MAP, "a data description", err));
    if ((y = yaml_get(doc, "channels"))) TRY(yaml_as_int(y, "channels", &channels, err));
    if (channels != 3)
        return yaml_fail(y, err, DYN_UNSUPPORTED, "channels is %lld; only pictures of three channels can be read",
                         (long long)channels);
    TRY(read_names(a, doc, c, err));
    TRY(find_root(a, doc, c, err));
    const Yaml *val = yaml_get(doc, "val") ? yaml_get(doc, "val") : yaml_get(doc, "validation");
    TRY(read_sources(a, yaml_get(doc, "train"), c->root, "train", &c->train, err));
    TRY(read_sources(a, val, c->root, "val", &c->val, err));
    TRY(read_sources(a, yaml_get(doc, "test"), c->root, "test", &c->test, err));
    if (!c->train.n || !c->val.n)
        return fail(err, DYN_FORMAT, "'%s' does not say where the %s pictures are: it needs train and val", c->file,
                    c->train.n ? "val" : "train");
    return check_exist(val, "val", &c->val, err);
}
