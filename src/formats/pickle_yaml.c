/* SPDX-License-Identifier: Apache-2.0
 *
 * Pickled dictionaries as Yaml, so that a model's description has one type wherever it comes from. */
#include "formats/pt.h"
#include "formats/yaml_util.h"

typedef struct Converter {
    Arena *a;
    const char *file;
    bool resolve;
    size_t n, bytes; /* made so far: texts are copied, and one long text may be named many times */
    Error *err;
} Converter;

/* Scalars only; NULL also for what is none. */
static Yaml *scalar(Converter *c, const PickleValue *v)
{
    if (v->kind == PICKLE_BOOL) return yaml_bool(c->a, v->b);
    if (v->kind == PICKLE_INT) return yaml_int(c->a, v->i);
    if (v->kind == PICKLE_FLOAT) return yaml_float(c->a, v->f);
    if (v->kind == PICKLE_STRING) return c->resolve ? yaml_scalar(c->a, v->text.s) : yaml_string(c->a, v->text.s);
    return NULL;
}

static bool is_scalar(const PickleValue *v)
{
    return v->kind == PICKLE_BOOL || v->kind == PICKLE_INT || v->kind == PICKLE_FLOAT || v->kind == PICKLE_STRING;
}

static Status convert(Converter *c, const PickleValue *v, int depth, Yaml **out);

static Status spend(Converter *c, const PickleValue *v)
{
    if (v->kind == PICKLE_STRING) c->bytes += v->text.n;
    if (++c->n > YAML_MAX_NODES || c->bytes > YAML_MAX_BYTES)
        return fail(c->err, DYN_FORMAT, "%s: a dictionary too large", c->file);
    return DYN_OK;
}

static Status convert_dict(Converter *c, const PickleValue *v, int depth, Yaml *map)
{
    for (size_t i = 0; i + 1 < v->list.n; i += 2) {
        Yaml *key, *value;
        if (!is_scalar(v->list.item[i])) continue;
        TRY(spend(c, v->list.item[i]));
        if (!(key = scalar(c, v->list.item[i]))) return fail_nomem(c->err, sizeof *key);
        TRY(convert(c, v->list.item[i + 1], depth + 1, &value));
        if (!yaml_put(c->a, map, key, value)) return fail_nomem(c->err, sizeof key);
    }
    return yaml_check_keys(c->a, map, c->err);
}

static Status convert(Converter *c, const PickleValue *v, int depth, Yaml **out)
{
    if (depth > YAML_MAX_DEPTH) return fail(c->err, DYN_FORMAT, "%s: a dictionary too deep", c->file);
    TRY(spend(c, v));
    bool is_list = v->kind == PICKLE_LIST || v->kind == PICKLE_TUPLE || v->kind == PICKLE_SET;
    *out = is_scalar(v)             ? scalar(c, v)
           : is_list                ? yaml_list(c->a)
           : v->kind == PICKLE_DICT ? yaml_map(c->a)
                                    : yaml_null(c->a);
    if (!*out) return fail_nomem(c->err, sizeof **out);
    (*out)->file = c->file;
    if (v->kind == PICKLE_DICT) return convert_dict(c, v, depth, *out);
    for (size_t i = 0; is_list && i < v->list.n; i++) {
        Yaml *item;
        TRY(convert(c, v->list.item[i], depth + 1, &item));
        if (!yaml_append(c->a, *out, item)) return fail_nomem(c->err, sizeof item);
    }
    return DYN_OK;
}

Status pickle_to_yaml(Arena *a, const char *file, const PickleValue *v, bool resolve, const Yaml **out, Error *err)
{
    Converter c = { .a = a, .file = arena_strdup(a, file), .resolve = resolve, .err = err };
    Yaml *y;
    if (!c.file) return fail_nomem(err, 0);
    if (v->kind == PICKLE_OBJECT && pickle_is(v->object.state, PICKLE_DICT)) v = v->object.state;
    TRY(convert(&c, v, 0, &y));
    *out = y;
    return DYN_OK;
}
