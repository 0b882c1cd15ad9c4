/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads and writes safetensors (blob.h). The header is JSON, which jansson reads; everything that it claims is checked
 * against the bytes that are there before a single tensor is handed out. */
#include "formats/blob.h"

#include <jansson.h>
#include <stdlib.h>

typedef struct Span {
    uint64_t lo, hi; /* bytes of the data section */
    size_t blob;
} Span;

typedef struct Reader {
    Arena *a;
    const char *file;
    const char *data; /* [n_data] */
    uint64_t n_data;
    BlobFile *out;
    Span *span; /* one a blob */
    Error *err;
} Reader;

static Status read_notes(Reader *r, json_t *notes)
{
    const char *key;
    json_t *value;
    if (!json_is_object(notes)) return fail(r->err, DYN_FORMAT, "%s: __metadata__ is not a map", r->file);
    if (!(r->out->note = ARENA_ARRAY(r->a, BlobNote, json_object_size(notes)))) return fail_nomem(r->err, 0);
    json_object_foreach(notes, key, value)
    {
        BlobNote *note = &r->out->note[r->out->n_note++];
        if (!json_is_string(value))
            return fail(r->err, DYN_FORMAT, "%s: __metadata__ '%.80s' is not a text", r->file, key);
        note->key = arena_strdup(r->a, key);
        note->value = arena_strdup(r->a, json_string_value(value));
        if (!note->key || !note->value) return fail_nomem(r->err, json_string_length(value));
    }
    return DYN_OK;
}

/* One entry: {"dtype": "F16", "shape": [16,3,3,3], "data_offsets": [0, 864]}. */
static Status read_entry(Reader *r, const char *name, json_t *entry)
{
    size_t at = r->out->n++;
    Blob *b = &r->out->blob[at];
    Span *span = &r->span[at];
    json_t *shape = json_object_get(entry, "shape"), *offsets = json_object_get(entry, "data_offsets");
    json_t *lo = json_array_get(offsets, 0), *hi = json_array_get(offsets, 1);
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    if (!(b->name = arena_strdup(r->a, name))) return fail_nomem(r->err, 0);
    if (!dtype || !json_is_array(shape) || json_array_size(offsets) != 2 || !json_is_integer(lo) ||
        !json_is_integer(hi))
        return fail(r->err, DYN_FORMAT, "%s: tensor '%s' lacks dtype, shape or data_offsets", r->file, name);
    if (!dtype_from_name(dtype, &b->dtype))
        return fail(r->err, DYN_UNSUPPORTED, "%s: tensor '%s' has type %.20s, which is not read here", r->file, name,
                    dtype);
    if (json_array_size(shape) > BLOB_MAX_RANK)
        return fail(r->err, DYN_UNSUPPORTED, "%s: tensor '%s' has %zu dimensions, at most %d are read", r->file, name,
                    json_array_size(shape), BLOB_MAX_RANK);
    b->rank = (int)json_array_size(shape);
    for (int i = 0; i < b->rank; i++) {
        json_t *d = json_array_get(shape, (size_t)i);
        b->dim[i] = json_is_integer(d) ? json_integer_value(d) : -1;
    }
    if (!blob_set_bytes(b))
        return fail(r->err, DYN_FORMAT, "%s: the shape of tensor '%s' is no shape, or too large", r->file, name);
    json_int_t from = json_integer_value(lo), to = json_integer_value(hi);
    if (from < 0 || to < from || (uint64_t)to > r->n_data)
        return fail(r->err, DYN_FORMAT, "%s: tensor '%s' lies at bytes %lld to %lld of %llu", r->file, name,
                    (long long)from, (long long)to, (unsigned long long)r->n_data);
    *span = (Span) { (uint64_t)from, (uint64_t)to, at };
    if (span->hi - span->lo != b->bytes)
        return fail(r->err, DYN_FORMAT, "%s: tensor '%s' has %llu bytes, its shape and type need %zu", r->file, name,
                    (unsigned long long)(span->hi - span->lo), b->bytes);
    b->data = r->data + from;
    /* A file may pack an odd number of bytes before a tensor of doubles. */
    if ((uintptr_t)b->data % dtype_bytes(b->dtype)) {
        void *copy = arena_alloc(r->a, b->bytes);
        if (!copy) return fail_nomem(r->err, b->bytes);
        b->data = memcpy(copy, b->data, b->bytes);
    }
    return DYN_OK;
}

static int by_place(const void *pa, const void *pb)
{
    const Span *a = pa, *b = pb;
    if (a->lo != b->lo) return a->lo < b->lo ? -1 : 1;
    return (a->hi > b->hi) - (a->hi < b->hi);
}

static Status check_cover(Reader *r)
{
    uint64_t end = 0;
    if (r->out->n) qsort(r->span, r->out->n, sizeof *r->span, by_place);
    for (size_t i = 0; i < r->out->n; i++) {
        const char *name = r->out->blob[r->span[i].blob].name;
        if (r->span[i].lo != end)
            return fail(r->err, DYN_FORMAT, "%s: tensor '%s' begins at byte %llu of the data, %s", r->file, name,
                        (unsigned long long)r->span[i].lo,
                        r->span[i].lo < end ? "inside another tensor" : "after a hole");
        end = r->span[i].hi;
    }
    if (end != r->n_data)
        return fail(r->err, DYN_FORMAT, "%s: the tensors end at byte %llu of %llu of the data (the file is damaged)",
                    r->file, (unsigned long long)end, (unsigned long long)r->n_data);
    return DYN_OK;
}

