/* SPDX-License-Identifier: Apache-2.0
 *
 * The container of a .pt file (spec 10.1): a zip with ROOT/data.pkl and ROOT/data/KEY, read through libzip. An entry is
 * unpacked only when a tensor asks for it, and only when its sizes make sense: no larger than the file when stored, no
 * more than two hundred times its packed size when compressed, all of them together no larger than the file. */
#include "formats/pt_util.h"

#include <zip.h>

enum { MAX_RATIO = 200 };

typedef struct Archive {
    Arena *a;
    const char *file;
    size_t n_file;
    zip_t *zip;
    char *root;          /* "archive" */
    const void **loaded; /* [entries] bytes of the entries read so far */
    uint64_t packed;     /* and what they take in the file */
    Error *err;
} Archive;

static Status read_entry(Archive *r, zip_uint64_t index, const char *what, const void **data, size_t *n)
{
    zip_stat_t st;
    zip_uint64_t want = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    if (zip_stat_index(r->zip, index, 0, &st) != 0 || (st.valid & want) != want)
        return fail(r->err, DYN_FORMAT, "%s: entry '%s' of the zip cannot be read", r->file, what);
    bool stored = st.comp_method == ZIP_CM_STORE;
    if (st.comp_size > r->n_file || (stored ? st.size != st.comp_size : st.size / MAX_RATIO > st.comp_size))
        return fail(r->err, DYN_FORMAT, "%s: entry '%s' claims %llu bytes packed into %llu", r->file, what,
                    (unsigned long long)st.size, (unsigned long long)st.comp_size);
    if ((r->packed += st.comp_size) > r->n_file) /* each byte serves one entry, else a small file fills the memory */
        return fail(r->err, DYN_FORMAT, "%s: entries of the zip overlap at '%s'", r->file, what);
    char *bytes = arena_alloc(r->a, (size_t)st.size + 1);
    if (!bytes) return fail_nomem(r->err, (size_t)st.size);
    zip_file_t *f = zip_fopen_index(r->zip, index, 0);
    if (!f) return fail(r->err, DYN_FORMAT, "%s: entry '%s': %s", r->file, what, zip_strerror(r->zip));
    zip_int64_t got = zip_fread(f, bytes, st.size);
    /* The checksum is compared when the end is met, so the end must be asked for. */
    bool whole = got == (zip_int64_t)st.size && zip_fread(f, &(char) { 0 }, 1) == 0;
    whole = zip_fclose(f) == 0 && whole;
    if (!whole) return fail(r->err, DYN_FORMAT, "%s: entry '%s' is damaged (download or copy it again)", r->file, what);
    *data = bytes;
    *n = (size_t)st.size;
    return DYN_OK;
}

/* PtStore.read */
static Status read_storage(void *user, const PickleStorage *s, size_t bytes, const void **data, Error *err)
{
    Archive *r = user;
    char name[512];
    size_t n;
    int len = snprintf(name, sizeof name, "%s/data/%s", r->root, s->key);
    zip_int64_t index = len > 0 && (size_t)len < sizeof name ? zip_name_locate(r->zip, name, 0) : -1;
    zip_stat_t st;
    if (index < 0 || zip_stat_index(r->zip, (zip_uint64_t)index, 0, &st) != 0)
        return fail(err, DYN_FORMAT, "the zip has no entry 'data/%.80s'", s->key);
    if (st.size != bytes)
        return fail(err, DYN_FORMAT, "entry 'data/%.80s' has %llu bytes, its %lld elements need %zu", s->key,
                    (unsigned long long)st.size, (long long)s->n, bytes);
    if (!r->loaded[index]) TRY(read_entry(r, (zip_uint64_t)index, name, &r->loaded[index], &n));
    *data = r->loaded[index];
    return DYN_OK;
}

static bool has_entry(Archive *r, const char *below)
{
    char name[512];
    int len = snprintf(name, sizeof name, "%s/%s", r->root, below);
    return len > 0 && (size_t)len < sizeof name && zip_name_locate(r->zip, name, 0) >= 0;
}

static Status find_root(Archive *r, zip_int64_t n_entries)
{
    static const char tail[] = "/data.pkl";
    for (zip_int64_t i = 0; i < n_entries; i++) {
        const char *name = zip_get_name(r->zip, (zip_uint64_t)i, ZIP_FL_ENC_RAW);
        if (!name || !str_ends(name, tail) || strlen(name) > 300) continue;
        r->root = arena_strndup(r->a, name, strlen(name) - (sizeof tail - 1));
        return r->root ? DYN_OK : fail_nomem(r->err, 0);
    }
    return fail(r->err, DYN_FORMAT, "%s: a zip, but no PyTorch checkpoint: it has no data.pkl", r->file);
}

