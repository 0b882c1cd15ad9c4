/* SPDX-License-Identifier: Apache-2.0
 *
 * model - a detector: its description (YAML tree, rows), its graph, its weights, and the files that hold them.
 *
 * The graph is built once with batch, height and width unbound. Its input is "images" (u8 [N,C,H,W], pixels 0..255 of
 * letterboxed RGB pictures). Its outputs:
 *   box0, box1, ...  [N, 4*reg_max, h, w]  logits per level, f32      what the loss and the decoding read
 *   cls0, cls1, ...  [N, nc, h, w]         logits per level, f32
 *   y                [N, A, 4+nc]          cx cy w h in input pixels, then class probabilities, row by anchor
 *   score            [N, A]                the largest class probability of each anchor
 * A program keeps what it is asked for. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "formats/blob.h"
#include "formats/yaml.h"
#include "model/builder.h"

/* One row of the model YAML as it was built. */
typedef struct ModelRow {
    int index, line;   /* line in the YAML, 0 when it did not come from text */
    const char *name;  /* given by {name: ...}; NULL */
    const char *from;  /* "-1" or "[-1, 6]", as written */
    const int *source; /* [n_source] rows that it reads, -1 is the image */
    int n_source;
    int64_t repeat;            /* after depth scaling */
    const char *module, *args; /* args as the reference's table prints them: "[16, 32, 3, 2]" */
    int64_t params;            /* elements of its weights, biases and fixed tensors; states are not counted */
    Value out;
    Shape shape;               /* of out at the nominal binding, 640x640 */
    int first_node, last_node; /* graph nodes [first, last): their costs are the row's */
} ModelRow;

/* What the reference did differently in some of its versions, and files depend on. */
typedef struct ModelCompat {
    bool width_nc_quirk; /* a width that equals nc stays unscaled (all versions of the reference) */
    bool sppf_no_act;    /* SPPF's first convolution without activation (8.4.0 and later) */
    bool depthwise_cls;  /* depthwise class branch in Detect (8.3.0 to 8.3.16 for v8, later families); also chosen by
                            itself when the YAML has a C3k2, A2C2f or C2fCIB row */
    double bn_eps, bn_momentum; /* of every BatchNorm2d; 0 means 1e-3 and 0.03 */
    double box_bias;            /* initial bias of the box logits; 0 means 1.0 (2.0 from 8.4.0 on) */
} ModelCompat;

typedef struct Model {
    Arena *a; /* everything below lives in it, except graph and slab */
    Graph *g;
    Slab w;            /* parameters and states */
    int64_t *count;    /* [graph_n_params] values of the PARAM_COUNT entries, zero for the others */
    const char *title; /* "YOLOv8n" */
    const char *file;  /* where the description came from, for messages */
    const char *task;  /* "detect" */
    const Yaml *yaml;  /* the description with nc, scale and channels filled in: enough to build it again */
    const char *scale; /* "n", "" when the description has none */
    int64_t ch, nc, reg_max;
    const char **names; /* [nc] */
    int n_level;
    int64_t stride[MAX_LEVELS], max_stride;
    ModelRow *row;
    int n_row;
    int n_leaf;           /* parameterless layers, see model_info */
    const char *note;     /* what the description's key `note` says about it, NULL */
    const char **warning; /* [n_warning] what is allowed but unwise, each with file, line and row */
    size_t n_warning, cap_warning;
    struct PlainSpec *plain; /* [n_plain] what modules declare for model_adapt (transfer.h) */
    size_t n_plain, cap_plain;
    ModelCompat compat;         /* as built */
    const Yaml *train_args;     /* of a loaded file, NULL */
    const char *version, *date; /* of a loaded file, NULL */
} Model;

typedef struct ModelOptions {
    int64_t nc, ch;    /* 0: as the file says; otherwise they replace what the file says */
    const char *scale; /* NULL: from the file name, the key `scale`, or the first of `scales` with a warning */
    uint64_t seed;     /* of the initial values */
    bool filled;       /* the caller gives every trained parameter a value: none is drawn at random */
    ModelCompat compat;
    int64_t most_values; /* > 0: DYN_FORMAT when the parameters have more elements; nothing is allocated for them */
    const Log *log;      /* may be NULL */
} ModelOptions;

/* "classic" or "current" (as the reference builds from 8.4.0 on); NULL leaves what is there. DYN_USAGE for others. */
Status model_structure(const char *name, ModelCompat *c, Error *err);

/* ---- building ------------------------------------------------------------------------------------------------ */

/* From a YAML file or the name of a stock one ("yolov8s.yaml", "yolov8n-p2", "yolov8x6.yaml"). A file of that name
 * wins over a stock one; a scale letter after the digits is also looked for in the unified file ("yolov8.yaml"). */
