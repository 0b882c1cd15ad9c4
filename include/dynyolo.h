/* SPDX-License-Identifier: Apache-2.0
 *
 * dynyolo - train, validate, predict and convert YOLOv8 detectors with dynamic modules.
 *
 * This is the only public header; the command `dynyolo` is written on it alone. */
#ifndef DYNYOLO_H
#define DYNYOLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define DYN_API __attribute__((visibility("default")))
#else
#define DYN_API
#endif

/* ---- errors ------------------------------------------------------------------------------------------------ */

#define DYN_STATUS_MAP(X)                                                                                              \
    X(OK, "ok")                                                                                                        \
    X(USAGE, "wrong usage")                                                                                            \
    X(IO, "cannot read or write")                                                                                      \
    X(FORMAT, "malformed input")                                                                                       \
    X(SHAPE, "shapes do not fit")                                                                                      \
    X(UNSUPPORTED, "not supported")                                                                                    \
    X(NOMEM, "out of memory")                                                                                          \
    X(STOPPED, "interrupted")

typedef enum DynStatus {
#define X(name, text) DYN_##name,
    DYN_STATUS_MAP(X)
#undef X
} DynStatus;

/* What failed, where, and how to mend it, in one line of UTF-8 without a newline. */
typedef struct DynError {
    DynStatus status;
    char text[1024];
} DynError;

/* Name of a status for programs ("FORMAT"), never NULL. */
DYN_API const char *dyn_status_name(DynStatus s);

/* ---- log ---------------------------------------------------------------------------------------------------- */

typedef enum DynLogLevel { DYN_LOG_DEBUG, DYN_LOG_INFO, DYN_LOG_WARN } DynLogLevel;

/* Receives one line (no newline). May be called from any thread that entered the library, one call at a time. */
typedef void DynLogFn(void *user, DynLogLevel level, const char *line);

/* ---- context ------------------------------------------------------------------------------------------------- */

/* Everything below hangs on a context. Calls on one context must not overlap in time, except dyn_stop; several contexts
 * may be used from several threads. The library never prints, never exits, never touches the network. */
typedef struct DynContext DynContext;

typedef struct DynConfig {
    DynLogFn *log; /* NULL: silent */
    void *log_user;
    DynLogLevel level; /* lines below it are dropped */
} DynConfig;

DYN_API DynStatus dyn_open(const DynConfig *config, DynContext **ctx, DynError *err);
DYN_API void dyn_close(DynContext **ctx); /* sets *ctx to NULL */
/* Asks the running call to finish what it is at (a batch, a picture), save, and return DYN_STOPPED. Safe in a signal
 * handler. */
DYN_API void dyn_stop(DynContext *ctx);
DYN_API const char *dyn_version(void);

/* ---- options -------------------------------------------------------------------------------------------------- */

typedef enum DynMode {
    DYN_TRAIN,
    DYN_VAL,
    DYN_PREDICT,
    DYN_INFO,
    DYN_CONVERT,
    DYN_SYNTH,
    DYN_BENCHMARK,
    DYN_COMPARE,
    DYN_CHECK,
    DYN_N_MODES
} DynMode;

/* One struct for all modes, as users know it. Texts are borrowed: they must outlive the call that reads them; NULL is
 * "not given". Names, defaults and meaning are those of dyn_option_rows(). */
typedef struct DynOptions {
    /* what and where */
    const char *model, *data, *source, *device, *project, *name, *precision, *split, *in, *out, *format, *scale_letter,
        *cfg;
    bool exist_ok, verbose, save, plots, strict;
    int64_t threads, workers, batch, imgsz[2], seed;
    /* train */
    const char *pretrained, *optimizer, *freeze, *cache, *resume, *parity, *structure;
    int64_t epochs, patience, save_period, close_mosaic, nbs, nc;
    double time, fraction, multi_scale, min_transfer;
    bool single_cls, rect, cos_lr, val, amp;
    double lr0, lrf, momentum, weight_decay, warmup_epochs, warmup_momentum, warmup_bias_lr, box, cls, dfl, cls_pw;
    double hsv_h, hsv_s, hsv_v, degrees, translate, scale, shear, perspective, flipud, fliplr, bgr, mosaic, mixup,
        cutmix;
    /* val and predict */
    double conf, iou;
    int64_t max_det, line_width, category_base;
    const char *classes, *metrics;
    bool half, augment, agnostic_nms, save_json, save_txt, save_conf, save_crop, show_labels, show_conf, show_boxes;
    /* synth, benchmark */
    int64_t n, n_classes, iters;
    bool train_step;
    /* compare */
    const char *models, *seeds;
    uint64_t given[4]; /* bit i: row i was set by dyn_option_set (a resumed training keeps the rest as it was) */
} DynOptions;

