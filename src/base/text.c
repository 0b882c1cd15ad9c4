/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool str_eq(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

bool str_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && strcmp(s + n - m, suffix) == 0;
}

bool str_ends_nocase(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && strcasecmp(s + n - m, suffix) == 0;
}

static locale_t c_locale;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* strtod reads the decimal point of the process's locale, which an application may have set to a comma. */
static double strtod_c(const char *s, char **end)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_c_locale);
    return c_locale ? strtod_l(s, end, c_locale) : strtod(s, end);
}

bool str_to_double(const char *s, double *x)
{
    char *end;
    if (!*s || isspace((unsigned char)*s)) return false;
    errno = 0;
    *x = strtod_c(s, &end);
    return !*end && end != s && (errno != ERANGE || (*x > -1 && *x < 1));
}

char *str_point(char *s)
{
    for (char *c = s; c && *c; c++)
        if (*c == ',') *c = '.';
    return s;
}

bool str_to_int(const char *s, int64_t *x)
{
    char *end;
    if (!*s || isspace((unsigned char)*s)) return false;
    errno = 0;
    *x = strtoll(s, &end, 10);
    return !*end && end != s && errno != ERANGE;
}

/* Levenshtein distance, case folded; texts longer than 63 are cut. */
static int distance(const char *a, const char *b)
{
    int row[64], n = (int)MIN(strlen(a), (size_t)63), m = (int)MIN(strlen(b), (size_t)63);
    for (int j = 0; j <= m; j++)
        row[j] = j;
    for (int i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            int same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
            int best = MIN(MIN(row[j], row[j - 1]) + 1, diagonal + !same);
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[m];
}

/* What came from a hostile file must not be able to write to the user's terminal. */
char *str_one_line(char *s)
{
    for (char *c = s; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    return s;
}

const char *str_nearest(Arena *a, const char *s, const char *const *names, size_t n)
{
    const char *best[3] = { 0 };
    int d[3] = { 0 }, found = 0, limit = (int)MAX(strlen(s) / 3, (size_t)2);
    for (size_t i = 0; i < n; i++) {
        int di = distance(s, names[i]), at = found;
        if (di > limit || (size_t)di >= MAX(strlen(s), strlen(names[i]))) continue;
        while (at > 0 && di < d[at - 1])
            at--;
        for (int k = MIN(found, 2); k > at; k--)
            best[k] = best[k - 1], d[k] = d[k - 1];
        if (at < 3) {
            best[at] = names[i], d[at] = di;
            found = MIN(found + 1, 3);
        }
    }
    const char *text = found == 0   ? ""
                       : found == 1 ? arena_printf(a, "'%s'", best[0])
                       : found == 2 ? arena_printf(a, "'%s' or '%s'", best[0], best[1])
                                    : arena_printf(a, "'%s', '%s' or '%s'", best[0], best[1], best[2]);
    return text ? text : "";
}

void text_add(Text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (t->failed || n < 0) return;
    if (t->n + (size_t)n + 1 > t->cap) {
        size_t cap = MAX(t->cap * 2, t->n + (size_t)n + 256);
        char *grown = arena_alloc(t->a, cap);
        if (!grown) {
            t->failed = true;
            return;
        }
        if (t->n) memcpy(grown, t->s, t->n);
        t->s = grown;
        t->cap = cap;
    }
    va_start(ap, fmt);
    vsnprintf(t->s + t->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    t->n += (size_t)n;
}

int str_utf8_length(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    int n = s[0] < 0x80                   ? 1
            : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
            : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
            : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                          : 0;
    for (int i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    return n;
}

void text_add_json(Text *t, const char *s)
{
    text_add(t, "\"");
    for (int len; *s; s += MAX(len, 1)) {
        len = str_utf8_length(s);
        if (len == 0)
            text_add(t, "\\ufffd");
        else if (*s == '"' || *s == '\\')
            text_add(t, "\\%c", *s);
        else if ((unsigned char)*s < 0x20)
            text_add(t, "\\u%04x", *s);
        else
            text_add(t, "%.*s", len, s);
    }
    text_add(t, "\"");
}

char *text_done(Text *t)
{
    if (t->failed) return NULL;
    return t->s ? t->s : arena_strdup(t->a, "");
}