static Status read_header(Reader *r, json_t *header)
{
    const char *name;
    json_t *entry;
    size_t n = json_object_size(header);
    if (!json_is_object(header)) return fail(r->err, DYN_FORMAT, "%s: the header is not a map", r->file);
    r->out->blob = ARENA_ARRAY(r->a, Blob, n);
    r->span = ARENA_ARRAY(r->a, Span, n);
    if (!r->out->blob || !r->span) return fail_nomem(r->err, n * sizeof(Blob));
    json_object_foreach(header, name, entry)
    {
        if (str_eq(name, "__metadata__"))
            TRY(read_notes(r, entry));
        else
            TRY(read_entry(r, name, entry));
    }
    return check_cover(r);
}

Status safetensors_parse(Arena *a, const char *name, const void *data, size_t n, BlobFile *out, Error *err)
{
    const unsigned char *p = data;
    uint64_t n_header = 0;
    json_error_t why;
    *out = (BlobFile) { 0 };
    if (n < 8) return fail(err, DYN_FORMAT, "%s: %zu bytes are no safetensors file", name, n);
    for (int i = 7; i >= 0; i--)
        n_header = n_header << 8 | p[i];
    if (n_header > SAFETENSORS_MAX_HEADER || n_header > n - 8)
        return fail(err, DYN_FORMAT, "%s: no safetensors file, or cut short: it announces a header of %llu bytes", name,
                    (unsigned long long)n_header);
    if (!n_header || p[8] != '{') return fail(err, DYN_FORMAT, "%s: no safetensors file: no JSON header", name);
    json_t *header = json_loadb((const char *)p + 8, (size_t)n_header, JSON_REJECT_DUPLICATES, &why);
    if (!header) return fail(err, DYN_FORMAT, "%s: header of the safetensors file: %s", name, why.text);
    Reader r = {
        .a = a, .file = name, .data = (const char *)p + 8 + n_header, .n_data = n - 8 - n_header, .out = out, .err = err
    };
    Status s = read_header(&r, header);
    json_decref(header);
    return s;
}

Status safetensors_read(Arena *a, const char *path, BlobFile *out, Error *err)
{
    char *data;
    size_t n;
    TRY(file_read(a, path, SIZE_MAX / 4, &data, &n, err));
    return safetensors_parse(a, path, data, n, out, err);
}

/* ---- writing ------------------------------------------------------------------------------------------------- */

static json_t *entry_of(const Blob *b, uint64_t at)
{
    json_t *shape = json_array();
    json_int_t first = (json_int_t)at, end = first + (json_int_t)b->bytes;
    for (int i = 0; i < b->rank; i++)
        json_array_append_new(shape, json_integer(b->dim[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype_name(b->dtype), "shape", shape, "data_offsets", first, end);
}

/* JSON text of the header (free with free()), NULL when a name is not UTF-8 or memory is out. */
static char *header_text(const BlobFile *f)
{
    json_t *header = json_object();
    uint64_t at = 0;
    bool ok = header != NULL;
    char *text = NULL;
    if (f->n_note) {
        json_t *notes = json_object();
        for (size_t i = 0; i < f->n_note; i++)
            ok = json_object_set_new(notes, f->note[i].key, json_string(f->note[i].value)) == 0 && ok;
        ok = json_object_set_new(header, "__metadata__", notes) == 0 && ok;
    }
    for (size_t i = 0; i < f->n; i++) {
        ok = json_object_set_new(header, f->blob[i].name, entry_of(&f->blob[i], at)) == 0 && ok;
        at += f->blob[i].bytes;
    }
    if (ok) text = json_dumps(header, JSON_COMPACT);
    json_decref(header);
    return text;
}

static bool put(FILE *f, const void *data, size_t n)
{
    return !n || fwrite(data, 1, n, f) == n;
}

static Status write_all(FileWriter *w, const BlobFile *f, const char *header, Error *err)
{
    size_t n = strlen(header), padded = (n + 7) / 8 * 8;
    unsigned char length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)((uint64_t)padded >> 8 * i);
    bool ok = put(w->f, length, 8) && put(w->f, header, n) && put(w->f, "       ", padded - n);
    for (size_t i = 0; i < f->n && ok; i++)
        ok = put(w->f, f->blob[i].data, f->blob[i].bytes);
    return ok ? DYN_OK : fail_errno(err, "cannot write '%s'", w->path);
}

Status safetensors_write(const char *path, const BlobFile *f, Error *err)
{
    FileWriter w;
    Arena *scratch = arena_new();
    if (!scratch) return fail_nomem(err, 0);
    Status s = blob_check_write(scratch, f, path, err);
    arena_free(&scratch);
    if (s != DYN_OK) return s;
    char *header = header_text(f);
    if (!header) return fail(err, DYN_FORMAT, "cannot write '%s': a name or note is not UTF-8, or memory is out", path);
    s = file_begin(&w, path, err);
    if (s == DYN_OK) {
        s = write_all(&w, f, header, err);
        s = file_end(&w, s == DYN_OK, err);
    }
    free(header);
    return s;
}