typedef enum DynOptionType {
    DYN_BOOL, /* True False */
    DYN_INT,
    DYN_FLOAT,
    DYN_FRACTION, /* 0..1 */
    DYN_TEXT,
    DYN_SIZE /* an integer or [height, width] */
} DynOptionType;

typedef struct DynOptionRow {
    const char *key;
    DynOptionType type;
    size_t offset;    /* in DynOptions; (size_t)-1: accepted for compatibility, without effect */
    const char *def;  /* default as text, NULL: not given */
    double min, max;  /* inclusive, of numbers */
    unsigned modes;   /* bit 1 << DynMode */
    const char *help; /* one line */
} DynOptionRow;

/* The rows that parsing, help, documentation, range checks and args.yaml are all made from. */
DYN_API const DynOptionRow *dyn_option_rows(size_t *n);
/* Name of a mode ("train") and back; -1 when there is none. */
DYN_API const char *dyn_mode_name(DynMode mode);
DYN_API int dyn_mode_from_name(const char *name);
DYN_API void dyn_options_defaults(DynOptions *o, DynMode mode);
/* Sets one option from text: `conf=0.4`. Fails with the nearest names on an unknown key, with the range on a value out
 * of it. Text values are borrowed from `value`. A renamed key is understood; a key without effect is accepted and
 * reported in *note (may be NULL). */
DYN_API DynStatus dyn_option_set(DynOptions *o, DynMode mode, const char *key, const char *value, const char **note,
                                 DynError *err);
/* Options from a YAML file (args.yaml of a run, say) in place of all that o holds; what the file leaves out is as
 * dyn_options_defaults has it. Keys of other modes are passed over. Texts live as long as the context. */
DYN_API DynStatus dyn_options_load(DynContext *ctx, DynOptions *o, DynMode mode, const char *path, DynError *err);

/* ---- detections ------------------------------------------------------------------------------------------------ */

/* Corners in pixels of the original picture, best first. */
typedef struct DynDetection {
    float x1, y1, x2, y2, conf;
    int32_t cls;
} DynDetection;

/* Interleaved RGB, rows stride bytes apart. */
typedef struct DynImage {
    const uint8_t *rgb;
    int32_t width, height;
    ptrdiff_t stride;
} DynImage;

/* ---- models ----------------------------------------------------------------------------------------------------- */

typedef struct DynModel DynModel;

/* path: .yaml (fresh weights from options->seed; stock names such as yolov8s.yaml need no file), .pt, .safetensors.
 * options may be NULL; device, precision, threads, nc, seed and scale_letter are read. */
DYN_API DynStatus dyn_model_open(DynContext *ctx, const char *path, const DynOptions *options, DynModel **model,
                                 DynError *err);
DYN_API void dyn_model_free(DynModel **model);
/* By extension: .safetensors (native, everything) or .pt (a state dict of tensors for PyTorch). */
DYN_API DynStatus dyn_model_save(DynModel *model, const char *path, DynError *err);
DYN_API int32_t dyn_model_n_classes(const DynModel *model);
DYN_API const char *dyn_model_class_name(const DynModel *model, int32_t cls); /* NULL when there is no such class */
/* Boxes in one picture. out has room for options->max_det boxes and receives *n. Read: imgsz conf iou max_det classes
 * agnostic_nms. */
DYN_API DynStatus dyn_model_detect(DynModel *model, const DynImage *image, const DynOptions *options, DynDetection *out,
                                   size_t *n, DynError *err);
/* The network's raw output for a batch of letterboxed pictures: rgb [n,height,width,3] uint8, sides multiples of the
 * stride; out [n, 4+classes, anchors] f32 as in every export of YOLOv8, anchors = dyn_model_n_anchors(). */
DYN_API DynStatus dyn_model_forward(DynModel *model, const uint8_t *rgb, int32_t n, int32_t height, int32_t width,
                                    float *out, DynError *err);
DYN_API int64_t dyn_model_n_anchors(const DynModel *model, int32_t height, int32_t width);

