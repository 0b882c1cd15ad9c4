/* SPDX-License-Identifier: Apache-2.0
 *
 * Which pictures a split has (spec 5.2): folders are walked, text files list one path a line. */
#include "data/data_impl.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_LIST_BYTES = 1 << 30 };

typedef struct Paths {
    Arena *a;
    char **path;
    size_t n, cap;
} Paths;

/* All that the reference takes; what cannot be decoded is then told as a problem instead of being passed over. */
const char *const picture_extensions[] = { "avif", "bmp", "dng", "heic", "heif", "jp2",  "jpeg", "jpeg2000",
                                           "jpg",  "mpo", "pfm", "png",  "tif",  "tiff", "webp", NULL };

static bool is_picture(const char *path)
{
    const char *ext = path_ext(path);
    for (const char *const *e = picture_extensions; *e; e++)
        if (strlen(ext) == strlen(*e) && str_ends_nocase(ext, *e)) return true;
    return false;
}

static Status add(Paths *p, char *path, Error *err)
{
    if (!path || !arena_grow(p->a, &p->path, p->n, &p->cap, sizeof *p->path)) return fail_nomem(err, 0);
    p->path[p->n++] = path;
    return DYN_OK;
}

static Status add_folder(Paths *p, const char *dir, Error *err)
{
    char **path;
    size_t n;
    TRY(dir_list(p->a, dir, true, &path, &n, err));
    for (size_t i = 0; i < n; i++)
        if (is_picture(path[i])) TRY(add(p, path[i], err));
    return DYN_OK;
}

/* Lines beginning "./" are relative to the list's own folder, others are taken as they are. */
static Status add_list(Paths *p, const char *file, Error *err)
{
    char *text;
    size_t n;
    const char *dir = path_dir(p->a, file);
    if (!dir) return fail_nomem(err, 0);
    TRY(file_read(p->a, file, MAX_LIST_BYTES, &text, &n, err));
    if (memchr(text, 0, n))
        return fail(err, DYN_FORMAT, "'%s' is not a text file; a source is a folder or a list of pictures", file);
    for (char *line = text, *save; (line = strtok_r(line, "\r\n", &save)); line = NULL) {
        line += strspn(line, " \t");
        for (size_t len = strlen(line); len && (line[len - 1] == ' ' || line[len - 1] == '\t'); len--)
            line[len - 1] = 0;
        if (is_picture(line)) TRY(add(p, str_starts(line, "./") ? path_join(p->a, dir, line + 2) : line, err));
    }
    return DYN_OK;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

Status data_discover(Arena *a, const DataSources *from, char ***path, size_t *n, Error *err)
{
    Paths p = { .a = a };
    for (size_t i = 0; i < from->n; i++)
        TRY(dir_exists(from->path[i]) ? add_folder(&p, from->path[i], err) : add_list(&p, from->path[i], err));
    if (p.n) qsort(p.path, p.n, sizeof *p.path, by_bytes);
    *path = p.path, *n = p.n;
    if (!p.n)
        return fail(err, DYN_FORMAT, "no pictures in '%s'%s", from->n ? from->path[0] : "", from->n > 1 ? ", ..." : "");
    return DYN_OK;
}

char *data_label_path(Arena *a, const char *picture)
{
    static const char folder[] = "images/";
    const char *last = NULL, *ext = strrchr(path_name(picture), '.');
    int stem = ext ? (int)(ext - picture) : (int)strlen(picture);
    for (const char *p = picture; (p = strstr(p, folder)); p++)
        if (p == picture || p[-1] == '/') last = p;
    if (!last) return arena_printf(a, "%.*s.txt", stem, picture);
    const char *rest = last + sizeof folder - 1;
    return arena_printf(a, "%.*slabels/%.*s.txt", (int)(last - picture), picture, stem - (int)(rest - picture), rest);
}
