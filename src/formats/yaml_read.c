/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads YAML: libyaml's events, composed here into a tree so that every limit and every message is ours.
 *
 * An alias shares the node that its anchor named. Sharing costs nothing to store, but whoever walks the tree walks a
 * shared branch each time, so a node carries its weight (nodes below it, aliases counted every time) and the limit is
 * on the weight of the root: nine aliases of nine aliases of ... stop where the limit stops a long file. */
#include "formats/yaml_util.h"

#include <stdlib.h>
#include <yaml.h>

typedef struct Anchor {
    const char *name;
    Yaml *node;
} Anchor;

typedef struct Reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one; owned by libyaml until the next */
    bool have_event;
    Arena *a;
    const char *name;
    Anchor *anchor;
    size_t n_anchor, cap_anchor;
    Error *err;
} Reader;

static Status fail_at(Reader *r, yaml_mark_t mark, const char *what)
{
    return fail(r->err, DYN_FORMAT, "%s:%zu:%zu: %s", r->name, mark.line + 1, mark.column + 1, what);
}

static Status next(Reader *r)
{
    if (r->have_event) yaml_event_delete(&r->event);
    r->have_event = yaml_parser_parse(&r->parser, &r->event) != 0;
    if (r->have_event) return DYN_OK;
    const char *problem = r->parser.problem ? r->parser.problem : "not readable as YAML";
    if (r->parser.error == YAML_MEMORY_ERROR) return fail_nomem(r->err, 0);
    if (r->parser.error == YAML_READER_ERROR)
        return fail(r->err, DYN_FORMAT, "%s: %s at byte %zu (is it a text file in UTF-8?)", r->name, problem,
                    r->parser.problem_offset);
    if (str_eq(problem, "found character that cannot start any token"))
        return fail_at(r, r->parser.problem_mark,
                       "a character that cannot begin anything here (a tab? indent with spaces; texts "
                       "that begin with % @ or ` need quotes)");
    if (r->parser.context)
        return fail(r->err, DYN_FORMAT, "%s:%zu:%zu: %s, %s", r->name, r->parser.problem_mark.line + 1,
                    r->parser.problem_mark.column + 1, r->parser.context, problem);
    return fail_at(r, r->parser.problem_mark, problem);
}

static Status new_node(Reader *r, YamlKind kind, Yaml **out)
{
    Yaml *y = ARENA_NEW(r->a, Yaml);
    if (!y) return fail_nomem(r->err, sizeof *y);
    *y = (Yaml) { .kind = kind,
                  .file = r->name,
                  .line = (int)r->event.start_mark.line + 1,
                  .column = (int)r->event.start_mark.column + 1,
                  .weight = 1 };
    *out = y;
    return DYN_OK;
}

static Status remember(Reader *r, const yaml_char_t *anchor, Yaml *y)
{
    if (!anchor) return DYN_OK;
    char *name = arena_strdup(r->a, (const char *)anchor);
    if (!name || !arena_grow(r->a, &r->anchor, r->n_anchor, &r->cap_anchor, sizeof(Anchor)))
        return fail_nomem(r->err, sizeof(Anchor));
    if (r->n_anchor >= 1000) return fail_at(r, r->event.start_mark, "more than 1000 anchors");
    r->anchor[r->n_anchor++] = (Anchor) { name, y };
    return DYN_OK;
}

/* Last definition wins, as YAML has it. A branch is remembered only when it is complete, so it cannot hold itself. */
static Status alias(Reader *r, Yaml **out)
{
    const char *name = (const char *)r->event.data.alias.anchor;
    for (size_t i = r->n_anchor; i-- > 0;)
        if (str_eq(r->anchor[i].name, name)) {
            *out = r->anchor[i].node;
            return DYN_OK;
        }
    return fail(r->err, DYN_FORMAT,
                "%s:%zu:%zu: alias '*%.60s' has no finished anchor '&%.60s' before it (a text that begins with * must "
                "be quoted)",
                r->name, r->event.start_mark.line + 1, r->event.start_mark.column + 1, name, name);
}

static const char *const kind_tags[] = { "null", "bool", "int", "float", "str", "seq", "map" };

/* A tag may repeat what the node is, or make a scalar text; it cannot ask for anything else. */
static Status check_tag(Reader *r, const yaml_char_t *tag, Yaml *y)
{
    static const char prefix[] = "tag:yaml.org,2002:";
    const char *t = (const char *)tag;
    if (!t) return DYN_OK;
    if (str_starts(t, prefix)) t += sizeof prefix - 1;
    if (y->text && (str_eq(t, "!") || str_eq(t, "str"))) {
        y->kind = YAML_STRING;
        return DYN_OK;
    }
    if (str_eq(t, kind_tags[y->kind]) || (str_eq(t, "float") && y->kind == YAML_INT)) {
        if (str_eq(t, "float")) y->kind = YAML_FLOAT;
        return DYN_OK;
    }
    return fail(r->err, DYN_FORMAT, "%s:%d:%d: tag '%.80s' does not fit %s here", r->name, y->line, y->column, t,
                yaml_kind_name(y->kind));
}

