/* SPDX-License-Identifier: Apache-2.0
 *
 * One picture and its label file looked at (spec 5.3): what is to be told of them, and whether training takes them. The
 * index of a split and the check of a data set are both made of this. */
#include "data/data_impl.h"

#include "base/work.h"

#include <string.h>

enum { MAX_LABEL_BYTES = 256 << 20, SLOTS = 64 };

static const char LEFT_OUT[] = "the picture is left out";

static bool format_accepted(const char *format)
{
    static const char *const accepted[] = { "bmp", "jpeg", "png", "tiff", "webp" };
    for (size_t i = 0; i < COUNT_OF(accepted); i++)
        if (str_eq(format, accepted[i])) return true;
    return false;
}

/* what is copied. */
static void find(Scan *s, bool refused, const char *kind, const char *path, int line, const char *what,
                 const char *then)
{
    char *text = arena_strdup(s->a, what);
    if (!text || !arena_grow(s->a, &s->finding, s->n, &s->cap, sizeof *s->finding)) {
        s->status = fail_nomem(&s->err, strlen(what));
        return;
    }
    s->finding[s->n++] = (Finding) { refused, kind, path, line, str_one_line(text), then };
    s->refused += refused;
}

const char *after_path(const char *text, const char *path)
{
    size_t n = strlen(path);
    if (text[0] != '\'' || strncmp(text + 1, path, n) != 0 || text[n + 1] != '\'') return text;
    return text + n + 2 + strspn(text + n + 2, ": ");
}

/* A picture that cannot be read, by the message of whoever tried: it begins with the path, which is told anyway. */
static void find_failure(Scan *s, const char *path, const Error *err)
{
    const char *kind = err->status == DYN_IO ? "unreadable" : err->status == DYN_UNSUPPORTED ? "format" : "broken";
    if (err->status == DYN_NOMEM) {
        s->status = DYN_NOMEM, s->err = *err;
        return;
    }
    find(s, true, kind, path, 0, after_path(err->text, path), LEFT_OUT);
}

static void look_at_picture(Scan *s, const char *path)
{
    Error err;
    char text[80];
    if (image_verify(path, &s->facts, &err) != DYN_OK) {
        find_failure(s, path, &err);
        return;
    }
    const ImageInfo *info = &s->facts.info;
    if (s->facts.too_small) {
        snprintf(text, sizeof text, "%d x %d pixels, less than 10 a side", info->w, info->h);
        find(s, true, "small", path, 0, text, LEFT_OUT);
    } else if (!format_accepted(info->format)) {
        snprintf(text, sizeof text, "is %s inside, which data sets may not use", info->format);
        find(s, true, "format", path, 0, text, LEFT_OUT);
    } else if (s->facts.jpeg_end_missing) {
        find(s, false, "jpeg-end", path, 0, "JPEG without an end mark", "used as far as it goes");
    }
}

/* 128 bits of all pixels: two lanes of multiply and shift over words of eight bytes. Not against forgers. */
static void hash_pixels(const Image *im, uint64_t out[2])
{
    uint64_t a = (uint64_t)im->w * 0x9e3779b97f4a7c15u + (uint64_t)im->h, b = ~a, word;
    size_t bytes = (size_t)im->w * 3;
    for (int y = 0; y < im->h; y++) {
        const uint8_t *row = im->data + (size_t)y * (size_t)im->stride_bytes;
        for (size_t i = 0; i < bytes; i += 8) {
            word = 0;
            memcpy(&word, row + i, MIN(bytes - i, sizeof word));
            a = (a ^ word) * 0xff51afd7ed558ccdu, a ^= a >> 32;
            b = (b + word) * 0xc4ceb9fe1a85ec53u, b ^= b >> 29;
        }
    }
    out[0] = a, out[1] = b;
}

/* Decodes as the loader will, after the quick look found nothing, or a JPEG without its end. */
static void look_at_pixels(Scan *s, const char *path, bool deep)
{
    Error err;
    Image im;
    char *bytes;
    size_t n;
    ArenaMark mark = arena_mark(s->a);
    Status status = file_read(s->a, path, IMAGE_MAX_FILE, &bytes, &n, &err);
    if (status == DYN_OK && (status = image_decode(bytes, n, path, &im, &err)) == DYN_FORMAT) {
        char why[sizeof err.text];
        memcpy(why, err.text, sizeof why);
        status = image_decode_tolerant(bytes, n, path, &im, &err);
        const char *what = strstr(why, "': ");
        arena_release(s->a, mark);
        if (status == DYN_OK && s->n) s->n--; /* its end mark is missing, too: told already */
        if (status == DYN_OK)
            find(s, false, "truncated", path, 0, what ? what + 3 : why, "used as far as it goes, the rest is grey");
    } else {
        arena_release(s->a, mark);
    }
    if (status == DYN_OK) {
        s->has_content = true;
        hash_pixels(&im, s->content);
        image_free(&im);
        return;
    }
    /* The quick look takes a JPEG by its header: only the loader will find out. */
    if (!deep && status != DYN_NOMEM) return;
    size_t before = s->n;
    find_failure(s, path, &err);
    if (s->n > before) s->finding[before].then = "the picture comes grey and without labels";
}

