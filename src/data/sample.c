/* SPDX-License-Identifier: Apache-2.0
 *
 * Pictures as the data set's first resize leaves them (spec 5.6), cached or not, and samples put together from them. */
#include "data/data_impl.h"

#include <stdatomic.h>
#include <string.h>

/* Only what the scan has told of may lack its end: a file that was cut since then is as bad as any other. */
static Status decode(const DataItem *item, Arena *a, Image *im, Error *err)
{
    char *bytes;
    size_t n;
    TRY(file_read(a, item->path, IMAGE_MAX_FILE, &bytes, &n, err));
    return (item->cut ? image_decode_tolerant : image_decode)(bytes, n, item->path, im, err);
}

/* A picture of its own, resized. */
static Status load(const Pictures *p, const DataItem *item, Image *im, Error *err)
{
    int w, h;
    Image full;
    Arena *a = arena_new();
    if (!a) return fail_nomem(err, 0);
    Status s = decode(item, a, &full, err);
    arena_free(&a);
    TRY(s);
    if (full.w != item->w || full.h != item->h) {
        s = fail(err, DYN_FORMAT, "%s: has %d x %d pixels, but had %d x %d when the data set was scanned", item->path,
                 full.w, full.h, item->w, item->h);
        image_free(&full);
        return s;
    }
    image_fit_size(full.w, full.h, p->imgsz, &w, &h);
    if (w == full.w && h == full.h) {
        *im = full;
        return DYN_OK;
    }
    s = image_resize(&full, w, h, im, err);
    image_free(&full);
    return s;
}

static Image cached(const Pictures *p, int64_t index, uint8_t *data)
{
    Image im = { .data = data };
    image_fit_size(p->ds->item[index].w, p->ds->item[index].h, p->imgsz, &im.w, &im.h);
    im.stride_bytes = 3 * im.w;
    return im;
}

Status picture_get(void *source, int64_t index, Image *im, Image *owned, Error *err)
{
    Pictures *p = source;
    uint8_t *data = p->cache ? atomic_load(&p->cache[index]) : NULL, *none = NULL;
    *owned = (Image) { 0 };
    if (data) {
        *im = cached(p, index, data);
        return DYN_OK;
    }
    Status s = load(p, &p->ds->item[index], im, err);
    if (s != DYN_OK) {
        *im = (Image) { 0 };
        return s;
    }
    if (p->cache && atomic_compare_exchange_strong(&p->cache[index], &none, im->data)) return DYN_OK;
    *owned = *im; /* no cache, or another worker was faster */
    return DYN_OK;
}

Status pictures_init(Pictures *p, const Dataset *ds, const LoaderOptions *opt, const Log *log, Error *err)
{
    *p = (Pictures) { .ds = ds, .imgsz = opt->imgsz };
    size_t bytes = 0;
    for (int64_t i = 0; i < ds->n; i++) {
        Image im = cached(p, i, NULL);
        bytes += (size_t)im.w * (size_t)im.h * 3;
    }
    if (!opt->cache) return DYN_OK;
    if (opt->cache_bytes && bytes > opt->cache_bytes) {
        log_warn(log, "the resized pictures take %.2f GB, more than the %.2f GB allowed; they are not kept in memory",
                 (double)bytes / 1e9, (double)opt->cache_bytes / 1e9);
        return DYN_OK;
    }
    p->cache = mem_alloc((size_t)ds->n * sizeof *p->cache);
    if (!p->cache) return fail_nomem(err, (size_t)ds->n * sizeof *p->cache);
    for (int64_t i = 0; i < ds->n; i++)
        atomic_init(&p->cache[i], NULL);
    return DYN_OK;
}

void pictures_free(Pictures *p)
{
    for (int64_t i = 0; p->cache && i < p->ds->n; i++)
        mem_free(atomic_load(&p->cache[i]));
    mem_free(p->cache);
    *p = (Pictures) { 0 };
}

void sample_add_patch(Sample *s, const Image *im, Image *owned, int x, int y, int w, int h, int to_x, int to_y)
{
    int k = s->n_patches++;
    s->owned[k] = *owned;
    *owned = (Image) { 0 };
    s->patch[k] = (ImagePatch) { .im = image_view(im, x, y, w, h), .x = to_x, .y = to_y };
}

void sample_release(Sample *s)
{
    for (int i = 0; i < s->n_patches; i++)
        image_free(&s->owned[i]);
    s->n_patches = 0;
}

Status sample_reserve(Sample *s, int more, Error *err)
{
    int64_t want = (int64_t)s->n_objects + more;
    if (want <= s->n_capacity) return DYN_OK;
    Object *o = ARENA_ARRAY(s->a, Object, want * 2);
    if (!o || want > INT32_MAX / 2) return fail_nomem(err, (size_t)want * 2 * sizeof *o);
    if (s->n_objects) memcpy(o, s->object, (size_t)s->n_objects * sizeof *o);
    s->object = o, s->n_capacity = (int)want * 2;
    return DYN_OK;
}

Status sample_add_labels(Sample *s, const DataItem *item, float w, float h, float left, float top, Error *err)
{
    TRY(sample_reserve(s, item->n_labels, err));
    for (int i = 0; i < item->n_labels; i++) {
        const Label *l = &item->label[i];
        Object *o = &s->object[s->n_objects];
        *o = (Object) { .cls = l->cls,
                        .x1 = (l->cx - l->w / 2) * w + left,
                        .y1 = (l->cy - l->h / 2) * h + top,
                        .x2 = (l->cx + l->w / 2) * w + left,
                        .y2 = (l->cy + l->h / 2) * h + top };
        if (item->polygon) {
            const Polygon *p = &item->polygon[i];
            if (!(o->point = arena_array(s->a, (size_t)p->n, sizeof *o->point)))
                return fail_nomem(err, (size_t)p->n * sizeof *o->point);
            o->n_points = p->n;
            for (int k = 0; k < p->n; k++)
                o->point[k][0] = p->point[k][0] * w + left, o->point[k][1] = p->point[k][1] * h + top;
        }
        s->n_objects++;
    }
    return DYN_OK;
}

void object_clip(Object *o, float w, float h)
{
    o->x1 = CLAMP(o->x1, 0, w), o->x2 = CLAMP(o->x2, 0, w);
    o->y1 = CLAMP(o->y1, 0, h), o->y2 = CLAMP(o->y2, 0, h);
}
