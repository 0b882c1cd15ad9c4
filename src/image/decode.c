/* SPDX-License-Identifier: Apache-2.0
 *
 * decode - bytes to pixels: finds the codec by content, checks the size before anything is allocated, decodes, turns.
 * The codecs are the files of codecs/. */
#include "image/codec.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define X(name) extern const Codec codec_##name;
#include "image_codecs.gen.h"
#undef X
static const Codec *const codecs[] = {
#define X(name) &codec_##name,
#include "image_codecs.gen.h"
#undef X
};

static Status find(const CodecInput *in, const Codec **codec, Error *err)
{
    for (size_t i = 0; i < COUNT_OF(codecs); i++)
        if (codecs[i]->sniff(in->bytes, in->n)) {
            *codec = codecs[i];
            return DYN_OK;
        }
    if (in->n == 0) return fail(err, DYN_FORMAT, "'%s' is empty", in->name);
    char list[256] = "";
    for (size_t i = 0, at = 0; i < COUNT_OF(codecs) && at < sizeof list; i++)
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", codecs[i]->name);
    return fail(err, DYN_UNSUPPORTED, "'%s' is not a picture of a known format (%s)", in->name, list);
}

static Status header(const CodecInput *in, const Codec **codec, CodecHeader *h, Error *err)
{
    TRY(find(in, codec, err));
    *h = (CodecHeader) { .orientation = 1 };
    if ((*codec)->header(in, h, err) != DYN_OK) return fail_in(err, "'%s'", in->name);
    if (h->w < 1 || h->h < 1 || h->w > IMAGE_MAX_SIDE || h->h > IMAGE_MAX_SIDE ||
        (int64_t)h->w * h->h > IMAGE_MAX_PIXELS)
        return fail(err, DYN_FORMAT, "'%s': %s says %d x %d pixels; 1 to %d a side and %lld in all are accepted",
                    in->name, (*codec)->name, h->w, h->h, IMAGE_MAX_SIDE, IMAGE_MAX_PIXELS);
    return DYN_OK;
}

static Status decode(const CodecInput *in, Image *out, Error *err)
{
    const Codec *codec;
    CodecHeader h;
    *out = (Image) { 0 };
    TRY(header(in, &codec, &h, err));
    TRY(image_new(out, h.w, h.h, err));
    Status s = codec->decode(in, &h, out, err);
    if (s != DYN_OK)
        fail_in(err, "'%s'", in->name);
    else
        s = image_orient(out, h.orientation, err);
    if (s != DYN_OK) image_free(out);
    return s;
}

Status image_decode(const void *bytes, size_t n, const char *name, Image *out, Error *err)
{
    return decode(&(CodecInput) { .bytes = bytes, .n = n, .name = name }, out, err);
}

Status image_decode_tolerant(const void *bytes, size_t n, const char *name, Image *out, Error *err)
{
    return decode(&(CodecInput) { .bytes = bytes, .n = n, .name = name, .tolerant = true }, out, err);
}

Status image_read(const char *path, Image *out, Error *err)
{
    char *bytes;
    size_t n;
    Arena *a = arena_new();
    *out = (Image) { 0 };
    if (!a) return fail_nomem(err, 0);
    Status s = file_read(a, path, IMAGE_MAX_FILE, &bytes, &n, err);
    if (s == DYN_OK) s = image_decode(bytes, n, path, out, err);
    arena_free(&a);
    return s;
}

Status image_probe(const void *bytes, size_t n, const char *name, ImageInfo *info, Error *err)
{
    const Codec *codec;
    CodecHeader h;
    TRY(header(&(CodecInput) { .bytes = bytes, .n = n, .name = name }, &codec, &h, err));
    bool swap = h.orientation >= 5;
    *info = (ImageInfo) {
        .w = swap ? h.h : h.w, .h = swap ? h.w : h.h, .orientation = h.orientation, .format = codec->name
    };
    return DYN_OK;
}

Status image_probe_file(const char *path, ImageInfo *info, Error *err)
{
    enum { FIRST = 65536 };
    FILE *f = file_open(path, err);
    if (!f) return err->status;
    uint8_t *head = mem_alloc(FIRST);
    if (!head) {
        fclose(f);
        return fail_nomem(err, FIRST);
    }
    size_t n = fread(head, 1, FIRST, f);
    bool bad = ferror(f) != 0;
    fclose(f);
    Status s = bad ? fail(err, DYN_IO, "cannot read '%s'", path) : image_probe(head, n, path, info, err);
    mem_free(head);
    if (s == DYN_OK || n < FIRST || bad) return s;
    /* The header does not end within the first part (a large EXIF or ICC block, a TIFF directory at the end). */
    char *bytes;
    Arena *a = arena_new();
    if (!a) return fail_nomem(err, 0);
    s = file_read(a, path, IMAGE_MAX_FILE, &bytes, &n, err);
    if (s == DYN_OK) s = image_probe(bytes, n, path, info, err);
    arena_free(&a);
    return s;
}

/* The last two bytes of a file. */
static Status read_tail(const char *path, uint8_t tail[2], Error *err)
{
    FILE *f = file_open(path, err);
    if (!f) return err->status;
    bool ok = fseek(f, -2, SEEK_END) == 0 && fread(tail, 1, 2, f) == 2;
    fclose(f);
    return ok ? DYN_OK : fail(err, DYN_IO, "cannot read the end of '%s'", path);
}

Status image_verify(const char *path, ImageFacts *facts, Error *err)
{
    uint8_t tail[2] = { 0 };
    *facts = (ImageFacts) { 0 };
    TRY(image_probe_file(path, &facts->info, err));
    facts->too_small = facts->info.w < 10 || facts->info.h < 10;
    if (str_eq(facts->info.format, "jpeg")) {
        TRY(read_tail(path, tail, err));
        facts->jpeg_end_missing = tail[0] != 0xff || tail[1] != 0xd9;
        return DYN_OK;
    }
    Image im;
    TRY(image_read(path, &im, err));
    image_free(&im);
    return DYN_OK;
}

bool image_extension_known(const char *ext)
{
    size_t n = strlen(ext);
    for (size_t i = 0; n > 0 && i < COUNT_OF(codecs); i++)
        for (const char *e = codecs[i]->extensions; *e; e += strspn(e, " ")) {
            size_t len = strcspn(e, " ");
            if (len == n && strncasecmp(e, ext, n) == 0) return true;
            e += len;
        }
    return false;
}
