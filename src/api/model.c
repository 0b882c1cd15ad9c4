/* SPDX-License-Identifier: Apache-2.0 */
#include "api/options.h"
#include "api/setup.h"
#include "train/programs.h"

#include <limits.h>
#include <string.h>

DynStatus dyn_model_open(DynContext *ctx, const char *path, const DynOptions *options, DynModel **out, DynError *err)
{
    DynOptions fallback;
    if (!options) {
        dyn_options_defaults(&fallback, DYN_PREDICT);
        options = &fallback;
    }
    if (!path) return fail(err, DYN_USAGE, "which model? The path is NULL");
    if (options->nc < 0 || options->nc > 100000 || options->threads < 0 || options->threads > 1024)
        return fail(err, DYN_USAGE, "nc=%lld, threads=%lld: want 0 to 100000 classes and 0 to 1024 threads",
                    (long long)options->nc, (long long)options->threads);
    DynModel *model = mem_alloc(sizeof *model);
    if (!model) return fail_nomem(err, sizeof *model);
    *model = (DynModel) { .ctx = ctx };
    ModelOptions mo = {
        .nc = options->nc, .scale = options->scale_letter, .seed = (uint64_t)options->seed, .log = &ctx->log
    };
    Status s = model_structure(options->structure, &mo.compat, err);
    if (s == DYN_OK) s = model_load(path, &mo, &model->m, err);
    if (s == DYN_OK)
        s = backend_open(options->device ? options->device : "cpu", (int)options->threads, &ctx->log, &model->backend,
                         err);
    if (s == DYN_OK) s = precision_dtype(model->backend, options->precision, options->half, &model->act, err);
    if (s != DYN_OK) {
        dyn_model_free(&model);
        return s;
    }
    *out = model;
    return DYN_OK;
}

void dyn_model_free(DynModel **mm)
{
    DynModel *model = *mm;
    if (!model) return;
    detector_free(&model->detector);
    backend_close(&model->backend);
    model_free(&model->m);
    arena_free(&model->text);
    mem_free(model);
    *mm = NULL;
}

static Status save_pt(DynModel *model, const char *path, Error *err)
{
    TRY(model_save_pt(model->m, path, err));
    Arena *a = arena_new();
    char *left_out = a ? model_schedules(model->m, a) : NULL;
    if (left_out && *left_out)
        log_warn(&model->ctx->log,
                 "%s has no temperatures, because the published modules keep them in no file; set after loading: %s",
                 path, left_out);
    arena_free(&a);
    return DYN_OK;
}

DynStatus dyn_model_save(DynModel *model, const char *path, DynError *err)
{
    if (str_ends_nocase(path, ".safetensors")) return model_save(model->m, path, NULL, 0, err);
    if (str_ends_nocase(path, ".pt")) return save_pt(model, path, err);
    return fail(err, DYN_USAGE, "cannot write '%s': the extension must be .safetensors or .pt", path);
}

int32_t dyn_model_n_classes(const DynModel *model)
{
    return (int32_t)model->m->nc;
}

const char *dyn_model_class_name(const DynModel *model, int32_t cls)
{
    return cls >= 0 && cls < model->m->nc ? model->m->names[cls] : NULL;
}

Status model_detector(DynModel *model, Detector **d, Error *err)
{
    if (!model->detector) {
        DetectorSpec spec = {
            .graph = model->m->g, .params = &model->m->w, .backend = model->backend, .act = model->act, .fold = true
        };
        TRY(detector_new(&spec, &model->detector, err));
    }
    *d = model->detector;
    return DYN_OK;
}

static Status detect(DynModel *model, const DynImage *image, const DynOptions *o, DynDetection *out, size_t *n,
                     Arena *a, Error *err)
{
    Detector *d;
    PredictSpec spec;
    PredictResult timing;
    Image im = { image->width, image->height, (int)image->stride, (uint8_t *)image->rgb };
    TRY(model_detector(model, &d, err));
    TRY(setup_prediction(model->ctx, o, model->m->max_stride, a, &spec, err));
    spec.batch = 1;
    spec.rect = true;
    Detection *det = ARENA_ARRAY(a, Detection, o->max_det);
    if (!det) return fail_nomem(err, (size_t)o->max_det * sizeof *det);
    TRY(predict_images(d, &spec, &(const Image *) { &im }, 1, &det, n, &timing, err));
    setup_detections(det, *n, out);
    return DYN_OK;
}

DynStatus dyn_model_detect(DynModel *model, const DynImage *image, const DynOptions *o, DynDetection *out, size_t *n,
                           DynError *err)
{
    TRY(options_check(o, DYN_PREDICT, err));
    if (!image->rgb || image->width < 1 || image->height < 1 || image->stride < (ptrdiff_t)image->width * 3 ||
        image->stride > INT_MAX)
        return fail(err, DYN_USAGE, "a picture of %d x %d pixels with rows of %td bytes", image->width, image->height,
                    image->stride);
    Arena *a = arena_new();
    if (!a) return fail_nomem(err, 1);
    Status s = detect(model, image, o, out, n, a, err);
    arena_free(&a);
    return s;
}

