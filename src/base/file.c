/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever. */
FILE *file_open(const char *path, Error *err)
{
    struct stat st;
    FILE *f = NULL;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        fail_errno(err, "cannot open '%s'", path);
    else if (!S_ISREG(st.st_mode))
        fail(err, DYN_IO, "'%s' is not a regular file", path);
    else if (!(f = fdopen(fd, "rb")))
        fail_errno(err, "cannot open '%s'", path);
    if (!f && fd >= 0) close(fd);
    return f;
}

Status file_read(Arena *a, const char *path, size_t max, char **data, size_t *n, Error *err)
{
    FILE *f = file_open(path, err);
    struct stat st;
    Status s = DYN_OK;
    if (!f) return err->status;
    if (fstat(fileno(f), &st) != 0)
        s = fail_errno(err, "cannot read '%s'", path);
    else if ((uint64_t)st.st_size > max)
        s = fail(err, DYN_FORMAT, "'%s' has %lld bytes, more than the %zu allowed here", path, (long long)st.st_size,
                 max);
    else if (!(*data = arena_alloc(a, (size_t)st.st_size + 1)))
        s = fail_nomem(err, (size_t)st.st_size);
    else if ((*n = fread(*data, 1, (size_t)st.st_size, f)) != (size_t)st.st_size)
        s = fail(err, DYN_IO, "'%s' could be read only to byte %zu of %lld", path, *n, (long long)st.st_size);
    fclose(f);
    return s;
}

Status file_begin(FileWriter *w, const char *path, Error *err)
{
    int fd, n = snprintf(w->path, sizeof w->path, "%s", path);
    int m = snprintf(w->tmp, sizeof w->tmp, "%s" TMP_MARK "XXXXXX", path);
    w->f = NULL, w->unsynced = false;
    if (n < 0 || m < 0 || (size_t)m >= sizeof w->tmp) return fail(err, DYN_IO, "path too long: '%.80s...'", path);
    if ((fd = mkstemp(w->tmp)) < 0) return fail_errno(err, "cannot write '%s'", path);
    fchmod(fd, 0644);
    if (!(w->f = fdopen(fd, "wb"))) {
        close(fd);
        unlink(w->tmp);
        return fail_errno(err, "cannot write '%s'", path);
    }
    return DYN_OK;
}

/* A rename is on the disk when its folder is. Some file systems cannot sync a folder and say EINVAL: nothing to be
 * done.
 */
static bool sync_folder_of(const char *path)
{
    char dir[4096];
    size_t n = (size_t)(path_name(path) - path);
    memcpy(dir, n ? path : ".", n ? n : 1);
    dir[n ? n : 1] = 0;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL);
    int e = errno;
    if (fd >= 0) close(fd);
    errno = e;
    return ok;
}

Status file_end(FileWriter *w, bool ok, Error *err)
{
    if (ok && (fflush(w->f) != 0 || ferror(w->f) || (!w->unsynced && fsync(fileno(w->f)) != 0))) {
        ok = false;
        fail_errno(err, "cannot write '%s' (the old file, if any, is untouched)", w->path);
    }
    if (fclose(w->f) != 0 && ok) {
        ok = false;
        fail_errno(err, "cannot write '%s'", w->path);
    }
    w->f = NULL;
    if (ok && rename(w->tmp, w->path) != 0) {
        ok = false;
        fail_errno(err, "cannot rename '%s' to '%s'", w->tmp, w->path);
    }
    if (!ok) unlink(w->tmp);
    if (ok && !w->unsynced && !sync_folder_of(w->path)) {
        ok = false;
        fail_errno(err, "cannot sync the folder of '%s'", w->path);
    }
    return ok ? DYN_OK : err->status;
}

Status file_write(const char *path, const void *data, size_t n, Error *err)
{
    FileWriter w;
    TRY(file_begin(&w, path, err));
    bool ok = fwrite(data, 1, n, w.f) == n;
    if (!ok) fail_errno(err, "cannot write '%s'", path);
    return file_end(&w, ok, err);
}

