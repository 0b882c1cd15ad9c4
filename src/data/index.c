/* SPDX-License-Identifier: Apache-2.0
 *
 * The index of a split: every picture checked with its label file (spec 5.3, 5.5), by several threads, told in order.
 * There is no label cache: a picture costs the header and the last two bytes of a JPEG and its label file. */
#include "data/data_impl.h"

#include "base/work.h"

#include <math.h>
#include <string.h>

enum { MAX_LABEL_BYTES = 256 << 20, SLOTS = 64 };

/* One picture looked at. Text and labels live in the slot's own arena until the consumer has copied them. */
typedef struct Scan {
    Arena *a;
    ImageFacts facts;
    LabelFile labels;
    Status status; /* not OK: dropped */
    Error err;
    const char *note; /* kept, but something is to be told */
    bool has_file;
} Scan;

typedef struct Scanner {
    char **path;
    int nc;
} Scanner;

static bool format_accepted(const char *format)
{
    static const char *const accepted[] = { "bmp", "jpeg", "png", "tiff", "webp" };
    for (size_t i = 0; i < COUNT_OF(accepted); i++)
        if (str_eq(format, accepted[i])) return true;
    return false;
}

static Status scan_picture(Scan *s, const char *path, Error *err)
{
    TRY(image_verify(path, &s->facts, err));
    if (s->facts.too_small)
        return fail(err, DYN_FORMAT, "%s: %d x %d pixels, less than 10 a side", path, s->facts.info.w, s->facts.info.h);
    if (!format_accepted(s->facts.info.format))
        return fail(err, DYN_FORMAT, "%s: is %s inside, which data sets may not use", path, s->facts.info.format);
    if (s->facts.jpeg_end_missing)
        s->note = arena_printf(s->a, "%s: JPEG without an end mark; used as far as it goes", path);
    return DYN_OK;
}

static Status scan_labels(Scan *s, const char *path, int nc, Error *err)
{
    char *text, *file = data_label_path(s->a, path);
    size_t n;
    if (!file) return fail_nomem(err, strlen(path));
    s->has_file = file_exists(file);
    if (!s->has_file) return DYN_OK;
    TRY(file_read(s->a, file, MAX_LABEL_BYTES, &text, &n, err));
    TRY(label_parse(s->a, file, text, n, nc, &s->labels, err));
    if (s->labels.duplicates)
        s->note = arena_printf(s->a, "%s: %d duplicate rows; used once", file, s->labels.duplicates);
    return DYN_OK;
}

static void scan(void *user, int64_t index, void *slot, int worker)
{
    const Scanner *scanner = user;
    const char *path = scanner->path[index];
    Scan *s = slot;
    Arena *a = s->a;
    *s = (Scan) { .a = a };
    if ((s->status = scan_picture(s, path, &s->err)) == DYN_OK) s->status = scan_labels(s, path, scanner->nc, &s->err);
}

/* What is being put together. */
typedef struct Index {
    Dataset *ds;
    DataItem *item;
    int64_t polygons;
    const DatasetOptions *opt;
    const Log *log;
} Index;

static bool wanted(const DatasetOptions *o, float cls)
{
    for (size_t i = 0; i < o->n_classes; i++)
        if (cls == (float)o->classes[i]) return true;
    return o->n_classes == 0;
}

static Status copy_polygon(Arena *a, const Polygon *from, Polygon *to, Error *err)
{
    float(*p)[2] = arena_array(a, (size_t)from->n, sizeof *p);
    if (!p) return fail_nomem(err, (size_t)from->n * sizeof *p);
    memcpy(p, from->point, (size_t)from->n * sizeof *p);
    *to = (Polygon) { (const float(*)[2])p, from->n };
    return DYN_OK;
}

/* Filtered, with the classes that training sees, into the data set's arena. */
static Status keep_labels(Index *x, const LabelFile *f, DataItem *item, Error *err)
{
    if (!f->n) return DYN_OK;
    Arena *a = x->ds->arena;
    Label *label = ARENA_ARRAY(a, Label, f->n);
    Polygon *poly = f->polygon ? ARENA_ARRAY(a, Polygon, f->n) : NULL;
    if (!label || (f->polygon && !poly)) return fail_nomem(err, (size_t)f->n * sizeof *label);
    for (int i = 0; i < f->n; i++) {
        if (!wanted(x->opt, f->label[i].cls)) continue;
        label[item->n_labels] = f->label[i];
        if (x->opt->single_cls) label[item->n_labels].cls = 0;
        if (poly) TRY(copy_polygon(a, &f->polygon[i], &poly[item->n_labels], err));
        item->n_labels++;
    }
    item->label = label, item->polygon = poly;
    return DYN_OK;
}

