/* SPDX-License-Identifier: Apache-2.0
 *
 * What a plain scalar means: the implicit types of YAML 1.1 (yaml.org/type: null, bool, int, float), in the variants
 * that PyYAML's safe loader knows; yaml.h names the differences. Also the constructors of nodes. */
#include "formats/yaml_util.h"

#include <ctype.h>
#include <math.h>

static bool one_of(const char *s, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(s, list[i])) return true;
    return false;
}

/* Digits of a base with underscores among them, the first no underscore; overflow is left to the caller as a float. */
static bool read_digits(const char *s, int base, uint64_t *x, double *f)
{
    bool fits = true;
    *x = 0, *f = 0;
    if (!*s || *s == '_') return false;
    for (; *s; s++) {
        int d = isdigit((unsigned char)*s) ? *s - '0' : isxdigit((unsigned char)*s) ? (*s | 32) - 'a' + 10 : 99;
        if (*s == '_') continue;
        if (d >= base) return false;
        *f = *f * base + d;
        fits = fits && *x <= (UINT64_MAX - (uint64_t)d) / (uint64_t)base;
        if (fits) *x = *x * (uint64_t)base + (uint64_t)d;
    }
    if (!fits) *x = UINT64_MAX;
    return true;
}

static bool resolve_int(Yaml *y, const char *s)
{
    bool minus = *s == '-';
    uint64_t x;
    double f;
    s += *s == '-' || *s == '+';
    int base = 10;
    if (s[0] == '0' && s[1] == 'x')
        base = 16, s += 2;
    else if (s[0] == '0' && s[1] == 'b')
        base = 2, s += 2;
    else if (s[0] == '0' && s[1])
        base = 8;
    if (!read_digits(s, base, &x, &f)) return false;
    y->f = minus ? -f : f;
    if (x > (uint64_t)INT64_MAX + minus) {
        y->kind = YAML_FLOAT;
        if (base == 10 && str_to_double(y->text, &f)) y->f = f; /* rounded once, not at every digit */
    } else {
        y->kind = YAML_INT;
        y->i = minus ? (int64_t)(0 - x) : (int64_t)x;
        y->f = (double)y->i;
    }
    return true;
}

/* [-+] digits [. digits] [e [-+] digits], at least one digit before the e and a dot or an e somewhere. */
static bool float_shaped(const char *s)
{
    size_t digits = 0;
    bool dot = false, exponent = false;
    s += *s == '-' || *s == '+';
    for (; isdigit((unsigned char)*s) || (*s == '.' && !dot) || (*s == '_' && digits); s++) {
        dot |= *s == '.';
        digits += isdigit((unsigned char)*s) != 0;
    }
    if (digits && (*s == 'e' || *s == 'E')) {
        exponent = true;
        s++;
        s += *s == '-' || *s == '+';
        if (!isdigit((unsigned char)*s)) return false;
        while (isdigit((unsigned char)*s))
            s++;
    }
    return !*s && digits && (dot || exponent);
}

static bool resolve_float(Yaml *y, const char *s)
{
    static const char *const inf[] = { ".inf", ".Inf", ".INF" }, *const nan[] = { ".nan", ".NaN", ".NAN" };
    char clean[400];
    size_t n = 0;
    const char *unsigned_part = s + (*s == '-' || *s == '+');
    if (one_of(unsigned_part, inf, COUNT_OF(inf)))
        y->f = *s == '-' ? -INFINITY : INFINITY;
    else if (one_of(s, nan, COUNT_OF(nan)))
        y->f = NAN;
    else if (!float_shaped(s))
        return false;
    else {
        for (; *s; s++) {
            if (*s == '_') continue;
            if (n + 1 >= sizeof clean) return false; /* four hundred digits are no number that anyone meant */
            clean[n++] = *s;
        }
        clean[n] = 0;
        /* beyond the range of a double: Python, too, reads infinity */
        if (!str_to_double(clean, &y->f)) y->f = *clean == '-' ? -INFINITY : INFINITY;
    }
    y->kind = YAML_FLOAT;
    return true;
}