static Status read_archive(Archive *r, PtFile *out)
{
    zip_int64_t n_entries = zip_get_num_entries(r->zip, 0);
    const void *pickle, *order;
    size_t n, n_order;
    PickleValue *root;
    TRY(find_root(r, n_entries));
    if (has_entry(r, "constants.pkl"))
        return fail(
            r->err, DYN_UNSUPPORTED,
            "%s: this is a TorchScript archive, made for running, not for loading weights; use the checkpoint it was "
            "exported from",
            r->file);
    if (!(r->loaded = ARENA_ARRAY(r->a, const void *, n_entries))) return fail_nomem(r->err, 0);
    if (has_entry(r, "byteorder")) {
        char *name = arena_printf(r->a, "%s/byteorder", r->root);
        if (!name) return fail_nomem(r->err, 0);
        TRY(read_entry(r, (zip_uint64_t)zip_name_locate(r->zip, name, 0), name, &order, &n_order));
        if (!str_starts(order, "little"))
            return fail(r->err, DYN_UNSUPPORTED, "%s: saved on a big-endian machine; not read here", r->file);
    }
    char *name = arena_printf(r->a, "%s/data.pkl", r->root);
    if (!name) return fail_nomem(r->err, 0);
    TRY(read_entry(r, (zip_uint64_t)zip_name_locate(r->zip, name, 0), name, &pickle, &n));
    TRY(pickle_parse(r->a, r->file, pickle, n, &root, r->err));
    PtStore store = { .read = read_storage, .user = r, .copy_limit = MAX(4 * r->n_file, (size_t)64 << 20) };
    return pt_walk(r->a, r->file, root, &store, out, r->err);
}

/* What a file that is no zip may be, told apart by its first bytes. */
static Status not_a_zip(const char *file, const char *data, size_t n, Error *err)
{
    static const char legacy[] = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
    if (n >= sizeof legacy - 1 && memcmp(data, legacy, sizeof legacy - 1) == 0)
        return fail(
            err, DYN_UNSUPPORTED,
            "%s: saved by PyTorch before 1.6; load it there with torch.load and save it again with a newer torch.save",
            file);
    if (n > 40 && memcmp(data, "version https://git-lfs", 23) == 0)
        return fail(err, DYN_FORMAT, "%s: only a Git LFS pointer, not the file itself; run git lfs pull", file);
    if (n && (data[0] == '<' || (n > 1 && data[0] == '\n' && data[1] == '<')))
        return fail(err, DYN_FORMAT, "%s: this is a web page, not a checkpoint; the download went wrong", file);
    return fail(err, DYN_FORMAT, "%s: not a PyTorch checkpoint", file);
}

Status pt_parse(Arena *a, const char *name, const void *data, size_t n, PtFile *out, Error *err)
{
    zip_error_t why;
    Archive r = { .a = a, .file = arena_strdup(a, name), .n_file = n, .err = err };
    Status s;
    if (!r.file) return fail_nomem(err, 0);
    if (n < 4 || memcmp(data, "PK\x03\x04", 4) != 0) return not_a_zip(name, data, n, err);
    zip_error_init(&why);
    zip_source_t *source = zip_source_buffer_create(data, n, 0, &why);
    if (!source) return fail_nomem(err, 0);
    if (!(r.zip = zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &why))) {
        zip_source_free(source);
        s = fail(err, DYN_FORMAT, "%s: the zip is damaged or cut short (%s); download or copy it again", name,
                 zip_error_strerror(&why));
    } else {
        s = read_archive(&r, out);
        zip_discard(r.zip);
    }
    zip_error_fini(&why);
    return s;
}

Status pt_read(Arena *a, const char *path, PtFile *out, Error *err)
{
    Arena *scratch = arena_new();
    char *data;
    size_t n;
    if (!scratch) return fail_nomem(err, 0);
    Status s = file_read(scratch, path, SIZE_MAX / 4, &data, &n, err);
    if (s == DYN_OK) s = pt_parse(a, path, data, n, out, err);
    arena_free(&scratch);
    return s;
}