Status model_from_file(const char *path, const ModelOptions *o, Model **out, Error *err);
/* From YAML text; name is for messages and may carry the scale letter. */
Status model_from_text(const char *name, const char *text, size_t n, const ModelOptions *o, Model **out, Error *err);
/* From a parsed description, which is copied; file as name above. */
Status model_from_yaml(const char *file, const Yaml *yaml, const ModelOptions *o, Model **out, Error *err);
void model_free(Model **m);
/* Initial values of all parameters, a function of (seed, name) only; counters to zero. */
void model_init(Model *m, uint64_t seed);
/* Class names, nc of them, copied. */
Status model_set_names(Model *m, const char *const *names, Error *err);
/* Keeps a warning about a row; the same text twice is one. For modules: build_warn. */
void model_warn(Model *m, int row, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Names of the stock files, NULL when i is past the last; text: its YAML. */
const char *model_stock(int i, const char **text);

/* ---- files --------------------------------------------------------------------------------------------------- */

/* .pt (released files, files of 8.0 to 8.4, half or float, EMA or model), .safetensors (our own), .yaml or a stock
 * name. A weights file describes its model: of the options only the log is looked at; every parameter must be there
 * with its shape. DYN_UNSUPPORTED with a sentence for other tasks, YOLOv5 and fused files, and for files that hold
 * weights without a description (model_transfer takes those). */
Status model_load(const char *path, const ModelOptions *o, Model **out, Error *err);
/* Native file: weights in f32 and, in its notes, all that model_load needs. extra: more notes, may be NULL. */
Status model_save(const Model *m, const char *path, const BlobNote *extra, size_t n_extra, Error *err);
/* State dict that torch.load(weights_only=True) reads. Temperatures are not in it: the published modules keep them as
 * plain attributes, and a strict load of theirs refuses names that it does not know. */
Status model_save_pt(const Model *m, const char *path, Error *err);
/* Tensors of the model as f32 (counters as int64) in state_dict order; data belongs to the model or to the arena. */
Status model_blobs(const Model *m, const Slab *w, Arena *a, BlobFile *out, Error *err);

typedef struct Transfer {
    int64_t copied, total; /* "Transferred (copied + n_changed + n_resized)/total items" */
    const char **missing;  /* parameters of the model that were not found, or have another shape */
    size_t n_missing;
    const char **changed; /* model_adapt: made from a plain layer's tensors */
    size_t n_changed;
    const char **resized; /* model_adapt: of banks that have another number of kernels in the file */
    size_t n_resized;
    const int *row; /* model_adapt: [n_row] the file's row that stands for each, -1 when none does */
} Transfer;
/* Copies every tensor whose name and shape agree, converting to f32. Names of what was not live in the arena. A
 * scheduled parameter that src lacks is not counted: where src has its layer, it stands where the reference leaves it.
 */
Status model_transfer(Model *m, const BlobFile *src, Arena *a, Transfer *t, Error *err);

#define BANK_NOISE 0.1 /* see adapt.c */
typedef struct AdaptOptions {
    uint64_t seed;           /* of the noise, a function of (seed, name) */
    double noise;            /* of each kernel of a bank, relative to the plain kernel's root mean square */
    const Yaml *description; /* of the file's model, if it is known: rows of one name are each other's; may be NULL */
} AdaptOptions;
/* The same from a file of another architecture: rows are aligned by their tensors' names, then shapes, and a dynamic
 * layer where the file has a plain one begins as that, see build_plain. What finds nothing stays as it is. */
Status model_adapt(Model *m, const BlobFile *src, const AdaptOptions *o, Arena *a, Transfer *t, Error *err);
/* "Transferred K/N items from FILE", then a line each for what was adapted and left new, by rows and, verbose, by name,
 * and for rows that stand elsewhere in the file. Lives in the arena; NULL when out of memory. */
char *transfer_text(const Model *m, const Transfer *t, const char *from, bool verbose, Arena *a);
/* Tensors of a weights file (.pt or .safetensors), for model_transfer; and what else it tells. facts may be NULL. */
typedef struct WeightsFacts {
    ModelCompat compat;      /* what the version that made it did differently, if it says */
    const Yaml *description; /* of its model, NULL for a bare state dict */
} WeightsFacts;
Status model_read_blobs(const char *path, Arena *a, BlobFile *out, WeightsFacts *facts, Error *err);

/* ---- numbers ------------------------------------------------------------------------------------------------- */

typedef struct ModelInfo {
    int layers, layers_fused;            /* leaf layers, counted as the reference does from 8.3.76 on */
    int64_t params, params_fused;        /* weights, biases, fixed */
    int64_t gradients;                   /* trainable ones */
    double gflops, gflops_fused;         /* every operation of the graph, 2 per multiply-accumulate */
    double mac_gflops, mac_gflops_fused; /* true, as papers count: 2 per multiply-accumulate and nothing else */
    double profiler, profiler_fused; /* what a module-hook profiler prints (spec 2.10), 2e-9 per multiply-accumulate */
    double *row_gflops;              /* [n_row] true, unfused */
} ModelInfo;
/* A line for each schedule of a temperature: where it stands, how it moves, the rows. "" when there is none; lives in
 * the arena; NULL when out of memory. */
char *model_schedules(const Model *m, Arena *a);
/* At batch 1 and imgsz x imgsz. Results live in the arena. */
Status model_info(const Model *m, int64_t imgsz, Arena *a, ModelInfo *info, Error *err);
/* Header, one line per row (index, from, repeats, parameters, module, arguments in the reference's widths; then output
 * shape and GFLOPs), two summary lines, then schedules, the description's note and the warnings. rows=false: no lines
 * of rows. Lives in the arena; NULL when out of memory. */
char *model_table(const Model *m, const ModelInfo *info, int64_t imgsz, bool rows, Arena *a);

#endif
