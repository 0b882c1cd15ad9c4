/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/source.h"
#include "image/image.h"

#include <glob.h>
#include <string.h>

static Status keep_pictures(const char *source, char **all, size_t n, char ***paths, size_t *kept, Error *err)
{
    *paths = all;
    *kept = 0;
    for (size_t i = 0; i < n; i++)
        if (image_extension_known(path_ext(all[i]))) all[(*kept)++] = all[i];
    if (*kept) return DYN_OK;
    return fail(err, DYN_USAGE, "source '%s': %zu files, none of them a picture (jpg, png, bmp, webp, tif, gif, ...)",
                source, n);
}

static Status from_glob(Arena *a, const char *source, char ***paths, size_t *n, Error *err)
{
    glob_t g = { 0 };
    char **all = NULL;
    int rc = glob(source, 0, NULL, &g);
    size_t count = rc == 0 ? g.gl_pathc : 0;
    Status s = DYN_OK;
    if (rc != 0)
        s = fail(err, DYN_USAGE, "source '%s' matches no file", source);
    else if (!(all = ARENA_ARRAY(a, char *, count + 1)))
        s = fail_nomem(err, count * sizeof *all);
    size_t files = 0;
    for (size_t i = 0; s == DYN_OK && i < count; i++) {
        if (dir_exists(g.gl_pathv[i])) continue;
        if (!(all[files++] = arena_strdup(a, g.gl_pathv[i]))) s = fail_nomem(err, 1);
    }
    globfree(&g);
    return s == DYN_OK ? keep_pictures(source, all, files, paths, n, err) : s;
}

static Status from_list(Arena *a, const char *source, char ***paths, size_t *n, Error *err)
{
    enum { MAX_LIST = 256 << 20 };
    char *text, *dir = path_dir(a, source);
    size_t size, cap = 0;
    TRY(file_read(a, source, MAX_LIST, &text, &size, err));
    if (!dir) return fail_nomem(err, 1);
    *paths = NULL;
    *n = 0;
    for (char *next, *line = text; line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        size_t len = strlen(line);
        while (len && strchr(" \t\r", line[len - 1]))
            line[--len] = 0;
        line += strspn(line, " \t");
        if (!*line) continue;
        if (!arena_grow(a, paths, *n, &cap, sizeof **paths)) return fail_nomem(err, cap);
        char *beside = file_exists(line) ? line : path_join(a, dir, line);
        if (!beside) return fail_nomem(err, len);
        (*paths)[(*n)++] = beside;
    }
    return *n ? DYN_OK : fail(err, DYN_USAGE, "source list '%s' names no picture", source);
}

Status source_list(Arena *a, const char *source, char ***paths, size_t *n, Error *err)
{
    char **all;
    size_t count;
    if (dir_exists(source)) {
        TRY(dir_list(a, source, false, &all, &count, err));
        return keep_pictures(source, all, count, paths, n, err);
    }
    if (file_exists(source)) {
        if (str_ends_nocase(source, ".txt")) return from_list(a, source, paths, n, err);
        if (!(*paths = ARENA_NEW(a, char *)) || !((*paths)[0] = arena_strdup(a, source))) return fail_nomem(err, 1);
        *n = 1;
        return DYN_OK;
    }
    if (strpbrk(source, "*?[")) return from_glob(a, source, paths, n, err);
    if (strstr(source, "://"))
        return fail(err, DYN_UNSUPPORTED,
                    "source '%s': addresses are not read; give a file, a folder, a glob or a .txt list", source);
    return fail(err, DYN_USAGE, "source '%s' does not exist", source);
}