static Status scalar(Reader *r, Yaml **out)
{
    const char *value = (const char *)r->event.data.scalar.value;
    size_t n = r->event.data.scalar.length;
    if (memchr(value, 0, n)) return fail_at(r, r->event.start_mark, "a zero byte in a text");
    TRY(new_node(r, YAML_STRING, out));
    if (!((*out)->text = arena_strndup(r->a, value, n))) return fail_nomem(r->err, n);
    if (r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE || r->event.data.scalar.tag) yaml_resolve(*out);
    TRY(check_tag(r, r->event.data.scalar.tag, *out));
    return remember(r, r->event.data.scalar.anchor, *out);
}

static int by_key(const void *pa, const void *pb)
{
    const Yaml *a = *(Yaml *const *)pa, *b = *(Yaml *const *)pb;
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    if (a->kind == YAML_NULL) return 0;
    if (a->kind == YAML_INT || a->kind == YAML_BOOL) return (a->i > b->i) - (a->i < b->i);
    return strcmp(a->text, b->text);
}

Status yaml_check_keys(Arena *a, const Yaml *map, Error *err)
{
    ArenaMark mark = arena_mark(a);
    Yaml **sorted = ARENA_ARRAY(a, Yaml *, map->n);
    if (!sorted) return fail_nomem(err, map->n * sizeof(Yaml *));
    if (map->n) memcpy(sorted, map->key, map->n * sizeof(Yaml *));
    if (map->n) qsort(sorted, map->n, sizeof(Yaml *), by_key);
    for (size_t i = 1; i < map->n; i++) {
        if (by_key(&sorted[i - 1], &sorted[i]) != 0) continue;
        const Yaml *x = sorted[i - 1], *y = sorted[i];
        if (x->line > y->line || (x->line == y->line && x->column > y->column)) x = sorted[i], y = sorted[i - 1];
        if (!x->line) return yaml_fail(y, err, DYN_FORMAT, "key '%.80s' is there twice", y->text);
        return yaml_fail(y, err, DYN_FORMAT, "key '%.80s' is there twice (first in line %d); keep one", y->text,
                         x->line);
    }
    arena_release(a, mark);
    return DYN_OK;
}

static Status node(Reader *r, int depth, Yaml **out);

static Status list(Reader *r, int depth, Yaml *y)
{
    for (;;) {
        Yaml *item;
        TRY(next(r));
        if (r->event.type == YAML_SEQUENCE_END_EVENT) return DYN_OK;
        TRY(node(r, depth + 1, &item));
        if (y->weight + item->weight > YAML_MAX_NODES) return fail_at(r, r->event.start_mark, "too many nodes");
        if (!yaml_append(r->a, y, item)) return fail_nomem(r->err, sizeof(Yaml *));
    }
}

static Status map(Reader *r, int depth, Yaml *y)
{
    for (;;) {
        Yaml *key, *value;
        TRY(next(r));
        if (r->event.type == YAML_MAPPING_END_EVENT) return yaml_check_keys(r->a, y, r->err);
        if (r->event.type == YAML_SCALAR_EVENT && r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
            str_eq((const char *)r->event.data.scalar.value, "<<"))
            return fail_at(r, r->event.start_mark, "merge keys (<<) are not read here; write the entries out");
        TRY(node(r, depth + 1, &key));
        if (!key->text) return yaml_fail(key, r->err, DYN_FORMAT, "a key must be a text or a number");
        TRY(next(r));
        TRY(node(r, depth + 1, &value));
        if (y->weight + value->weight >= YAML_MAX_NODES) return fail_at(r, r->event.start_mark, "too many nodes");
        if (!yaml_put(r->a, y, key, value)) return fail_nomem(r->err, sizeof(Yaml *));
    }
}

