/* SPDX-License-Identifier: Apache-2.0 */
#include "api/train_source.h"

enum { DRAWN_BATCHES = 3, TILES = 16 };

void train_pictures_begin(TrainPictures *p, Loader *loader, double multi_scale, int64_t imgsz, int64_t stride,
                          uint64_t seed, const char *dir, const char *const *names, int32_t nc)
{
    *p = (TrainPictures) { .loader = loader,
                           .multi_scale = multi_scale,
                           .imgsz = imgsz,
                           .stride = stride,
                           .seed = seed,
                           .dir = dir,
                           .names = names,
                           .nc = nc,
                           .batches = loader_batches(loader) };
}

void train_pictures_end(TrainPictures *p)
{
    mem_free(p->scaled);
    p->scaled = NULL;
}

static Status start(void *user, int64_t epoch, int64_t first, bool mosaic, Error *err)
{
    TrainPictures *p = user;
    bool closes = p->mosaic && !mosaic;
    p->epoch = epoch;
    p->done = first;
    p->mosaic = mosaic;
    p->to_draw = p->dir && first == 0 && (epoch == 0 || closes) ? DRAWN_BATCHES : 0;
    return loader_start(p->loader, epoch, first, mosaic, err);
}

/* train_batchK.jpg, K counted over the whole run (spec 9.7). */
static Status draw(const TrainPictures *p, const Batch *b, Error *err)
{
    Arena *a = arena_new();
    if (!a) return fail_nomem(err, 1);
    int64_t n = MIN(b->n, (int64_t)TILES);
    Image *view = ARENA_ARRAY(a, Image, n);
    MosaicTile *tile = ARENA_ARRAY(a, MosaicTile, n);
    Detection *det = ARENA_ARRAY(a, Detection, b->n_targets + 1);
    long long batch = p->epoch * p->batches + p->done;
    char *path = arena_printf(a, "%s/train_batch%lld.jpg", p->dir, batch);
    DrawOpt opt = draw_defaults(p->names, p->nc);
    if (!view || !tile || !det || !path) {
        arena_free(&a);
        return fail_nomem(err, (size_t)b->n_targets * sizeof *det);
    }
    size_t used = 0;
    for (int64_t i = 0; i < n; i++) {
        view[i] = (Image) { b->w, b->h, 3 * b->w, (uint8_t *)b->images + (size_t)i * (size_t)b->w * (size_t)b->h * 3 };
        tile[i] = (MosaicTile) { &view[i], det + used, 0, path_name(b->info[i].path) };
        for (int64_t k = 0; k < b->n_targets; k++) {
            const float *t = b->targets[k];
            if ((int64_t)t[0] != i) continue;
            float w = t[4] * (float)b->w, h = t[5] * (float)b->h, x = t[2] * (float)b->w, y = t[3] * (float)b->h;
            det[used++] = (Detection) { x - w / 2, y - h / 2, x + w / 2, y + h / 2, -1, (int32_t)t[1] };
            tile[i].n++;
        }
    }
    Status s = report_mosaic(path, tile, (size_t)n, &opt, err);
    arena_free(&a);
    return s;
}

/* One size for the whole batch, a function of (seed, epoch, place): spec 6.8. */
static Status rescale(TrainPictures *p, const Batch *b, TrainBatch *out, Error *err)
{
    Rng r = rng_at(p->seed, (uint64_t)p->epoch, (uint64_t)p->done, rng_key("multi_scale"));
    int64_t lo = MAX(p->stride, (int64_t)((double)p->imgsz * (1 - p->multi_scale)));
    int64_t hi = (int64_t)((double)p->imgsz * (1 + p->multi_scale) + (double)p->stride);
    int64_t size = (lo + rng_int(&r, MAX(hi - lo, (int64_t)1))) / p->stride * p->stride, longest = MAX(b->h, b->w);
    int64_t h = (b->h * size + longest * p->stride - 1) / (longest * p->stride) * p->stride;
    int64_t w = (b->w * size + longest * p->stride - 1) / (longest * p->stride) * p->stride;
    size_t bytes = (size_t)(b->n * h * w * 3);
    if (h == b->h && w == b->w) return DYN_OK;
    if (bytes > p->scaled_bytes) {
        mem_free(p->scaled);
        p->scaled_bytes = 0;
        if (!(p->scaled = mem_alloc(bytes))) return fail_nomem(err, bytes);
        p->scaled_bytes = bytes;
    }
    for (int64_t i = 0; i < b->n; i++) {
        Image src = { b->w, b->h, 3 * b->w, (uint8_t *)b->images + (size_t)i * (size_t)b->w * (size_t)b->h * 3 };
        Image dst = { (int)w, (int)h, 3 * (int)w, p->scaled + (size_t)(i * h * w * 3) };
        TRY(image_resize_into(&src, &dst, err));
    }
    out->images = p->scaled;
    out->height = h;
    out->width = w;
    return DYN_OK;
}

static Status next(void *user, TrainBatch *out, Error *err)
{
    TrainPictures *p = user;
    Batch b;
    TRY(loader_next(p->loader, &b, NULL, err));
    *out = (TrainBatch) { .n = b.n,
                          .height = b.h,
                          .width = b.w,
                          .images = b.images,
                          .targets = (const float *)b.targets,
                          .n_targets = b.n_targets };
    if (!b.n) return DYN_OK;
    if (p->to_draw > 0) {
        TRY(draw(p, &b, err));
        p->to_draw--;
    }
    if (p->multi_scale > 0) TRY(rescale(p, &b, out, err));
    p->done++;
    return DYN_OK;
}

TrainSource train_pictures_source(TrainPictures *p)
{
    return (TrainSource) { .user = p, .batches = p->batches, .start = start, .next = next };
}