void yaml_resolve(Yaml *y)
{
    static const char *const null[] = { "", "~", "null", "Null", "NULL", "None" };
    static const char *const yes[] = { "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON" };
    static const char *const no[] = { "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF" };
    const char *s = y->text;
    if (one_of(s, null, COUNT_OF(null))) {
        y->kind = YAML_NULL;
    } else if (one_of(s, yes, COUNT_OF(yes)) || one_of(s, no, COUNT_OF(no))) {
        y->kind = YAML_BOOL;
        y->b = one_of(s, yes, COUNT_OF(yes));
        y->i = y->b;
    } else if (!resolve_int(y, s) && !resolve_float(y, s)) {
        y->kind = YAML_STRING;
    }
}

static Yaml *new_node(Arena *a, YamlKind kind, const char *text)
{
    Yaml *y = ARENA_NEW(a, Yaml);
    if (!y) return NULL;
    *y = (Yaml) { .kind = kind, .file = "", .weight = 1 };
    if (text && !(y->text = arena_strdup(a, text))) return NULL;
    return y;
}

Yaml *yaml_scalar(Arena *a, const char *text)
{
    Yaml *y = new_node(a, YAML_STRING, text ? text : "");
    if (y) yaml_resolve(y);
    return y;
}

Yaml *yaml_null(Arena *a)
{
    return new_node(a, YAML_NULL, "null");
}

Yaml *yaml_bool(Arena *a, bool b)
{
    Yaml *y = new_node(a, YAML_BOOL, b ? "true" : "false");
    if (y) y->b = b, y->i = b;
    return y;
}

Yaml *yaml_int(Arena *a, int64_t i)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)i);
    Yaml *y = new_node(a, YAML_INT, text);
    if (y) y->i = i, y->f = (double)i;
    return y;
}

/* The shortest decimal that reads back to the same double, always with a point, as YAML 1.1 wants it of a float. */
static void print_double(double f, char text[48])
{
    char raw[40], *o = text;
    double back;
    bool dot = false;
    if (!isfinite(f)) {
        snprintf(text, 48, "%s", isnan(f) ? ".nan" : f > 0 ? ".inf" : "-.inf");
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(raw, sizeof raw, "%.*g", digits, f);
        for (char *p = raw; *p; p++) /* the decimal point of the process's locale */
            if (!strchr("+-0123456789e", *p)) *p = '.';
        if (str_to_double(raw, &back) && back == f) break;
    }
    for (const char *p = raw; *p; p++) {
        if (*p == 'e' && !dot) *o++ = '.', *o++ = '0', dot = true;
        dot |= *p == '.';
        *o++ = *p;
    }
    if (!dot) *o++ = '.', *o++ = '0';
    *o = 0;
}

Yaml *yaml_float(Arena *a, double f)
{
    char text[48];
    print_double(f, text);
    Yaml *y = new_node(a, YAML_FLOAT, text);
    if (y) y->f = f;
    return y;
}

Yaml *yaml_string(Arena *a, const char *s)
{
    return new_node(a, YAML_STRING, s);
}

Yaml *yaml_list(Arena *a)
{
    return new_node(a, YAML_LIST, NULL);
}

Yaml *yaml_map(Arena *a)
{
    return new_node(a, YAML_MAP, NULL);
}

bool yaml_append(Arena *a, Yaml *list, Yaml *item)
{
    if (!list || !item || !arena_grow(a, &list->item, list->n, &list->cap, sizeof(Yaml *))) return false;
    list->item[list->n++] = item;
    list->weight += item->weight;
    return true;
}

bool yaml_put(Arena *a, Yaml *map, Yaml *key, Yaml *value)
{
    if (!map || !key || !value) return false;
    size_t cap = map->cap;
    if (!arena_grow(a, &map->key, map->n, &cap, sizeof(Yaml *))) return false;
    if (!arena_grow(a, &map->item, map->n, &map->cap, sizeof(Yaml *))) return false;
    map->key[map->n] = key;
    map->item[map->n++] = value;
    map->weight += 1 + value->weight;
    return true;
}

bool yaml_set(Arena *a, Yaml *map, const char *key, Yaml *value)
{
    return yaml_put(a, map, yaml_string(a, key), value);
}
