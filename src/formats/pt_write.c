/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes a PyTorch state dict (blob.h, spec 10.1 and 10.3): a zip whose entries are stored, so that the file can be
 * streamed and mapped. Written here and not through libzip, since PyTorch wants the data at multiples of 64 bytes,
 * which takes a padding field ("FB") in each local header. Sizes are known before they are written, so no data
 * descriptors; ZIP64 records where a size or offset needs them (APPNOTE.TXT 4.3, 4.5.3). Byte-for-byte reproducible: no
 * times. */
#include "formats/blob.h"

#include <zlib.h>

typedef struct Entry {
    char *name;
    uint64_t size, at; /* at: of the local header */
    uint32_t crc;
} Entry;

typedef struct Zip {
    FILE *f;
    Arena *a;
    Entry *entry;
    size_t n;
    uint64_t at;
    bool ok;
    unsigned char record[256]; /* the record being composed */
    size_t n_record;
} Zip;

static void put(Zip *z, const void *data, uint64_t n)
{
    z->ok = z->ok && (!n || fwrite(data, 1, (size_t)n, z->f) == n);
    z->at += n;
}

static void number(Zip *z, uint64_t x, int bytes)
{
    for (int i = 0; i < bytes; i++)
        z->record[z->n_record++] = (unsigned char)(x >> 8 * i);
}

static void flush(Zip *z)
{
    put(z, z->record, z->n_record);
    z->n_record = 0;
}

static uint64_t low32(uint64_t x)
{
    return MIN(x, (uint64_t)UINT32_MAX);
}

/* What local and central header have in common: version, flags, method, time, date, checksum, sizes, name length. */
static void common_fields(Zip *z, const Entry *e)
{
    number(z, e->size >= UINT32_MAX || e->at >= UINT32_MAX ? 45 : 20, 2);
    number(z, 0, 2 + 2 + 2);
    number(z, 0x21, 2); /* 1980-01-01, the first day that exists */
    number(z, e->crc, 4);
    number(z, low32(e->size), 4);
    number(z, low32(e->size), 4);
    number(z, strlen(e->name), 2);
}

static uint32_t checksum(const void *data, uint64_t n)
{
    uLong crc = crc32(0, NULL, 0);
    const unsigned char *p = data;
    for (uint64_t done = 0; done < n;) {
        uInt part = (uInt)MIN(n - done, (uint64_t)1 << 30);
        crc = crc32(crc, p + done, part);
        done += part;
    }
    return (uint32_t)crc;
}

static void add_entry(Zip *z, char *name, const void *data, uint64_t n)
{
    Entry *e = &z->entry[z->n++];
    static const char padding[64] = { 0 };
    z->ok = z->ok && name;
    if (!z->ok) return;
    *e = (Entry) { .name = name, .size = n, .at = z->at, .crc = checksum(data, n) };
    bool big = n >= UINT32_MAX;
    uint64_t fixed = z->at + 30 + strlen(name) + (big ? 20 : 0) + 4, pad = (64 - fixed % 64) % 64;
    number(z, 0x04034b50, 4);
    common_fields(z, e);
    number(z, (big ? 20 : 0) + 4 + pad, 2);
    flush(z);
    put(z, name, strlen(name));
    if (big) {
        number(z, 1, 2);
        number(z, 16, 2);
        number(z, n, 8);
        number(z, n, 8);
    }
    number(z, 'F' | 'B' << 8, 2);
    number(z, pad, 2);
    flush(z);
    put(z, padding, pad);
    put(z, data, n);
}

static void central_header(Zip *z, const Entry *e)
{
    bool big = e->size >= UINT32_MAX, far = e->at >= UINT32_MAX;
    uint64_t n_extra = (big ? 16 : 0) + (far ? 8 : 0);
    number(z, 0x02014b50, 4);
    number(z, 45, 2); /* made by: nothing that has file modes */
    common_fields(z, e);
    number(z, n_extra ? n_extra + 4 : 0, 2);
    number(z, 0, 2 + 2 + 2); /* comment, disk, internal attributes */
    number(z, 0, 4);
    number(z, low32(e->at), 4);
    flush(z);
    put(z, e->name, strlen(e->name));
    if (!n_extra) return;
    number(z, 1, 2);
    number(z, n_extra, 2);
    if (big) number(z, e->size, 8);
    if (big) number(z, e->size, 8);
    if (far) number(z, e->at, 8);
    flush(z);
}

static void end_records(Zip *z)
{
    uint64_t begin = z->at;
    for (size_t i = 0; i < z->n; i++)
        central_header(z, &z->entry[i]);
    uint64_t end = z->at;
    if (z->n >= UINT16_MAX || end >= UINT32_MAX) {
        number(z, 0x06064b50, 4);
        number(z, 44, 8);
        number(z, 45, 2);
        number(z, 45, 2);
        number(z, 0, 4 + 4);
        number(z, z->n, 8);
        number(z, z->n, 8);
        number(z, end - begin, 8);
        number(z, begin, 8);
        number(z, 0x07064b50, 4);
        number(z, 0, 4);
        number(z, end, 8);
        number(z, 1, 4);
    }
    number(z, 0x06054b50, 4);
    number(z, 0, 2 + 2);
    number(z, MIN(z->n, (size_t)UINT16_MAX), 2);
    number(z, MIN(z->n, (size_t)UINT16_MAX), 2);
    number(z, low32(end - begin), 4);
    number(z, low32(begin), 4);
    number(z, 0, 2);
    flush(z);
}

