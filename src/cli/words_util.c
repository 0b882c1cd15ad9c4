/* SPDX-License-Identifier: Apache-2.0 */
#include "words.h"

#include <stdio.h>
#include <string.h>

/* ---- words --------------------------------------------------------------------------------------------------- */

static bool continues(const char *before, const char *w)
{
    const char *eq = strchr(before, '='), *list = eq ? strchr(eq, '[') : NULL;
    size_t name = strspn(w, "abcdefghijklmnopqrstuvwxyz0123456789_");
    if (list && list == eq + 1 && !strchr(list, ']')) return true;
    if (w[0] == '=') return !eq;
    return eq && !eq[1] && (!name || w[name] != '='); /* `model= source=x` leaves model empty */
}

/* The words lie one after another in text, so that joining two is leaving out the zero byte between them. */
int words_join(int n, char **in, char *text, char **out)
{
    int k = 0;
    for (int i = 0; i < n; i++) {
        if (!k || !continues(out[k - 1], in[i]))
            out[k++] = text;
        else
            text--;
        size_t size = strlen(in[i]) + 1;
        memcpy(text, in[i], size);
        text += size;
    }
    return k;
}

static int take_word(int *n, char **words, int i, const char *name)
{
    int mode = dyn_mode_from_name(name);
    if (mode < 0) return mode;
    memmove(&words[i], &words[i + 1], (size_t)(*n - i - 1) * sizeof *words);
    --*n;
    return mode;
}

int words_mode(int *n, char **words, WordsWarn *warn)
{
    int mode = -1;
    bool options = false;
    for (int i = 0; i < *n && mode < 0; i++)
        if (!strchr(words[i], '=')) mode = take_word(n, words, i, words[i]);
    for (int i = 0; i < *n && mode < 0; i++) {
        options |= strchr(words[i], '=') != NULL;
        if (strncmp(words[i], "mode=", 5) == 0) mode = take_word(n, words, i, words[i] + 5);
    }
    if (mode >= 0 || !options) return mode;
    warn("no mode is given: train");
    return DYN_TRAIN;
}

/* ---- options ------------------------------------------------------------------------------------------------- */

/* Does the option read True and False? Only those may stand without a value. */
static bool is_switch(DynMode mode, const char *key)
{
    size_t n;
    const DynOptionRow *row = dyn_option_rows(&n);
    for (size_t i = 0; i < n; i++)
        if (row[i].modes >> mode & 1 && strcmp(row[i].key, key) == 0)
            return row[i].type == DYN_BOOL || row[i].offset == (size_t)-1 ||
                   (row[i].def && (strcmp(row[i].def, "True") == 0 || strcmp(row[i].def, "False") == 0));
    return true; /* unknown: told by dyn_option_set */
}

static DynStatus usage_error(DynError *err, const char *fmt, const char *word, const char *more)
{
    err->status = DYN_USAGE;
    snprintf(err->text, sizeof err->text, fmt, word, more);
    return DYN_USAGE;
}

static void warn_about(WordsWarn *warn, const char *word, const char *what)
{
    char line[512];
    snprintf(line, sizeof line, "%.300s: %s", word, what);
    warn(line);
}

static DynStatus set_word(DynContext *ctx, DynOptions *o, DynMode mode, char *word, WordsWarn *warn, DynError *err)
{
    const char *note;
    size_t n = strlen(word);
    if (strncmp(word, "--", 2) == 0) {
        warn_about(warn, word, "options are written without dashes, key=value");
        word += 2, n -= 2;
    }
    if (n && word[n - 1] == ',') {
        warn_about(warn, word, "the comma at its end is dropped");
        word[n - 1] = 0;
    }
    char *eq = strchr(word, '=');
    if (eq) *eq = 0;
    if (eq && strcmp(word, "cfg") == 0) return dyn_options_load(ctx, o, mode, eq + 1, err);
    if (!eq && !is_switch(mode, word)) return usage_error(err, "'%.200s' needs a value: %.200s=...", word, word);
    DynStatus s = dyn_option_set(o, mode, word, eq ? eq + 1 : "True", &note, err);
    if (s != DYN_OK && !eq) {
        char why[sizeof err->text];
        memcpy(why, err->text, sizeof why);
        usage_error(err, "'%.200s' is no mode and no key=value; %.600s", word, why);
    }
    if (s == DYN_OK && note) warn_about(warn, word, note);
    return s;
}

DynStatus words_options(DynContext *ctx, DynOptions *o, DynMode mode, int n, char **words, WordsWarn *warn,
                        DynError *err)
{
    DynStatus s = DYN_OK;
    dyn_options_defaults(o, mode);
    for (int i = 0; i < n && s == DYN_OK; i++)
        s = set_word(ctx, o, mode, words[i], warn, err);
    return s;
}
