/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as the words of a command line, one a line, up to the options of its mode. What is accepted lies in range,
 * and each option's text, which args.yaml and checkpoints keep, gives the option again. */
#include "../src/cli/words.h"
#include "api/api.h"
#include "api/options.h"

#include <stdlib.h>

enum { MAX_WORDS = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void no_warning(const char *line)
{
    if (!*line) abort();
}

static void check_ids(const char *text, const char *key, Arena *a)
{
    int32_t *ids;
    size_t n;
    Error err;
    if (parse_ids(text, key, a, &ids, &n, &err) != DYN_OK) return;
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0) abort();
}

static void check_options(const DynOptions *o, DynMode mode, Arena *a)
{
    Error err;
    DynOptions back;
    size_t n;
    const DynOptionRow *row = dyn_option_rows(&n);
    if (options_check(o, mode, &err) != DYN_OK && o->imgsz[0] == o->imgsz[1]) abort();
    dyn_options_defaults(&back, mode);
    for (size_t i = 0; i < n; i++) {
        if (!(row[i].modes >> mode & 1) || row[i].offset == (size_t)-1 || str_eq(row[i].key, "cfg")) continue;
        const char *text = options_text(o, &row[i], a), *note, *second;
        if (dyn_option_set(&back, mode, row[i].key, text, &note, &err) != DYN_OK) abort();
        if (!(second = options_text(&back, &row[i], a)) || !str_eq(text, second)) abort();
    }
    check_ids(o->classes, "classes", a);
    check_ids(o->freeze, "freeze", a);
}

static int split(char *text, char **words)
{
    int n = 0;
    for (char *save, *w = strtok_r(text, "\n", &save); w && n < MAX_WORDS; w = strtok_r(NULL, "\n", &save))
        words[n++] = w;
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *words[MAX_WORDS], *joined[MAX_WORDS];
    Arena *a = arena_new();
    DynContext *ctx;
    DynOptions o;
    DynError err = { 0 };
    char *text = arena_strndup(a, (const char *)data, n), *room = arena_alloc(a, n + 1);
    if (dyn_open(NULL, &ctx, &err) != DYN_OK) abort();
    int count = words_join(split(text, words), words, room, joined), mode = words_mode(&count, joined, no_warning);
    if (mode >= 0) {
        if (words_options(ctx, &o, (DynMode)mode, count, joined, no_warning, &err) == DYN_OK)
            check_options(&o, (DynMode)mode, a);
        else if (strlen(err.text) < 10)
            abort();
    }
    dyn_close(&ctx);
    arena_free(&a);
    return 0;
}