/* ---- the pickle ---------------------------------------------------------------------------------------------- */

typedef struct Pickle {
    Arena *a;
    char *data;
    size_t n, cap;
    bool ok;
} Pickle;

static void bytes(Pickle *p, const void *data, size_t n)
{
    if (p->ok && p->cap - p->n < n) {
        size_t cap = MAX(p->cap * 2, p->n + n + 4096);
        char *grown = arena_alloc(p->a, cap);
        p->ok = grown != NULL;
        if (grown && p->n) memcpy(grown, p->data, p->n);
        p->data = grown;
        p->cap = cap;
    }
    if (!p->ok) return;
    memcpy(p->data + p->n, data, n);
    p->n += n;
}

static void op(Pickle *p, const char *text)
{
    bytes(p, text, strlen(text));
}

static void little(Pickle *p, uint64_t x, int n)
{
    for (int i = 0; i < n; i++)
        bytes(p, &(unsigned char) { (unsigned char)(x >> 8 * i) }, 1);
}

static void text(Pickle *p, const char *s)
{
    op(p, "X"); /* BINUNICODE */
    little(p, strlen(s), 4);
    op(p, s);
}

static void integer(Pickle *p, int64_t i)
{
    if (i >= 0 && i < 256) {
        op(p, "K"); /* BININT1 */
        little(p, (uint64_t)i, 1);
    } else if (i >= INT32_MIN && i <= INT32_MAX) {
        op(p, "J"); /* BININT */
        little(p, (uint64_t)i, 4);
    } else {
        op(p, "\x8a\x08"); /* LONG1 of 8 bytes */
        little(p, (uint64_t)i, 8);
    }
}

static const char *storage_class(DType t)
{
    static const char *const names[N_DTYPE] = {
        [F32] = "Float", [BF16] = "BFloat16", [F16] = "Half", [F64] = "Double", [U8] = "Byte",
        [I8] = "Char",   [I32] = "Int",       [I64] = "Long", [BOOL] = "Bool",  [I16] = "Short"
    };
    return names[t];
}

static const char ordered_dict[] = "ccollections\nOrderedDict\n)R"; /* GLOBAL, EMPTY_TUPLE, REDUCE */

/* _rebuild_tensor_v2(storage, 0, size, stride, False, OrderedDict()) */
static void tensor(Pickle *p, const Blob *b, size_t index)
{
    char key[24];
    int64_t stride[BLOB_MAX_RANK], step = 1;
    snprintf(key, sizeof key, "%zu", index);
    op(p, "ctorch._utils\n_rebuild_tensor_v2\n((");
    text(p, "storage");
    op(p, "ctorch\n");
    op(p, storage_class(b->dtype));
    op(p, "Storage\n");
    text(p, key);
    text(p, "cpu");
    integer(p, blob_count(b));
    op(p, "tQ"); /* TUPLE, BINPERSID */
    integer(p, 0);
    op(p, "(");
    for (int i = 0; i < b->rank; i++)
        integer(p, b->dim[i]);
    op(p, "t(");
    for (int i = b->rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= MAX(b->dim[i], 1);
    }
    for (int i = 0; i < b->rank; i++)
        integer(p, stride[i]);
    op(p, "t\x89"); /* TUPLE, NEWFALSE */
    op(p, ordered_dict);
    op(p, "tR");
}

static void state_dict(Pickle *p, const BlobFile *f)
{
    op(p, "\x80\x02"); /* PROTO 2 */
    op(p, ordered_dict);
    op(p, "(");
    for (size_t i = 0; i < f->n; i++) {
        text(p, f->blob[i].name);
        tensor(p, &f->blob[i], i);
    }
    op(p, "u."); /* SETITEMS, STOP */
}

/* ---- the file ------------------------------------------------------------------------------------------------ */

static Status write_zip(FileWriter *w, const BlobFile *f, Arena *a, Error *err)
{
    Pickle p = { .a = a, .ok = true };
    Zip z = { .f = w->f, .a = a, .ok = true, .entry = ARENA_ARRAY(a, Entry, f->n + 3) };
    state_dict(&p, f);
    if (!p.ok || !z.entry) return fail_nomem(err, p.cap);
    add_entry(&z, arena_strdup(a, "archive/data.pkl"), p.data, p.n);
    add_entry(&z, arena_strdup(a, "archive/byteorder"), "little", 6);
    for (size_t i = 0; i < f->n; i++)
        add_entry(&z, arena_printf(a, "archive/data/%zu", i), f->blob[i].data, f->blob[i].bytes);
    add_entry(&z, arena_strdup(a, "archive/version"), "3\n", 2);
    if (z.ok) end_records(&z); /* entries after a failed write were never filled */
    return z.ok ? DYN_OK : fail_errno(err, "cannot write '%s'", w->path);
}

Status pt_write(const char *path, const BlobFile *f, Error *err)
{
    FileWriter w;
    Arena *a = arena_new();
    Status s = a ? blob_check_write(a, f, path, err) : fail_nomem(err, 0);
    if (s == DYN_OK && (s = file_begin(&w, path, err)) == DYN_OK) {
        s = write_zip(&w, f, a, err);
        s = file_end(&w, s == DYN_OK, err);
    }
    if (a) arena_free(&a);
    return s;
}
