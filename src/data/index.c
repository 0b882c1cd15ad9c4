/* SPDX-License-Identifier: Apache-2.0
 *
 * The index of a split: every picture checked with its label file (spec 5.3, 5.5), by several threads, told in order.
 * There is no label cache: a picture costs the header and the last two bytes of a JPEG and its label file; only a JPEG
 * without its end is decoded, to tell what is lacking. */
#include "data/data_impl.h"

#include <math.h>
#include <string.h>

/* What is being put together. */
typedef struct Index {
    Dataset *ds;
    DataItem *item;
    char **path; /* of all pictures */
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

/* What is to be told of a picture: in strict mode an error. */
static Status tell(const Index *x, const Scan *s, Error *err)
{
    char text[1024];
    for (size_t i = 0; i < s->n; i++) {
        if (x->opt->strict) return fail(err, DYN_FORMAT, "%s", finding_text(&s->finding[i], false, text, sizeof text));
        log_warn(x->log, "%s: %s", x->opt->title, finding_text(&s->finding[i], true, text, sizeof text));
    }
    return DYN_OK;
}

static Status keep(void *user, int64_t index, const Scan *s, Error *err)
{
    Index *x = user;
    Dataset *ds = x->ds;
    DataItem *item = &x->item[ds->n];
    TRY(tell(x, s, err));
    if (s->refused) {
        ds->corrupt++;
        return DYN_OK;
    }
    *item = (DataItem) {
        .path = x->path[index], .w = s->facts.info.w, .h = s->facts.info.h, .cut = s->facts.jpeg_end_missing
    };
    TRY(keep_labels(x, &s->labels, item, err));
    ds->backgrounds += !s->has_file || s->labels.n == 0;
    ds->n_labels += item->n_labels;
    if (item->polygon) x->polygons += item->n_labels;
    ds->n++;
    return DYN_OK;
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
    size_t n;
    TRY(name_classes(ds, config, opt->single_cls, err));
    TRY(data_discover(ds->arena, from, &x->path, &n, err));
    if (opt->fraction < 1) n = (size_t)nearbyint((double)n * opt->fraction);
    if (!(x->item = ARENA_ARRAY(ds->arena, DataItem, MAX(n, 1)))) return fail_nomem(err, n * sizeof *x->item);
    ds->item = x->item;
    Scanner scanner = {
        .path = x->path, .nc = opt->single_cls ? 0 : config->nc, .split = opt->title, .stop = opt->stop
    };
    TRY(scan_all(&scanner, (int64_t)n, opt->threads, keep, x, err));
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

void dataset_count(const Dataset *ds, int64_t *count)
{
    memset(count, 0, (size_t)ds->nc * sizeof *count);
    for (int64_t i = 0; i < ds->n; i++)
        for (int k = 0; k < ds->item[i].n_labels; k++)
            count[CLAMP((int)ds->item[i].label[k].cls, 0, ds->nc - 1)]++; /* fractions are cut off, as in batches */
}

void dataset_free(Dataset **ds)
{
    if (!*ds) return;
    Arena *a = (*ds)->arena; /* the data set itself lies in it */
    arena_free(&a);
    *ds = NULL;
}
