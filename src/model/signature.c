/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads the one-line signature of a module, `name:type(choices)[lo,hi]?=default ...`. */
#include "model/args.h"

#include <ctype.h>
#include <float.h>

static const char *const TYPE_NAMES[] = { "int", "float", "bool", "text", "act", "ints", "channels", "repeat" };

/* A copy of [*s, up to any of stop), *s moved there. */
static char *take(Arena *a, const char **s, const char *stop)
{
    size_t n = strcspn(*s, stop);
    char *text = arena_strndup(a, *s, n);
    *s += n;
    return text;
}

static bool parse_type(Arena *a, const char **s, ArgField *f)
{
    f->type = ARG_INT;
    if (**s != ':') return true;
    ++*s;
    char *name = take(a, s, "([?= ");
    for (size_t i = 0; name && i < COUNT_OF(TYPE_NAMES); i++)
        if (str_eq(name, TYPE_NAMES[i])) {
            f->type = (ArgType)i;
            return true;
        }
    return false;
}

static bool parse_bound(Arena *a, const char **s, const char *stop, double *x)
{
    char *text = take(a, s, stop);
    return text && **s == *stop && ((*s)++, !*text || str_to_double(text, x));
}

static bool parse_field(Arena *a, const char **s, ArgField *f)
{
    *f = (ArgField) { .lo = -DBL_MAX, .hi = DBL_MAX };
    f->name = take(a, s, ":?= ");
    if (!f->name || !*f->name || !parse_type(a, s, f)) return false;
    if (f->type == ARG_CHANNELS) f->lo = 1, f->hi = 65536;
    if (**s == '(') {
        ++*s;
        f->choices = take(a, s, ")");
        if (!f->choices || *(*s)++ != ')') return false;
    }
    if (**s == '[') {
        ++*s;
        if (!parse_bound(a, s, ",", &f->lo) || !parse_bound(a, s, "]", &f->hi)) return false;
    }
    if (**s == '?') f->nullable = true, ++*s;
    if (**s == '=') {
        ++*s;
        f->def = take(a, s, " ");
        if (!f->def) return false;
    }
    return !**s || **s == ' ';
}

bool signature_parse(Arena *a, const char *text, Signature *s)
{
    s->n = 0;
    while (*(text += strspn(text, " ")))
        if (s->n == MAX_ARGS || !parse_field(a, &text, &s->field[s->n++])) return false;
    return true;
}

bool signature_has(const Signature *s, ArgType t)
{
    for (int i = 0; i < s->n; i++)
        if (s->field[i].type == t) return true;
    return false;
}

const char *signature_text(Arena *a, const char *module, const Signature *s)
{
    const char *text = arena_printf(a, "%s[", module), *sep = "";
    for (int i = 0; text && i < s->n; i++) {
        const ArgField *f = &s->field[i];
        if (f->type == ARG_REPEAT) continue;
        text = f->def ? arena_printf(a, "%s%s%s=%s", text, sep, f->name, f->def)
                      : arena_printf(a, "%s%s%s", text, sep, f->name);
        sep = ", ";
    }
    text = text ? arena_printf(a, "%s]", text) : NULL;
    return text ? text : module;
}