int64_t dyn_model_n_anchors(const DynModel *model, int32_t height, int32_t width)
{
    int64_t n = 0;
    for (int i = 0; i < model->m->n_level; i++)
        n += (height / model->m->stride[i]) * (width / model->m->stride[i]);
    return n;
}

DynStatus dyn_model_forward(DynModel *model, const uint8_t *rgb, int32_t n, int32_t height, int32_t width, float *out,
                            DynError *err)
{
    Detector *d;
    DetectorOutput o;
    int64_t stride = model->m->max_stride;
    if (!rgb || !out) return fail(err, DYN_USAGE, "pixels or room for the output are NULL");
    if (n < 1 || height < stride || width < stride || height % stride || width % stride)
        return fail(err, DYN_USAGE, "batch %d of %d x %d: sides must be multiples of %lld", n, width, height,
                    (long long)stride);
    TRY(model_detector(model, &d, err));
    TRY(detector_run(d, rgb, n, height, width, &o, err));
    int64_t rows = 4 + o.nc;
    for (int64_t i = 0; i < o.n; i++)
        for (int64_t k = 0; k < o.n_anchors; k++)
            for (int64_t c = 0; c < rows; c++)
                out[(i * rows + c) * o.n_anchors + k] = o.y[(i * o.n_anchors + k) * rows + c];
    return DYN_OK;
}

static const struct {
    const char *name;
    DType act;
} precisions[] = { { "f32", F32 }, { "bf16", BF16 } };

/* The planner's own figures; nothing is run. */
static Status inference_memory(DynModel *model, DType act, int64_t imgsz, ProgramStats *stats, Error *err)
{
    Detector *d;
    Program *p;
    DetectorSpec spec = {
        .graph = model->m->g, .params = &model->m->w, .backend = model->backend, .act = act, .fold = true
    };
    TRY(detector_new(&spec, &d, err));
    Status s = detector_program(d, 1, imgsz, imgsz, &p, err);
    if (s == DYN_OK) *stats = program_stats(p);
    detector_free(&d);
    return s;
}

static Status training_memory(DynModel *model, DType act, int64_t imgsz, int64_t batch, ProgramStats *stats, Error *err)
{
    TrainPrograms t;
    Program *p;
    TRY(programs_open(&t, model->m, train_defaults().gain, act, model->backend, &model->m->w, &model->m->w, err));
    Status s = programs_for(&t, &(TrainBatch) { .n = batch, .height = imgsz, .width = imgsz }, &p, err);
    if (s == DYN_OK) *stats = program_stats(p);
    programs_close(&t);
    return s;
}

static Status memory_lines(DynModel *model, int64_t imgsz, int64_t batch, Text *text, Error *err)
{
    ProgramStats s;
    double weights = (double)model->m->w.n * 4e-6;
    text_add(text,
             "\nmemory at %lldx%lld (MB)   inference batch 1: activations + weights   training batch %lld: activations "
             "+ weights, gradients, optimiser, EMA",
             (long long)imgsz, (long long)imgsz, (long long)batch);
    for (size_t i = 0; i < COUNT_OF(precisions); i++) {
        TRY(inference_memory(model, precisions[i].act, imgsz, &s, err));
        text_add(text, "\n  %-5s %34.1f + %.1f", precisions[i].name, (double)s.slab_bytes / 1e6,
                 (double)s.const_bytes / 1e6);
        TRY(training_memory(model, precisions[i].act, imgsz, batch, &s, err));
        text_add(text, " %38.1f + %.1f", (double)s.slab_bytes / 1e6, 6 * weights);
    }
    return DYN_OK;
}

DynStatus dyn_model_info(DynModel *model, const DynOptions *o, const char **text, DynError *err)
{
    enum { TRAIN_BATCH = 16 };
    ModelInfo info;
    TRY(options_check(o, DYN_INFO, err));
    arena_free(&model->text);
    if (!(model->text = arena_new())) return fail_nomem(err, 1);
    Text t = { .a = model->text };
    int64_t size[2];
    round_imgsz(model->ctx, o, model->m->max_stride, size);
    TRY(model_info(model->m, size[0], model->text, &info, err));
    char *table = model_table(model->m, &info, size[0], o->verbose, model->text);
    if (!table) return fail_nomem(err, 1);
    text_add(&t, "%s", table);
    TRY(memory_lines(model, size[0], TRAIN_BATCH, &t, err));
    return (*text = text_done(&t)) ? DYN_OK : fail_nomem(err, t.n);
}
