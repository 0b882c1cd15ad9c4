/* SPDX-License-Identifier: Apache-2.0
 *
 * The stock model files, compiled in, and the rules of file names that carry a scale letter (spec 1.2). */
#include "model/rows.h"

#include <ctype.h>

static const struct {
    const char *name;
    const unsigned char *text;
} STOCK[] = {
#define X(name, ...) { name, (const unsigned char[]) { __VA_ARGS__ } },
#include <model_stock.gen.h>
#undef X
};

const char *model_stock(int i, const char **text)
{
    if (i < 0 || (size_t)i >= COUNT_OF(STOCK)) return NULL;
    if (text) *text = (const char *)STOCK[i].text;
    return STOCK[i].name;
}

const char *stock_text(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(STOCK); i++)
        if (str_eq(STOCK[i].name, name)) return (const char *)STOCK[i].text;
    return NULL;
}

/* Where the scale letter stands: after "yolo", an optional v, digits; before the end of the name, '-', '_', '.' or
 * "6". */
static const char *letter_at(const char *path)
{
    const char *s = path_name(path);
    if (!str_starts(s, "yolo")) return NULL;
    s += strlen("yolo");
    if (*s == 'v') s++;
    if (!isdigit((unsigned char)*s)) return NULL;
    while (isdigit((unsigned char)*s))
        s++;
    if (!*s || !strchr("nsmlx", *s)) return NULL;
    const char *after = s + 1;
    if (*after == '6') after++;
    return !*after || strchr("-_.", *after) ? s : NULL;
}

char scale_letter(const char *path)
{
    const char *s = letter_at(path);
    return s ? *s : 0;
}

const char *unified_name(Arena *a, const char *path)
{
    const char *s = letter_at(path);
    if (!s) return path;
    const char *rest = s[1] == '6' ? s + 2 : s + 1;
    char *name = arena_printf(a, "%.*s%s%s", (int)(s - path), path, s[1] == '6' ? "-p6" : "", rest);
    return name ? name : path;
}
