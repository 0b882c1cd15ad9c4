/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes a tree as YAML through libyaml's emitter, which knows when a text needs quotes to be the same text again; that
 * a text would read as a number, a truth or null is decided here, by the reader's own rules. */
#include "formats/yaml_util.h"

#include <yaml.h>

typedef struct Writer {
    yaml_emitter_t emitter;
    Arena *a;
    char *text;
    size_t n, cap;
    bool no_memory;
    Error *err;
} Writer;

/* yaml_write_handler_t */
static int collect(void *user, unsigned char *bytes, size_t n)
{
    Writer *w = user;
    if (w->cap - w->n <= n) {
        size_t cap = MAX(w->cap * 2, w->n + n + 4096);
        char *grown = arena_alloc(w->a, cap);
        w->no_memory = !grown;
        if (!grown) return 0;
        if (w->n) memcpy(grown, w->text, w->n);
        w->text = grown;
        w->cap = cap;
    }
    memcpy(w->text + w->n, bytes, n);
    w->n += n;
    return 1;
}

/* made: what the initialiser of the event said. yaml_emitter_emit takes the event over, also when it fails. */
static Status emit(Writer *w, int made, yaml_event_t *e)
{
    if (!made) return fail(w->err, DYN_FORMAT, "cannot write YAML: a text is not UTF-8, or memory is out");
    if (yaml_emitter_emit(&w->emitter, e)) return DYN_OK;
    if (w->no_memory) return fail_nomem(w->err, w->cap);
    return fail(w->err, DYN_FORMAT, "cannot write YAML: %s",
                w->emitter.problem ? w->emitter.problem : "no reason given");
}

static bool holds_map(const Yaml *y)
{
    for (size_t i = 0; i < y->n; i++)
        if (y->item[i]->kind == YAML_MAP || (y->item[i]->kind == YAML_LIST && holds_map(y->item[i]))) return true;
    return false;
}

static Status write_scalar(Writer *w, const Yaml *y)
{
    Yaml plain = { .text = y->text };
    yaml_event_t e;
    yaml_scalar_style_t style = YAML_PLAIN_SCALAR_STYLE;
    yaml_resolve(&plain);
    if (y->kind == YAML_STRING && plain.kind != YAML_STRING) style = YAML_SINGLE_QUOTED_SCALAR_STYLE;
    if (y->kind == YAML_STRING && strpbrk(y->text, "\n\r\t\x7f")) style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    const char *text = y->kind == YAML_NULL ? "null" : y->text;
    return emit(
        w, yaml_scalar_event_initialize(&e, NULL, NULL, (const yaml_char_t *)text, (int)strlen(text), 1, 1, style), &e);
}

static Status write_node(Writer *w, const Yaml *y, int depth)
{
    yaml_event_t e;
    if (depth > YAML_MAX_DEPTH) return fail(w->err, DYN_FORMAT, "cannot write YAML nested deeper than 64 levels");
    if (y->kind == YAML_LIST) {
        yaml_sequence_style_t style = holds_map(y) ? YAML_BLOCK_SEQUENCE_STYLE : YAML_FLOW_SEQUENCE_STYLE;
        TRY(emit(w, yaml_sequence_start_event_initialize(&e, NULL, NULL, 1, style), &e));
        for (size_t i = 0; i < y->n; i++)
            TRY(write_node(w, y->item[i], depth + 1));
        return emit(w, yaml_sequence_end_event_initialize(&e), &e);
    }
    if (y->kind == YAML_MAP) {
        TRY(emit(w, yaml_mapping_start_event_initialize(&e, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE), &e));
        for (size_t i = 0; i < y->n; i++) {
            TRY(write_scalar(w, y->key[i]));
            TRY(write_node(w, y->item[i], depth + 1));
        }
        return emit(w, yaml_mapping_end_event_initialize(&e), &e);
    }
    return write_scalar(w, y);
}

static Status write_document(Writer *w, const Yaml *root)
{
    yaml_event_t e;
    TRY(emit(w, yaml_stream_start_event_initialize(&e, YAML_UTF8_ENCODING), &e));
    TRY(emit(w, yaml_document_start_event_initialize(&e, NULL, NULL, NULL, 1), &e));
    TRY(write_node(w, root, 0));
    TRY(emit(w, yaml_document_end_event_initialize(&e, 1), &e));
    return emit(w, yaml_stream_end_event_initialize(&e), &e);
}

Status yaml_write(Arena *a, const Yaml *root, char **text, size_t *n, Error *err)
{
    Writer w = { .a = a, .err = err };
    Status s;
    if (!yaml_emitter_initialize(&w.emitter)) return fail_nomem(err, sizeof w.emitter);
    yaml_emitter_set_output(&w.emitter, collect, &w);
    yaml_emitter_set_unicode(&w.emitter, 1);
    yaml_emitter_set_width(&w.emitter, -1);
    s = write_document(&w, root);
    yaml_emitter_delete(&w.emitter);
    if (s != DYN_OK) return s;
    if (!collect(&w, (unsigned char *)"", 1)) return fail_nomem(err, w.cap);
    *text = w.text;
    *n = w.n - 1;
    return DYN_OK;
}
