/* SPDX-License-Identifier: Apache-2.0
 *
 * Batches made ahead. The unit of work is one picture: its slot of the ring has its place in a batch's pixel block, so
 * that a batch is dense without a copy and all workers share the next batch instead of each making one of its own. */
#include "data/data_impl.h"

#include "base/work.h"

#include <string.h>

enum { AHEAD = 3, MAX_SIDE = 8192, MAX_BATCH = 4096 };

/* One picture of a batch in the making. */
typedef struct Slot {
    Sample sample;
    ArenaMark empty;
    BatchImage info;
    Status status;
    Error err;
} Slot;

struct Loader {
    const Dataset *ds;
    LoaderOptions opt;
    const Log *log;
    Arena *a;
    Pictures pictures;
    Order order;
    int n_slots;
    Slot *slot;      /* [AHEAD * batch] */
    uint8_t *pixels; /* [AHEAD * batch, largest_h, largest_w, 3] */
    BatchImage *info;
    float (*target)[6];
    size_t target_capacity;
    Work *work;
    int64_t epoch, first, next; /* batches */
    int64_t handed;             /* images of the last batch, whose slots the caller may be reading */
    bool mix;
};

/* Validation: letterbox without scaling up (spec 5.8). */
static Status place(Loader *l, Slot *slot, int h, int w, Error *err)
{
    Sample *s = &slot->sample;
    const DataItem *item = &l->ds->item[s->index];
    Image im, owned;
    LetterboxPlan plan;
    Letterbox lb = LETTERBOX(w, h);
    lb.scaleup = false;
    TRY(picture_get(&l->pictures, s->index, &im, &owned, err));
    Status status = letterbox_plan(&lb, im.w, im.h, &plan, err);
    if (status == DYN_OK) status = letterbox_into(&plan, IMAGE_PAD, &im, s->out.data, err);
    float pic_w = (float)(im.w * plan.ratio_w), pic_h = (float)(im.h * plan.ratio_h);
    image_free(&owned);
    TRY(status);
    slot->info.gain_w = (double)im.w / item->w * plan.ratio_w,
    slot->info.gain_h = (double)im.h / item->h * plan.ratio_h;
    slot->info.left = plan.left, slot->info.top = plan.top;
    return sample_add_labels(s, item, pic_w, pic_h, (float)plan.left, (float)plan.top, err);
}

static Status augment(Loader *l, Slot *slot, int h, int w, Error *err)
{
    AugmentContext c = { .ds = l->ds,
                         .opt = &l->opt.augment,
                         .seed = l->opt.seed,
                         .epoch = (uint64_t)l->epoch,
                         .imgsz = l->opt.imgsz,
                         .w = w,
                         .h = h,
                         .mix = l->mix && !l->opt.rect,
                         .source = &l->pictures };
    return augment_run(&c, AUGMENT_ALL, &slot->sample, err);
}

static void make(void *user, int64_t item, void *slot_, int worker)
{
    Loader *l = user;
    Slot *slot = slot_;
    Sample *s = &slot->sample;
    int64_t at = item + l->first * l->order.batch, ring = slot - l->slot, k = at / l->order.batch;
    int h = l->order.shape[k][0], w = l->order.shape[k][1];
    uint8_t *block = l->pixels + (size_t)(ring / l->order.batch) * (size_t)l->order.batch * (size_t)l->order.largest_h *
                                     (size_t)l->order.largest_w * 3;
    size_t bytes = (size_t)h * (size_t)w * 3;
    arena_release(s->a, slot->empty);
    *s = (Sample) { .index = l->order.now[at], .a = s->a };
    s->out = (Image) { w, h, 3 * w, block + (size_t)(ring % l->order.batch) * bytes };
    const DataItem *data = &l->ds->item[s->index];
    slot->info =
        (BatchImage) { .index = s->index, .path = data->path, .w = data->w, .h = data->h, .gain_w = 1, .gain_h = 1 };
    slot->status = l->opt.train ? augment(l, slot, h, w, &slot->err) : place(l, slot, h, w, &slot->err);
    sample_release(s);
    if (slot->status == DYN_OK) return;
    image_fill(&s->out, IMAGE_PAD);
    s->n_objects = 0;
}

static Status check(const LoaderOptions *o, Error *err)
{
    if (o->imgsz < 32 || o->imgsz > MAX_SIDE)
        return fail(err, DYN_USAGE, "imgsz %d; 32 to %d is accepted", o->imgsz, MAX_SIDE);
    if (o->batch < 1 || o->batch > MAX_BATCH)
        return fail(err, DYN_USAGE, "batch %d; 1 to %d is accepted", o->batch, MAX_BATCH);
    if (o->workers < 0 || o->workers > 1024)
        return fail(err, DYN_USAGE, "workers %d; 0 to 1024 is accepted", o->workers);
    if (o->stride < 1 || o->stride > 1024 || !(o->pad >= 0 && o->pad <= 16))
        return fail(err, DYN_USAGE, "stride %d with pad %g is out of range", o->stride, o->pad);
    return DYN_OK;
}

