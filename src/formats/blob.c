/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/blob.h"

#include <stdlib.h>

const Blob *blob_find(const BlobFile *f, const char *name)
{
    for (size_t i = 0; i < f->n; i++)
        if (str_eq(f->blob[i].name, name)) return &f->blob[i];
    return NULL;
}

const char *blob_note(const BlobFile *f, const char *key)
{
    for (size_t i = 0; i < f->n_note; i++)
        if (str_eq(f->note[i].key, key)) return f->note[i].value;
    return NULL;
}

int64_t blob_count(const Blob *b)
{
    return (int64_t)(b->bytes / dtype_bytes(b->dtype));
}

bool blob_set_bytes(Blob *b)
{
    uint64_t n = dtype_bytes(b->dtype);
    bool empty = false;
    if (b->rank < 0 || b->rank > BLOB_MAX_RANK) return false;
    for (int i = 0; i < b->rank; i++) {
        if (b->dim[i] < 0) return false;
        if (b->dim[i] == 0) {
            empty = true;
            continue; /* the others must still fit: [0, 2^62, 2^62] overflows whoever multiplies in another order */
        }
        if ((uint64_t)b->dim[i] > (uint64_t)INT64_MAX / n) return false;
        n *= (uint64_t)b->dim[i];
    }
    b->bytes = empty ? 0 : (size_t)n;
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

Status blob_check_names(Arena *a, const BlobFile *f, const char *where, Error *err)
{
    ArenaMark mark = arena_mark(a);
    const char **name = ARENA_ARRAY(a, const char *, f->n);
    Status s = DYN_OK;
    if (!name) return fail_nomem(err, f->n * sizeof *name);
    for (size_t i = 0; i < f->n; i++)
        name[i] = f->blob[i].name;
    if (f->n) qsort(name, f->n, sizeof *name, by_name);
    for (size_t i = 1; i < f->n && s == DYN_OK; i++)
        if (str_eq(name[i - 1], name[i])) s = fail(err, DYN_FORMAT, "%s: two tensors are named '%s'", where, name[i]);
    arena_release(a, mark);
    return s;
}

/* The readers reject what differs, so a caller's mistake must not get as far as the disk. */
Status blob_check_write(Arena *a, const BlobFile *f, const char *path, Error *err)
{
    TRY(blob_check_names(a, f, path, err));
    for (size_t i = 0; i < f->n; i++) {
        Blob b = f->blob[i];
        if (!blob_set_bytes(&b) || b.bytes != f->blob[i].bytes || str_eq(b.name, "__metadata__"))
            return fail(err, DYN_SHAPE, "cannot write '%s': size or name of tensor '%s' is wrong", path, b.name);
    }
    return DYN_OK;
}
