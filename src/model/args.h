/* SPDX-License-Identifier: Apache-2.0
 *
 * args - one parser for every module's argument row: positional, by name, defaults, types, ranges, choices. */
#ifndef MODEL_ARGS_H
#define MODEL_ARGS_H

#include "formats/yaml.h"
#include "model/builder.h"

/* What a row is read with: the model's class count (text `nc`), and what its width scaling does to `channels`. */
typedef struct ArgContext {
    Arena *a;
    const ModuleDef *def;
    int64_t nc, repeat;
    double width; /* 0: widths stay as written (a module by itself) */
    int64_t max_channels;
    bool width_nc_quirk; /* a width equal to nc stays unscaled, as the reference leaves it (spec 1.4, rule 4) */
} ArgContext;

typedef enum ArgType { ARG_INT, ARG_FLOAT, ARG_BOOL, ARG_TEXT, ARG_ACT, ARG_INTS, ARG_CHANNELS, ARG_REPEAT } ArgType;

enum { MAX_ARGS = 24 };

typedef struct ArgField {
    const char *name, *def, *choices; /* def NULL: required; choices "a|b" or NULL */
    ArgType type;
    double lo, hi;
    bool nullable;
} ArgField;

typedef struct Signature {
    ArgField field[MAX_ARGS];
    int n;
} Signature;

/* Reads ModuleDef.args; false when it is malformed (a mistake in the module's file; the tests walk all). */
bool signature_parse(Arena *a, const char *text, Signature *s);
bool signature_has(const Signature *s, ArgType t);
/* "C2f[c_out, shortcut=false, g=1, e=0.5]" for messages. */
const char *signature_text(Arena *a, const char *module, const Signature *s);

/* args: the row's list or map (or NULL). Errors carry file, line and the signature. */
Status args_bind(const ArgContext *c, const Yaml *args, const ModuleArgs **out, Error *err);
/* The row's arguments as the reference's table prints them: "[16, 32, 3, 2]". c_in: the inputs' widths. */
const char *args_print(Arena *a, const ModuleArgs *m, const int64_t *c_in, int n_in);

#endif