static void tell_row(void *user, int line, const char *kind, bool refused, const char *what)
{
    Scan *s = user;
    find(s, refused, kind, NULL, line, what,
         refused                         ? LEFT_OUT
         : str_eq(kind, "duplicate-row") ? "used once"
         : str_eq(kind, "fraction")      ? "the fraction is cut off"
         : str_eq(kind, "size")          ? "kept; training finds nothing in it"
         : str_eq(kind, "beyond")        ? "kept; training cuts it at the border"
                                         : "used as such");
}

/* A file may have thousands of bad rows: the quick look tells the first, and duplicates once. */
static void tell_first_row(void *user, int line, const char *kind, bool refused, const char *what)
{
    Scan *s = user;
    if (refused && !s->refused) tell_row(user, line, kind, refused, what);
}

static void look_at_labels(Scan *s, const char *path, const Scanner *scanner)
{
    Error err;
    char *text, *file = data_label_path(s->a, path), what[48];
    size_t n, first = s->n;
    LabelTell tell = { scanner->deep ? tell_row : tell_first_row, s };
    if (!file) {
        s->status = fail_nomem(&s->err, strlen(path));
        return;
    }
    s->has_file = file_exists(file);
    if (!s->has_file) {
        if (scanner->deep && !s->refused)
            find(s, false, "no-labels", path, 0, "has no label file", "used as background, without objects");
        return;
    }
    Status status = file_read(s->a, file, MAX_LABEL_BYTES, &text, &n, &err);
    if (status == DYN_OK) status = label_scan(s->a, file, text, n, scanner->nc, &tell, &s->labels, &err);
    if (status != DYN_OK) find_failure(s, file, &err);
    for (size_t i = first; i < s->n; i++)
        if (!s->finding[i].path) s->finding[i].path = file;
    if (scanner->deep || s->refused || !s->labels.duplicates) return;
    snprintf(what, sizeof what, "%d duplicate rows", s->labels.duplicates);
    find(s, false, "duplicate-row", file, 0, what, "used once");
}

void scan_picture(void *user, int64_t index, void *slot, int worker)
{
    const Scanner *scanner = user;
    const char *path = scanner->path[index];
    Scan *s = slot;
    *s = (Scan) { .a = s->a };
    look_at_picture(s, path);
    if (!s->refused && (scanner->deep || s->facts.jpeg_end_missing)) look_at_pixels(s, path, scanner->deep);
    if (!s->refused || scanner->deep) look_at_labels(s, path, scanner);
}

const char *finding_text(const Finding *f, bool then, char *buf, size_t n)
{
    char line[16] = "";
    if (f->line) snprintf(line, sizeof line, ":%d", f->line);
    snprintf(buf, n, "%s%s: %s%s%s", f->path, line, f->what, then ? "; " : "", then ? f->then : "");
    return str_one_line(buf);
}

Status scan_all(const Scanner *scanner, int64_t n, int threads, ScanFn *fn, void *user, Error *err)
{
    Scan slot[SLOTS] = { 0 }, *s;
    ArenaMark empty[SLOTS];
    Work *w = NULL;
    Status status = DYN_OK;
    for (int i = 0; i < SLOTS && status == DYN_OK; i++) {
        if ((slot[i].a = arena_new()))
            empty[i] = arena_mark(slot[i].a);
        else
            status = fail_nomem(err, 0);
    }
    if (status == DYN_OK)
        status = work_start(&w, threads, n, slot, SLOTS, sizeof *slot, scan_picture, (void *)scanner, err);
    for (int64_t i = 0; status == DYN_OK && (s = work_next(w, NULL)); i++) {
        if (scanner->stop && *scanner->stop)
            status = fail(err, DYN_STOPPED, "stopped after looking at %lld of the %lld pictures of %s", (long long)i,
                          (long long)n, scanner->split);
        else if (s->status == DYN_OK)
            status = fn(user, i, s, err);
        else
            *err = s->err, status = s->status;
        arena_release(s->a, empty[s - slot]);
        work_done(w);
    }
    work_stop(&w);
    for (int i = 0; i < SLOTS; i++)
        arena_free(&slot[i].a);
    return status;
}
