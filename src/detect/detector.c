/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/detector.h"
#include "passes/passes.h"

/* Folders of photos come in a few aspect ratios; validation in a dozen rectangles. The least recently used goes. */
enum { MAX_PROGRAMS = 24 };

typedef struct Cached {
    Program *program;
    int64_t n, h, w, targets;
    uint64_t used;
    double compile_ms; /* taken by the last prepare() */
    uint64_t loaded;   /* generation of the parameters that it was loaded with; 0: never */
} Cached;

struct Detector {
    DetectorSpec spec;
    Graph *graph;
    Share *share; /* constants, packed weights and activations of all programs */
    Cached cache[MAX_PROGRAMS];
    int n_cached;
    uint64_t clock, generation;
    float *joined;
    size_t n_joined;
};

Status detector_new(const DetectorSpec *spec, Detector **out, Error *err)
{
    Detector *d = mem_alloc(sizeof *d);
    if (!d) return fail_nomem(err, sizeof *d);
    *d = (Detector) { .spec = *spec, .generation = 1 };
    Status s = passes_inference(spec->graph, &d->graph, err);
    if (s == DYN_OK) s = share_new(&d->share, err);
    if (s != DYN_OK) {
        detector_free(&d);
        return s;
    }
    *out = d;
    return DYN_OK;
}

void detector_free(Detector **dd)
{
    Detector *d = *dd;
    if (!d) return;
    for (int i = 0; i < d->n_cached; i++)
        program_free(&d->cache[i].program);
    share_free(&d->share);
    graph_free(&d->graph);
    mem_free(d->joined);
    mem_free(d);
    *dd = NULL;
}

void detector_set_params(Detector *d, const Slab *params)
{
    d->spec.params = params;
    d->generation++;
    share_renew(d->share);
    for (int i = 0; i < d->n_cached; i++)
        program_set_params(d->cache[i].program, params);
}

static Cached *slot_for(Detector *d, int64_t n, int64_t h, int64_t w, int64_t targets)
{
    Cached *oldest = &d->cache[0];
    for (int i = 0; i < d->n_cached; i++) {
        Cached *c = &d->cache[i];
        if (c->n == n && c->h == h && c->w == w && c->targets >= targets) return c;
        if (c->used < oldest->used) oldest = c;
    }
    if (d->n_cached < MAX_PROGRAMS) return &d->cache[d->n_cached++];
    program_free(&oldest->program);
    *oldest = (Cached) { 0 };
    return oldest;
}

static Status prepare(Detector *d, int64_t n, int64_t h, int64_t w, int64_t targets, Cached **out, Error *err)
{
    double start = clock_ms();
    Cached *c = slot_for(d, n, h, w, targets);
    if (!c->program) {
        ProgramSpec spec = { .graph = d->graph,
                             .bind = { n, h, w, targets, d->spec.act },
                             .backend = d->spec.backend,
                             .params = d->spec.params,
                             .fold = d->spec.fold,
                             .share = d->share };
        Status s = program_compile(&spec, &c->program, err);
        if (s != DYN_OK) { /* the slot goes: the last one moves into it */
            *c = d->cache[--d->n_cached];
            d->cache[d->n_cached] = (Cached) { 0 };
            return s;
        }
        c->n = n, c->h = h, c->w = w, c->targets = targets;
    }
    c->used = ++d->clock;
    if (c->loaded != d->generation) {
        TRY(program_load(c->program, err));
        c->loaded = d->generation;
    }
    c->compile_ms = clock_ms() - start;
    *out = c;
    return DYN_OK;
}

Status detector_program(Detector *d, int64_t n, int64_t h, int64_t w, Program **p, Error *err)
{
    Cached *c;
    TRY(prepare(d, n, h, w, 1, &c, err));
    *p = c->program;
    return DYN_OK;
}

static Status run(Detector *d, Cached *c, const uint8_t *rgb, DetectorOutput *out, Error *err)
{
    program_bind_input(c->program, "images", (void *)rgb);
    TRY(program_run(c->program, err));
    Tensor y = program_output(c->program, "y"), score = program_output(c->program, "score");
    if (!y.data || y.rank != 3) return fail(err, DYN_UNSUPPORTED, "the model has no detection output");
    *out = (DetectorOutput) { .y = y.data,
                              .score = score.data,
                              .n = c->n,
                              .n_anchors = y.dim[1],
                              .nc = y.dim[2] - 4,
                              .compile_ms = c->compile_ms };
    return DYN_OK;
}

Status detector_run(Detector *d, const uint8_t *rgb, int64_t n, int64_t h, int64_t w, DetectorOutput *out, Error *err)
{
    Cached *c;
    TRY(prepare(d, n, h, w, 1, &c, err));
    return run(d, c, rgb, out, err);
}

/* Room for labels grows by doubling, so that few programs serve all batches. */
static int64_t rounded_up(int64_t n)
{
    int64_t room = 256;
    while (room < n)
        room *= 2;
    return room;
}

Status detector_run_labelled(Detector *d, const uint8_t *rgb, int64_t n, int64_t h, int64_t w, const float *targets,
                             int64_t n_targets, DetectorOutput *out, Error *err)
{
    Cached *c;
    if (!graph_find_output(d->graph, "items").id) return detector_run(d, rgb, n, h, w, out, err);
    TRY(prepare(d, n, h, w, rounded_up(n_targets), &c, err));
    Tensor room = program_input(c->program, "targets"), count = program_input(c->program, "n_targets");
    if (n_targets) memcpy(room.data, targets, (size_t)n_targets * 6 * sizeof *targets);
    *(int32_t *)count.data = (int32_t)n_targets;
    TRY(run(d, c, rgb, out, err));
    out->items = program_output(c->program, "items").data;
    return DYN_OK;
}

Status detector_joined(Detector *d, size_t n_y, size_t n_score, float **y, float **score, Error *err)
{
    if (d->n_joined < n_y + n_score) {
        mem_free(d->joined);
        d->n_joined = 0;
        if (!(d->joined = mem_alloc((n_y + n_score) * sizeof(float))))
            return fail_nomem(err, (n_y + n_score) * sizeof(float));
        d->n_joined = n_y + n_score;
    }
    *y = d->joined;
    *score = d->joined + n_y;
    return DYN_OK;
}

Predictions detector_predictions(const DetectorOutput *o, int64_t i)
{
    int64_t row = 4 + o->nc;
    return (Predictions) { .data = o->y + i * o->n_anchors * row,
                           .n_anchors = o->n_anchors,
                           .nc = o->nc,
                           .anchor_stride = row,
                           .channel_stride = 1 };
}

Status precision_dtype(const Backend *b, const char *precision, bool half, DType *out, Error *err)
{
    if (!precision || str_eq(precision, "auto"))
        *out = half || b->fast_bf16 ? BF16 : F32;
    else if (str_eq(precision, "f32"))
        *out = F32;
    else if (str_eq(precision, "bf16"))
        *out = BF16;
    else
        return fail(err, DYN_USAGE, "precision=%s: wants auto, f32 or bf16", precision);
    return DYN_OK;
}