static Status keep(Index *x, const Scan *s, const char *path, Error *err)
{
    Dataset *ds = x->ds;
    DataItem *item = &x->item[ds->n];
    if (s->status == DYN_NOMEM || (s->status != DYN_OK && x->opt->strict)) {
        *err = s->err;
        return s->status;
    }
    if (s->status != DYN_OK) {
        ds->corrupt++;
        log_warn(x->log, "%s: %s; the picture is left out", x->opt->title, s->err.text);
        return DYN_OK;
    }
    if (s->note && x->opt->strict) return fail(err, DYN_FORMAT, "%s", s->note);
    if (s->note) log_warn(x->log, "%s: %s", x->opt->title, s->note);
    *item = (DataItem) { .path = path, .w = s->facts.info.w, .h = s->facts.info.h };
    TRY(keep_labels(x, &s->labels, item, err));
    ds->backgrounds += !s->has_file || s->labels.n == 0;
    ds->n_labels += item->n_labels;
    if (item->polygon) x->polygons += item->n_labels;
    ds->n++;
    return DYN_OK;
}

static Status scan_all(Index *x, Scanner *scanner, int64_t n, Error *err)
{
    Scan slot[SLOTS] = { 0 }, *s;
    Work *w = NULL;
    Status status = DYN_OK;
    for (int i = 0; i < SLOTS && status == DYN_OK; i++)
        if (!(slot[i].a = arena_new())) status = fail_nomem(err, 0);
    ArenaMark empty[SLOTS];
    for (int i = 0; i < SLOTS && status == DYN_OK; i++)
        empty[i] = arena_mark(slot[i].a);
    if (status == DYN_OK) status = work_start(&w, x->opt->threads, n, slot, SLOTS, sizeof *slot, scan, scanner, err);
    for (int64_t i = 0; status == DYN_OK && (s = work_next(w, NULL)); i++) {
        status = keep(x, s, scanner->path[i], err);
        arena_release(s->a, empty[s - slot]);
        work_done(w);
    }
    work_stop(&w);
    for (int i = 0; i < SLOTS; i++)
        arena_free(&slot[i].a);
    return status;
}

/* Polygons are of use only when every object has one: the reference then forgets all. */
static void settle_polygons(Index *x)
{
    Dataset *ds = x->ds;
    ds->polygons = x->polygons > 0 && x->polygons == ds->n_labels;
    if (!x->polygons || ds->polygons) return;
    log_warn(x->log, "%s: %lld of %lld objects have polygons; all polygons are left out, boxes are used", x->opt->title,
             (long long)x->polygons, (long long)ds->n_labels);
    for (int64_t i = 0; i < ds->n; i++)
        x->item[i].polygon = NULL;
}

static Status name_classes(Dataset *ds, const DataConfig *c, bool single_cls, Error *err)
{
    ds->nc = single_cls ? 1 : c->nc;
    const char **names = ARENA_ARRAY(ds->arena, const char *, ds->nc);
    if (!names) return fail_nomem(err, (size_t)ds->nc * sizeof *names);
    for (int i = 0; i < ds->nc; i++)
        if (!(names[i] = arena_strdup(ds->arena, single_cls ? "item" : c->names[i]))) return fail_nomem(err, 0);
    ds->names = names;
    return DYN_OK;
}

static Status build(Index *x, const DataConfig *config, const DataSources *from, Error *err)
{
    Dataset *ds = x->ds;
    const DatasetOptions *opt = x->opt;
    char **path;
    size_t n;
    TRY(name_classes(ds, config, opt->single_cls, err));
    TRY(data_discover(ds->arena, from, &path, &n, err));
    if (opt->fraction < 1) n = (size_t)nearbyint((double)n * opt->fraction);
    if (!(x->item = ARENA_ARRAY(ds->arena, DataItem, MAX(n, 1)))) return fail_nomem(err, n * sizeof *x->item);
    ds->item = x->item;
    Scanner scanner = { path, opt->single_cls ? 0 : config->nc };
    TRY(scan_all(x, &scanner, (int64_t)n, err));
    settle_polygons(x);
    log_info(x->log, "%s: %lld images, %lld backgrounds, %lld corrupt", opt->title, (long long)ds->n,
             (long long)ds->backgrounds, (long long)ds->corrupt);
    if (!ds->n)
        return fail(err, DYN_FORMAT, "%s: none of the %zu pictures in '%s' can be used", opt->title, n, from->path[0]);
    return DYN_OK;
}

Status dataset_open(Dataset **out, const DataConfig *config, const DataSources *from, const DatasetOptions *opt,
                    const Log *log, Error *err)
{
    *out = NULL;
    if (!(opt->fraction > 0 && opt->fraction <= 1))
        return fail(err, DYN_USAGE, "fraction %g; more than 0 and at most 1 is accepted", opt->fraction);
    Arena *a = arena_new();
    Dataset *ds = a ? ARENA_NEW(a, Dataset) : NULL;
    if (!ds) {
        arena_free(&a);
        return fail_nomem(err, sizeof *ds);
    }
    ds->arena = a;
    Index x = { .ds = ds, .opt = opt, .log = log };
    Status s = build(&x, config, from, err);
    if (s != DYN_OK) dataset_free(&ds);
    *out = ds;
    return s;
}

void dataset_free(Dataset **ds)
{
    if (!*ds) return;
    Arena *a = (*ds)->arena; /* the data set itself lies in it */
    arena_free(&a);
    *ds = NULL;
}