/* The node that starts with the current event. */
static Status node(Reader *r, int depth, Yaml **out)
{
    bool is_list = r->event.type == YAML_SEQUENCE_START_EVENT;
    char *anchor = NULL;
    if (r->event.type == YAML_ALIAS_EVENT) return alias(r, out);
    if (r->event.type == YAML_SCALAR_EVENT) return scalar(r, out);
    if (depth >= YAML_MAX_DEPTH) return fail_at(r, r->event.start_mark, "nested deeper than 64 levels");
    const yaml_char_t *tag = is_list ? r->event.data.sequence_start.tag : r->event.data.mapping_start.tag,
                      *name = is_list ? r->event.data.sequence_start.anchor : r->event.data.mapping_start.anchor;
    TRY(new_node(r, is_list ? YAML_LIST : YAML_MAP, out));
    TRY(check_tag(r, tag, *out));
    /* the event that holds the name is gone when the branch is complete */
    if (name && !(anchor = arena_strdup(r->a, (const char *)name))) return fail_nomem(r->err, 0);
    TRY(is_list ? list(r, depth, *out) : map(r, depth, *out));
    return remember(r, (const yaml_char_t *)anchor, *out);
}

static Status document(Reader *r, Yaml **root)
{
    TRY(next(r)); /* stream start */
    TRY(next(r));
    if (r->event.type == YAML_STREAM_END_EVENT) return (*root = yaml_null(r->a)) ? DYN_OK : fail_nomem(r->err, 0);
    TRY(next(r));
    TRY(node(r, 0, root));
    TRY(next(r)); /* document end */
    TRY(next(r));
    if (r->event.type != YAML_STREAM_END_EVENT)
        return fail_at(r, r->event.start_mark, "a second document (---) begins; one file holds one");
    return DYN_OK;
}

Status yaml_parse(Arena *a, const char *name, const char *text, size_t n, const Yaml **root, Error *err)
{
    Reader r = { .a = a, .err = err };
    Yaml *y = NULL;
    Status s;
    if (n > YAML_MAX_BYTES)
        return fail(err, DYN_FORMAT, "%s: %zu bytes of YAML, more than the %d that are read", name, n, YAML_MAX_BYTES);
    if (!(r.name = arena_strdup(a, name))) return fail_nomem(err, 0);
    if (!yaml_parser_initialize(&r.parser)) return fail_nomem(err, sizeof r.parser);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
    s = document(&r, &y);
    if (r.have_event) yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    if (s == DYN_OK) {
        if (!y->line) y->file = r.name, y->line = y->column = 1;
        *root = y;
    }
    return s;
}

Status yaml_read(Arena *a, const char *path, const Yaml **root, Error *err)
{
    char *text;
    size_t n;
    TRY(file_read(a, path, YAML_MAX_BYTES, &text, &n, err));
    return yaml_parse(a, path, text, n, root, err);
}

const char *yaml_kind_name(YamlKind k)
{
    static const char *const names[] = { "nothing", "true/false", "a whole number", "a number",
                                         "a text",  "a list",     "a map" };
    return names[k];
}

const Yaml *yaml_get(const Yaml *y, const char *key)
{
    if (!yaml_is(y, YAML_MAP)) return NULL;
    for (size_t i = 0; i < y->n; i++)
        if (str_eq(y->key[i]->text, key)) return y->item[i];
    return NULL;
}

Status yaml_fail(const Yaml *y, Error *err, Status s, const char *fmt, ...)
{
    char what[sizeof err->text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (!y->line) return fail(err, s, "%s%s%s", y->file, *y->file ? ": " : "", what);
    return fail(err, s, "%s:%d:%d: %s", y->file, y->line, y->column, what);
}

static Status wrong_kind(const Yaml *y, const char *what, const char *want, Error *err)
{
    if (y->kind == YAML_LIST || y->kind == YAML_MAP || y->kind == YAML_NULL)
        return yaml_fail(y, err, DYN_FORMAT, "%s must be %s, not %s", what, want, yaml_kind_name(y->kind));
    return yaml_fail(y, err, DYN_FORMAT, "%s must be %s, not '%.80s'", what, want, y->text);
}

Status yaml_as_kind(const Yaml *y, YamlKind kind, const char *what, Error *err)
{
    return y->kind == kind ? DYN_OK : wrong_kind(y, what, yaml_kind_name(kind), err);
}

Status yaml_as_int(const Yaml *y, const char *what, int64_t *x, Error *err)
{
    TRY(yaml_as_kind(y, YAML_INT, what, err));
    *x = y->i;
    return DYN_OK;
}

Status yaml_as_double(const Yaml *y, const char *what, double *x, Error *err)
{
    if (y->kind != YAML_INT && y->kind != YAML_FLOAT) return wrong_kind(y, what, "a number", err);
    *x = y->f;
    return DYN_OK;
}

Status yaml_as_bool(const Yaml *y, const char *what, bool *x, Error *err)
{
    TRY(yaml_as_kind(y, YAML_BOOL, what, err));
    *x = y->b;
    return DYN_OK;
}

Status yaml_as_text(const Yaml *y, const char *what, const char **x, Error *err)
{
    if (!y->text) return wrong_kind(y, what, "a text", err);
    *x = y->text;
    return DYN_OK;
}