static Status init(Loader *l, Error *err)
{
    TRY(order_init(&l->order, l->a, l->ds, &l->opt, err));
    TRY(pictures_init(&l->pictures, l->ds, &l->opt, l->log, err));
    l->n_slots = AHEAD * l->order.batch;
    size_t bytes = (size_t)l->n_slots * (size_t)l->order.largest_h * (size_t)l->order.largest_w * 3;
    if (!(l->pixels = mem_alloc(bytes))) return fail_nomem(err, bytes);
    l->slot = ARENA_ARRAY(l->a, Slot, l->n_slots);
    l->info = ARENA_ARRAY(l->a, BatchImage, l->order.batch);
    if (!l->slot || !l->info) return fail_nomem(err, (size_t)l->n_slots * sizeof *l->slot);
    for (int i = 0; i < l->n_slots; i++) {
        if (!(l->slot[i].sample.a = arena_new())) return fail_nomem(err, 0);
        l->slot[i].empty = arena_mark(l->slot[i].sample.a);
    }
    return DYN_OK;
}

Status loader_new(Loader **out, const Dataset *ds, const LoaderOptions *opt, const Log *log, Error *err)
{
    *out = NULL;
    TRY(check(opt, err));
    Loader *l = mem_alloc(sizeof *l);
    if (!l) return fail_nomem(err, sizeof *l);
    *l = (Loader) { .ds = ds, .opt = *opt, .log = log, .a = arena_new() };
    Status s = l->a ? init(l, err) : fail_nomem(err, 0);
    if (s != DYN_OK) loader_free(&l);
    *out = l;
    return s;
}

void loader_free(Loader **ll)
{
    Loader *l = *ll;
    if (!l) return;
    work_stop(&l->work);
    for (int i = 0; l->slot && i < l->n_slots; i++)
        arena_free(&l->slot[i].sample.a);
    pictures_free(&l->pictures);
    mem_free(l->pixels);
    mem_free(l->target);
    arena_free(&l->a);
    mem_free(l);
    *ll = NULL;
}

int64_t loader_batches(const Loader *l)
{
    return l->order.n_batches;
}

void loader_largest(const Loader *l, int *h, int *w)
{
    *h = l->order.largest_h, *w = l->order.largest_w;
}

void loader_shape(const Loader *l, int64_t k, int64_t *n, int *h, int *w)
{
    *n = MIN(l->order.batch, l->order.n - k * l->order.batch);
    *h = l->order.shape[k][0], *w = l->order.shape[k][1];
}

Status loader_start(Loader *l, int64_t epoch, int64_t first, bool mosaic, Error *err)
{
    if (epoch < 0 || first < 0 || first > l->order.n_batches)
        return fail(err, DYN_USAGE, "epoch %lld from batch %lld of %lld", (long long)epoch, (long long)first,
                    (long long)l->order.n_batches);
    work_stop(&l->work);
    order_epoch(&l->order, l->opt.seed, epoch);
    l->epoch = epoch, l->first = l->next = first, l->mix = mosaic, l->handed = 0;
    int64_t left = MAX(l->order.n - first * l->order.batch, 0);
    return work_start(&l->work, l->opt.workers, left, l->slot, l->n_slots, sizeof *l->slot, make, l, err);
}

/* Whether an image that failed may stay, grey and without labels. */
static Status settle(Loader *l, const Slot *slot, Error *err)
{
    if (slot->status == DYN_OK) return DYN_OK;
    if (l->opt.strict || slot->status == DYN_NOMEM) {
        *err = slot->err;
        return slot->status;
    }
    log_warn(l->log, "%s; the picture is grey and without labels in this batch", slot->err.text);
    return DYN_OK;
}

static Status grow_targets(Loader *l, size_t n, Error *err)
{
    if (n <= l->target_capacity) return DYN_OK;
    size_t want = MAX(n * 2, 1024);
    void *p = mem_alloc(want * sizeof *l->target);
    if (!p) return fail_nomem(err, want * sizeof *l->target);
    if (l->target) memcpy(p, l->target, l->target_capacity * sizeof *l->target);
    mem_free(l->target);
    l->target = p, l->target_capacity = want;
    return DYN_OK;
}

static Status take_targets(Loader *l, const Slot *slot, Batch *b, Error *err)
{
    const Sample *s = &slot->sample;
    const float w = (float)b->w, h = (float)b->h;
    TRY(grow_targets(l, (size_t)b->n_targets + (size_t)s->n_objects, err));
    for (int i = 0; i < s->n_objects; i++) {
        const Object *o = &s->object[i];
        float *t = l->target[b->n_targets++];
        t[0] = (float)b->n, t[1] = (float)(int)o->cls;
        t[2] = (o->x1 + o->x2) / 2 / w, t[3] = (o->y1 + o->y2) / 2 / h;
        t[4] = (o->x2 - o->x1) / w, t[5] = (o->y2 - o->y1) / h;
    }
    return DYN_OK;
}

Status loader_next(Loader *l, Batch *b, double *wait_ms, Error *err)
{
    *b = (Batch) { .index = l->next };
    if (!l->work) return fail(err, DYN_USAGE, "a batch is asked for before an epoch was begun");
    for (; l->handed > 0; l->handed--)
        work_done(l->work);
    if (l->next >= l->order.n_batches) return DYN_OK;
    int64_t n;
    loader_shape(l, l->next, &n, &b->h, &b->w);
    for (; b->n < n; b->n++) {
        Slot *slot = work_next(l->work, wait_ms);
        if (b->n == 0) b->images = slot->sample.out.data;
        l->handed++;
        TRY(settle(l, slot, err));
        TRY(take_targets(l, slot, b, err));
        l->info[b->n] = slot->info;
    }
    b->targets = (const float(*)[6])l->target, b->info = l->info;
    l->next++;
    return DYN_OK;
}
