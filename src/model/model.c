/* SPDX-License-Identifier: Apache-2.0
 *
 * Making a model from a description, wherever that comes from, and letting it go. */
#include "model/build.h"

static const ModelOptions DEFAULTS = { 0 };

void model_free(Model **m)
{
    if (!*m) return;
    Arena *a = (*m)->a;
    graph_free(&(*m)->g);
    slab_free(&(*m)->w);
    arena_free(&a);
    *m = NULL;
}

/* "dir/yolov8n.yaml" -> "YOLOv8n". */
static const char *title_of(Arena *a, const char *file)
{
    char *stem = path_stem(a, file);
    bool yolo = stem && str_starts(stem, "yolo");
    for (int i = 0; yolo && i < 4; i++)
        stem[i] = "YOLO"[i];
    return stem && *stem ? stem : "model";
}

static Yaml *copy_tree(Arena *a, const Yaml *y)
{
    Yaml *z = ARENA_NEW(a, Yaml);
    if (!z) return NULL;
    *z = *y;
    z->file = arena_strdup(a, y->file);
    z->text = y->text ? arena_strdup(a, y->text) : NULL;
    z->item = y->n ? ARENA_ARRAY(a, Yaml *, y->n) : NULL;
    z->key = y->kind == YAML_MAP && y->n ? ARENA_ARRAY(a, Yaml *, y->n) : NULL;
    z->cap = y->n;
    if (!z->file || (y->text && !z->text) || (y->n && !z->item) || (y->kind == YAML_MAP && y->n && !z->key))
        return NULL;
    for (size_t i = 0; i < y->n; i++) {
        if (!(z->item[i] = copy_tree(a, y->item[i]))) return NULL;
        if (z->key && !(z->key[i] = copy_tree(a, y->key[i]))) return NULL;
    }
    return z;
}

/* map[key] = value, replacing. */
static bool put(Arena *a, Yaml *map, const char *key, Yaml *value)
{
    if (!value) return false;
    for (size_t i = 0; map->key && i < map->n; i++)
        if (str_eq(map->key[i]->text, key)) {
            map->item[i] = value;
            return true;
        }
    return yaml_set(a, map, key, value);
}

/* The description as it was used: what was chosen or overridden is written back. */
static Status complete_yaml(Model *m, Yaml *tree, Error *err)
{
    bool ok = put(m->a, tree, "nc", yaml_int(m->a, m->nc)) && put(m->a, tree, "ch", yaml_int(m->a, m->ch));
    if (!yaml_get(tree, "yaml_file")) ok = ok && put(m->a, tree, "yaml_file", yaml_string(m->a, path_name(m->file)));
    if (*m->scale) ok = ok && put(m->a, tree, "scale", yaml_string(m->a, m->scale));
    m->yaml = tree;
    return ok ? DYN_OK : fail_nomem(err, sizeof(Yaml));
}

static Status number_names(Model *m, Error *err)
{
    if (!(m->names = ARENA_ARRAY(m->a, const char *, m->nc))) return fail_nomem(err, (size_t)m->nc * sizeof(char *));
    for (int64_t i = 0; i < m->nc; i++)
        if (!(m->names[i] = arena_printf(m->a, "%lld", (long long)i))) return fail_nomem(err, 8);
    return DYN_OK;
}

Status model_set_names(Model *m, const char *const *names, Error *err)
{
    for (int64_t i = 0; i < m->nc; i++) {
        const char *s = arena_strdup(m->a, names[i]);
        if (!s) return fail_nomem(err, strlen(names[i]) + 1);
        m->names[i] = s;
    }
    return DYN_OK;
}

/* A small file may describe a model that no memory holds. */
static Status check_values(const Model *m, const ModelOptions *o, Error *err)
{
    int64_t n = 0;
    for (int i = 0; o->most_values > 0 && i < graph_n_params(m->g); i++)
        n += shape_count(&graph_param_spec(m->g, i)->shape);
    if (n <= o->most_values) return DYN_OK;
    return fail(err, DYN_FORMAT, "%s: describes a model of %lld weights and holds at most %lld", m->file, (long long)n,
                (long long)o->most_values);
}