/* The layer table and its sums, as text (lines) that lives until the model is freed. */
DYN_API DynStatus dyn_model_info(DynModel *model, const DynOptions *options, const char **text, DynError *err);

/* ---- whole jobs -------------------------------------------------------------------------------------------------- */

typedef struct DynMetrics {
    double precision, recall, map50, map50_95, fitness;
    double preprocess_ms, inference_ms, postprocess_ms; /* per image */
    int64_t images, instances;
    const char *table; /* printed table; lives until the context's next job */
    const char *save_dir;
} DynMetrics;

typedef enum DynEventKind {
    DYN_EVENT_BATCH,  /* progress within an epoch or a pass; text is a status line to overwrite */
    DYN_EVENT_EPOCH,  /* an epoch or pass is complete; text is its final line */
    DYN_EVENT_RESULT, /* predict: one picture is done; text is its line, NULL with verbose=False */
    DYN_EVENT_TABLE,  /* several lines to print as they are */
    DYN_EVENT_JSON    /* machine-readable lines for standard output (benchmark and check with format=json) */
} DynEventKind;

typedef struct DynEvent {
    DynEventKind kind;
    const char *text;
    int64_t done, total; /* batches of this pass, or pictures */
    /* DYN_EVENT_RESULT */
    const char *path;
    int32_t width, height; /* of the picture */
    const DynDetection *detections;
    size_t n_detections;
    const char *const *names;
    const char *json; /* one line of JSON when format=json was asked for, else NULL */
    double preprocess_ms, inference_ms, postprocess_ms;
} DynEvent;

/* Valid during the call only. */
typedef void DynEventFn(void *user, const DynEvent *event);

/* Trains options->model on options->data. Writes into project/name as the documentation says. DYN_STOPPED after
 * dyn_stop: the checkpoint is saved and resume=True goes on. */
DYN_API DynStatus dyn_train(DynContext *ctx, const DynOptions *options, DynEventFn *event, void *user, DynMetrics *best,
                            DynError *err);
DYN_API DynStatus dyn_validate(DynContext *ctx, const DynOptions *options, DynEventFn *event, void *user,
                               DynMetrics *metrics, DynError *err);
/* Detects in every picture of options->source, in order; a picture that cannot be read is reported and skipped. */
DYN_API DynStatus dyn_predict(DynContext *ctx, const DynOptions *options, DynEventFn *event, void *user, DynError *err);
/* options->in -> options->out, formats by extension. */
DYN_API DynStatus dyn_convert(DynContext *ctx, const DynOptions *options, DynError *err);
/* Draws a detection data set into options->out: n pictures, n_classes, imgsz, seed. Its data.yaml is written last. */
DYN_API DynStatus dyn_synth(DynContext *ctx, const DynOptions *options, DynError *err);
/* Tells everything that is wrong with options->data, every problem as a DYN_EVENT_TABLE of one line, then tables of
 * what is in it (docs/data.md); with format=json all as DYN_EVENT_JSON, a JSON object a line. DYN_FORMAT when there are
 * errors, with strict also when there are warnings. Nothing is written. */
DYN_API DynStatus dyn_check(DynContext *ctx, const DynOptions *options, DynEventFn *event, void *user, DynError *err);
/* Times options->model per operator; the table comes as DYN_EVENT_TABLE, with format=json as DYN_EVENT_JSON. */
DYN_API DynStatus dyn_benchmark(DynContext *ctx, const DynOptions *options, DynEventFn *event, void *user,
                                DynError *err);
/* Trains each of options->models once with each of options->seeds, all other options alike, then measures what each
 * model costs. Writes compare.md, compare.csv and compare.png into project/name (docs/files.md); the table also comes
 * as the last DYN_EVENT_TABLE. A model that fails is recorded with its reason and the others go on; DYN_FORMAT when
 * none is left. DYN_STOPPED after dyn_stop: everything is saved. Called again for the same folder (exist_ok or resume)
 * it goes on where it was, also after a kill, and trains nothing twice. To measure the memory of a training step it
 * resets the peak that the system keeps of the process's resident memory (VmHWM); it starts no process. */
DYN_API DynStatus dyn_compare(DynContext *ctx, const DynOptions *options, DynEventFn *event, void *user, DynError *err);

#ifdef __cplusplus
}
#endif
#endif