Status file_append(const char *path, const char *text, bool sync, Error *err)
{
    struct stat st;
    size_t n = strlen(text);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    bool ok = fd >= 0 && fstat(fd, &st) == 0;
    if (ok) {
        ssize_t written = write(fd, text, n);
        if (written >= 0 && (size_t)written < n) errno = ENOSPC;
        ok = written >= 0 && (size_t)written == n && (!sync || fsync(fd) == 0);
        int e = errno;
        if (!ok && written > 0 && ftruncate(fd, st.st_size) != 0) e = errno;
        errno = e;
    }
    if (!ok) fail_errno(err, "cannot add to '%s'", path);
    if (fd >= 0) close(fd);
    return ok ? DYN_OK : err->status;
}

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool dir_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

Status dir_make_new(const char *path, bool *made, Error *err)
{
    char part[4096];
    size_t n = strlen(path);
    *made = false;
    if (n >= sizeof part) return fail(err, DYN_IO, "path too long: '%.80s...'", path);
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (part[i] != '/' && part[i] != 0) continue;
        part[i] = 0;
        *made = mkdir(part, 0777) == 0;
        if (!*made && errno != EEXIST) return fail_errno(err, "cannot make folder '%s'", part);
        part[i] = i < n ? '/' : 0;
    }
    return dir_exists(path) ? DYN_OK : fail(err, DYN_IO, "'%s' exists and is not a folder", path);
}

Status dir_make(const char *path, Error *err)
{
    bool made;
    return dir_make_new(path, &made, err);
}

/* The system forgets the claim when the process ends, however that happens. */
Status dir_claim(const char *dir, int *claim, Error *err)
{
    *claim = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*claim < 0) return fail_errno(err, "cannot open folder '%s'", dir);
    if (flock(*claim, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return DYN_OK; /* others: no locks here */
    dir_release(claim);
    return fail(err, DYN_IO, "another run is writing into '%s': wait for its end, or give another name=", dir);
}

void dir_release(int *claim)
{
    if (*claim >= 0) close(*claim);
    *claim = -1;
}

void dir_sweep(const char *dir)
{
    char path[4096];
    struct dirent *e;
    DIR *d = opendir(dir);
    while (d && (e = readdir(d)))
        if (strstr(e->d_name, TMP_MARK) && (size_t)snprintf(path, sizeof path, "%s/%s", dir, e->d_name) < sizeof path)
            unlink(path);
    if (d) closedir(d);
}

typedef struct Listing {
    Arena *a;
    char **path;
    size_t n, cap;
} Listing;

static Status list_into(Listing *l, const char *dir, bool recursive, int depth, Error *err)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    Status s = DYN_OK;
    if (!d) return fail_errno(err, "cannot open folder '%s'", dir);
    if (depth > 64) s = fail(err, DYN_IO, "folders nest deeper than 64 at '%s'", dir);
    while (s == DYN_OK && (e = readdir(d))) {
        struct stat st;
        char *path;
        if (e->d_name[0] == '.') continue;
        if (!(path = path_join(l->a, dir, e->d_name)) || !arena_grow(l->a, &l->path, l->n, &l->cap, sizeof *l->path))
            s = fail_nomem(err, strlen(dir));
        else if (stat(path, &st) != 0)
            continue; /* gone since, or a dangling link: nothing to list */
        else if (S_ISREG(st.st_mode))
            l->path[l->n++] = path;
        else if (recursive && S_ISDIR(st.st_mode))
            s = list_into(l, path, true, depth + 1, err);
    }
    closedir(d);
    return s;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

Status dir_list(Arena *a, const char *dir, bool recursive, char ***paths, size_t *n, Error *err)
{
    Listing l = { .a = a };
    TRY(list_into(&l, dir, recursive, 0, err));
    if (l.n) qsort(l.path, l.n, sizeof *l.path, by_bytes);
    *paths = l.path;
    *n = l.n;
    return DYN_OK;
}

const char *path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

const char *path_ext(const char *path)
{
    const char *name = path_name(path), *dot = strrchr(name, '.');
    return dot && dot != name ? dot + 1 : "";
}

char *path_stem(Arena *a, const char *path)
{
    const char *name = path_name(path), *dot = strrchr(name, '.');
    return arena_strndup(a, name, dot && dot != name ? (size_t)(dot - name) : strlen(name));
}

char *path_dir(Arena *a, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return arena_strdup(a, ".");
    return arena_strndup(a, path, slash == path ? 1 : (size_t)(slash - path));
}

char *path_join(Arena *a, const char *dir, const char *name)
{
    if (name[0] == '/' || !*dir) return arena_strdup(a, name);
    return arena_printf(a, "%s%s%s", dir, str_ends(dir, "/") ? "" : "/", name);
}