static Status make(Model *m, const char *file, const Yaml *yaml, const ModelOptions *o, Error *err)
{
    Description d;
    Yaml *tree = copy_tree(m->a, yaml);
    if (!tree || !(m->file = arena_strdup(m->a, file))) return fail_nomem(err, sizeof *tree);
    const Yaml *origin = yaml_get(tree, "yaml_file");
    m->title = title_of(m->a, yaml_is(origin, YAML_STRING) ? origin->text : file);
    m->compat = o->compat;
    m->task = "detect";
    TRY(description_read(m->a, file, tree, o, &d, err));
    TRY(graph_new(&m->g, err));
    TRY(model_build_graph(m, &d, o, err));
    TRY(check_values(m, o, err));
    TRY(complete_yaml(m, tree, err));
    TRY(number_names(m, err));
    TRY(slab_new(m->g, &m->w, err));
    m->count = ARENA_ARRAY(m->a, int64_t, graph_n_params(m->g));
    if (!m->count) return fail_nomem(err, sizeof *m->count);
    if (o->filled)
        slab_init_known(m->g, &m->w);
    else
        model_init(m, o->seed);
    return DYN_OK;
}

void model_init(Model *m, uint64_t seed)
{
    slab_init(m->g, &m->w, seed);
    memset(m->count, 0, (size_t)graph_n_params(m->g) * sizeof *m->count);
}

Status model_from_yaml(const char *file, const Yaml *yaml, const ModelOptions *o, Model **out, Error *err)
{
    Arena *a = arena_new();
    Model *m = a ? ARENA_NEW(a, Model) : NULL;
    if (!m) {
        if (a) arena_free(&a);
        return fail_nomem(err, sizeof *m);
    }
    m->a = a;
    if (make(m, file, yaml, o ? o : &DEFAULTS, err) != DYN_OK) {
        model_free(&m);
        return err->status;
    }
    *out = m;
    return DYN_OK;
}

Status model_from_text(const char *name, const char *text, size_t n, const ModelOptions *o, Model **out, Error *err)
{
    Arena *a = arena_new();
    const Yaml *y;
    if (!a) return fail_nomem(err, sizeof *y);
    Status s = yaml_parse(a, name, text, n, &y, err);
    if (s == DYN_OK) s = model_from_yaml(name, y, o, out, err);
    arena_free(&a);
    return s;
}

/* The first of: the file itself, its unified form, the stock file, its unified form. *text stays NULL for a file. */
static Status find_source(Arena *a, const char *path, const char **found, const char **text, Error *err)
{
    const char *name[2] = { path, unified_name(a, path) };
    *text = NULL;
    for (int i = 0; i < 2; i++)
        if (file_exists(*found = name[i])) return DYN_OK;
    for (int i = 0; i < 2; i++) {
        const char *stock = path_name(name[i]);
        if (!*path_ext(stock)) stock = arena_printf(a, "%s.yaml", stock);
        if (stock && str_eq(path_name(path), path) && (*text = stock_text(stock))) return DYN_OK;
    }
    char list[256] = "";
    const char *s;
    for (int i = 0; (s = model_stock(i, NULL)); i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", s);
    return fail(err, DYN_IO, "no model file '%s'; built in are %s, each with a scale letter (yolov8s.yaml)", path,
                list);
}

Status model_from_file(const char *path, const ModelOptions *o, Model **out, Error *err)
{
    Arena *a = arena_new();
    const char *found, *text;
    const Yaml *y;
    if (!a) return fail_nomem(err, sizeof *y);
    Status s = find_source(a, path, &found, &text, err);
    if (s == DYN_OK) s = text ? yaml_parse(a, path, text, strlen(text), &y, err) : yaml_read(a, found, &y, err);
    if (s == DYN_OK) s = model_from_yaml(path, y, o, out, err);
    arena_free(&a);
    return s;
}
