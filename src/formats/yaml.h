/* SPDX-License-Identifier: Apache-2.0
 *
 * yaml - YAML text as a plain tree, and a tree as YAML text.
 *
 * One input type for everything that describes: model and data files, argument files, values of the command line, and
 * the dictionaries found in .pt files (pt.h). Nodes live in an arena and are read-only once parsed. */
#ifndef FORMATS_YAML_H
#define FORMATS_YAML_H

#include "base/base.h"

typedef enum YamlKind { YAML_NULL, YAML_BOOL, YAML_INT, YAML_FLOAT, YAML_STRING, YAML_LIST, YAML_MAP } YamlKind;

typedef struct Yaml Yaml;
struct Yaml {
    YamlKind kind;
    int line, column; /* from 1; 0 when the node does not come from text */
    const char *file; /* for messages; never NULL */
    const char *text; /* every scalar: what was written, quotes and escapes resolved; NULL for LIST and MAP */
    bool b;           /* BOOL */
    int64_t i;        /* INT; BOOL as 0 or 1 */
    double f;         /* FLOAT; INT as double too */
    size_t n;         /* LIST: items; MAP: pairs */
    Yaml **item;      /* [n] items of a LIST, values of a MAP, never NULL */
    Yaml **key;       /* [n] scalar keys of a MAP, unlike one another, in the file's order */
    size_t cap;       /* room in item and key while the tree is built */
    size_t weight;    /* nodes below and with this one, aliases counted each time they are used */
};

enum {
    YAML_MAX_BYTES = 16 << 20,
    YAML_MAX_NODES = 100000,
    YAML_MAX_DEPTH = 64,
};

/* ---- reading -------------------------------------------------------------------------------------------------
 *
 * Plain scalars are read as YAML 1.1 has them (PyYAML's safe loader), with these differences: `1e-3` and `1e5` are
 * numbers, `None` is null, an integer beyond 64 bits is a float, and dates and sexagesimal numbers (`1:30`) stay text.
 * Quoted scalars are text. Anchors and aliases work (nodes are then shared); merge keys (`<<`), duplicate keys, keys
 * that are lists or maps, tags other than the standard ones, a second document and texts with a zero byte are errors.
 * Every error is DYN_FORMAT and begins with "name:line:column". An empty text is a NULL node. */
Status yaml_parse(Arena *a, const char *name, const char *text, size_t n, const Yaml **root, Error *err);
/* The same from a file; DYN_IO when it cannot be read. */
Status yaml_read(Arena *a, const char *path, const Yaml **root, Error *err);
/* One plain scalar as the rules above resolve it (never fails for content; NULL when out of memory). No
 * text is an empty one: null. */
Yaml *yaml_scalar(Arena *a, const char *text);

/* ---- looking in ---------------------------------------------------------------------------------------------- */

const char *yaml_kind_name(YamlKind k); /* "a whole number", "a list", ... for messages */
/* Value of a key by its text; NULL when it is absent or y is NULL or no MAP. */
const Yaml *yaml_get(const Yaml *y, const char *key);
static inline bool yaml_is(const Yaml *y, YamlKind k)
{
    return y && y->kind == k;
}
/* fail with "file:line:column: " in front, for whoever finds a node wrong. */
Status yaml_fail(const Yaml *y, Error *err, Status s, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* The node as a value of a type. `what` names it in the error: "m.yaml:3:5: nc must be a whole number, not a list".
 * yaml_as_double takes INT too; yaml_as_text takes any scalar and gives it as written ("yes", "007"). */
Status yaml_as_int(const Yaml *y, const char *what, int64_t *x, Error *err);
Status yaml_as_double(const Yaml *y, const char *what, double *x, Error *err);
Status yaml_as_bool(const Yaml *y, const char *what, bool *x, Error *err);
Status yaml_as_text(const Yaml *y, const char *what, const char **x, Error *err);
/* Fails unless y has the kind. */
Status yaml_as_kind(const Yaml *y, YamlKind kind, const char *what, Error *err);

/* ---- building and writing ------------------------------------------------------------------------------------
 *
 * Constructors give NULL when out of memory, and the two that join take a NULL node and then say false, so that a chain
 * of calls needs one check. */
Yaml *yaml_null(Arena *a);
Yaml *yaml_bool(Arena *a, bool b);
Yaml *yaml_int(Arena *a, int64_t i);
Yaml *yaml_float(Arena *a, double f);
Yaml *yaml_string(Arena *a, const char *s); /* s is copied */
Yaml *yaml_list(Arena *a);
Yaml *yaml_map(Arena *a);
bool yaml_append(Arena *a, Yaml *list, Yaml *item);
bool yaml_put(Arena *a, Yaml *map, Yaml *key, Yaml *value); /* the caller sees to it that keys differ */
bool yaml_set(Arena *a, Yaml *map, const char *key, Yaml *value);

/* The tree as text that yaml_parse and PyYAML read back to the same values: maps in block style, lists without maps
 * in them in flow style on one line, strings quoted where they would read as something else. *text ends with a newline
 * and has a zero byte after its n bytes. DYN_FORMAT when a text is not UTF-8 or the tree is deeper than YAML_MAX_DEPTH.
 */
Status yaml_write(Arena *a, const Yaml *root, char **text, size_t *n, Error *err);

#endif
