/* SPDX-License-Identifier: Apache-2.0
 *
 * eval - from raw predictions to boxes, and from boxes and labels to precision, recall and mAP.
 *
 * Plain C on arrays: nothing here knows of graphs, files of images or models. Numbers follow spec/yolov8.md section 8
 * to the bit where it fixes the bits (float32 class offsets, strict comparisons, stable orders); what the spec leaves
 * open (ties) is resolved by index, so results do not depend on machine or thread count. */
#ifndef EVAL_H
#define EVAL_H

#include "base/base.h"

/* One box: corners in pixels (of what, the function says), confidence, class id. */
typedef struct Detection {
    float x1, y1, x2, y2;
    float conf;
    int32_t cls;
} Detection;

/* One labelled object: centre and size as fractions of the network input (after letterboxing), class id. */
typedef struct Target {
    float x, y, w, h;
    int32_t cls;
} Target;

/* ---- box.c -------------------------------------------------------------------------------------------------- */
/* (cx, cy, w, h) <-> (x1, y1, x2, y2), in place allowed. */
void box_xywh_to_xyxy(const float xywh[4], float xyxy[4]);
void box_xyxy_to_xywh(const float xyxy[4], float xywh[4]);
/* Intersection over union, inter / (a + b - inter + 1e-7) in float32. */
float box_iou(const float a[4], const float b[4]);

/* How a picture of w0 x h0 pixels lies in a network input of net_w x net_h: net = original * gain + pad. */
typedef struct Placement {
    double gain, pad_x, pad_y;
    int32_t net_w, net_h, w0, h0;
} Placement;
/* The placement when nothing was recorded (predict): gain and pads recomputed from the two sizes. */
Placement placement_guess(int32_t net_w, int32_t net_h, int32_t w0, int32_t h0);
/* Network pixels -> original pixels, clipped to the picture; corners in box[0..3]. */
void placement_undo(const Placement *l, float box[4]);
void placement_undo_all(const Placement *l, Detection *det, size_t n);

/* ---- nms.c -------------------------------------------------------------------------------------------------- */
/* One image's decoded head output: A anchors, each (cx, cy, w, h, score[nc]) in network pixels, any layout. Strides are
 * in elements: [A, 4+nc] has {4+nc, 1}, [4+nc, A] has {1, A}; both of these take the fast path. */
typedef struct Predictions {
    const float *data;
    int64_t n_anchors, nc;
    int64_t anchor_stride, channel_stride;
} Predictions;

typedef struct NmsOpt {
    double conf;            /* a score must be greater */
    double iou;             /* a box overlapping a better one by more than this goes; 0..1 */
    int64_t max_det;        /* boxes kept at most */
    int64_t max_nms;        /* rows that enter suppression at most, the best ones */
    bool multi_label;       /* one row per (anchor, class) above conf, else per anchor with its best class */
    bool agnostic;          /* boxes of different classes suppress each other */
    const int32_t *classes; /* keep only these; NULL keeps all */
    size_t n_classes;
} NmsOpt;
NmsOpt nms_defaults_predict(void); /* conf 0.25, iou 0.7, max_det 300, best class only */
NmsOpt nms_defaults_val(void);     /* conf 0.001, multi_label (harmless when nc is 1) */

/* Greedy suppression. out has room for opt->max_det boxes and receives *n of them, network pixels, best first, not
 * clipped. scratch is left as it was found. Scores that are NaN never pass, nor do boxes that are not finite. Fails
 * DYN_USAGE on thresholds outside 0..1 and negative counts, DYN_SHAPE on a view that cannot be indexed, DYN_NOMEM. */
Status nms(const Predictions *p, const NmsOpt *opt, Arena *scratch, Detection *out, size_t *n, Error *err);

/* ---- match.c ------------------------------------------------------------------------------------------------ */
enum { N_IOU = 10 };                  /* thresholds 0.50, 0.55 .. 0.95 */
extern const float iou_levels[N_IOU]; /* as float32: 0.95 is 0.949999988 */

/* iou [n_target, n_pred], predictions in descending confidence. Bit k of hit[i] is set when prediction i is a true
 * positive at iou_levels[k]: each prediction claims its best target of its own class, each target takes its most
 * confident claimant, and losers get no second choice. hit [n_pred], taken [n_target] is scratch. */
void match_predictions(const float *iou, const int32_t *pred_cls, size_t n_pred, const int32_t *target_cls,
                       size_t n_target, uint16_t *hit, uint16_t *taken);

/* ---- ap.c --------------------------------------------------------------------------------------------------- */
/* What lies between the last recall reached and 1: a slanted line to zero (all releases before 8.4.37, the published
 * figures) or a drop to zero. */
typedef enum ApRule { AP_SLANTED, AP_DROP } ApRule;

/* Area under one class's precision-recall curve sampled at 101 points; n >= 1 points in order of falling confidence.
 * knots has room for 2 * (n + 3) doubles, which afterwards hold the envelope: recalls, then precisions, *n_knots each.
 */
double compute_ap(const double *recall, const double *precision, size_t n, ApRule rule, double *knots, size_t *n_knots);
/* Piecewise-linear interpolation as np.interp: xp rising, repeated knots: the last one wins; fp[n-1] beyond the end. */
double interp_linear(double x, const double *xp, const double *fp, size_t n, double left);

enum { N_GRID = 1000 }; /* points of every curve: i / 999 */

/* One class that has labels. Means over classes are in EvalResult. */
typedef struct ClassResult {
    int32_t cls;
    int64_t images, instances; /* images that show the class, labels of it */
    double p, r, f1;           /* at EvalResult.best_conf */
    double ap[N_IOU];
    double map;                                 /* mean of ap */
    const double *p_curve, *r_curve, *f1_curve; /* [N_GRID] over confidence, at IoU 0.5 */
    const double *pr_curve;                     /* [N_GRID] precision over recall, at IoU 0.5 */
} ClassResult;

typedef struct EvalResult {
    double p, r, map50, map75, map; /* means over classes with labels; zeros when there is no label */
    double best_conf;               /* where the smoothed mean F1 is highest */
    int64_t images, instances;
    ClassResult *row; /* ascending class id */
    size_t n_rows;
    double *maps; /* [nc] mAP50-95 per class, classes without labels filled with the mean */
    int32_t nc;
    const int64_t *confusion; /* [nc+1, nc+1], row = predicted, column = true, last = background; NULL if not asked */
} EvalResult;

/* Precision, recall and AP of every class from the matches of all images. hit, conf, pred_cls [n]: bit k of hit says
 * true positive at iou_levels[k]; any order, equal confidences keep theirs. Fills *r except images, instances' images
 * and confusion; arrays live in the arena. Class ids must lie in 0..nc-1. */
Status ap_per_class(const uint16_t *hit, const float *conf, const int32_t *pred_cls, size_t n,
                    const int32_t *target_cls, size_t n_target, int32_t nc, ApRule rule, Arena *a, EvalResult *r,
                    Error *err);

typedef enum FitnessRule { FITNESS_CLASSIC, FITNESS_MAP } FitnessRule; /* 0.1 mAP50 + 0.9 mAP; mAP alone (>= 8.3.198) */
double eval_fitness(const EvalResult *r, FitnessRule rule);

/* ---- rules.c ------------------------------------------------------------------------------------------------- */
typedef enum MatchSpace {
    MATCH_ORIGINAL, /* both sides mapped to original pixels and clipped (before 8.3.168) */
    MATCH_LETTERBOX /* network pixels, predictions unclipped */
} MatchSpace;

/* What changed between versions of the reference, as a whole: "classic", which the published figures were made with, or
 * "current" (8.4.37 and later). */
typedef struct MetricRules {
    ApRule ap;
    MatchSpace space;
    FitnessRule fitness;
} MetricRules;
/* NULL means classic; DYN_USAGE for another name. */
Status metric_rules(const char *name, MetricRules *out, Error *err);

/* ---- metrics.c ---------------------------------------------------------------------------------------------- */
typedef struct MetricsOpt {
    int32_t nc;
    double conf;    /* of the NMS; the confusion matrix takes it, or 0.25 when it is 0.001 or 0 */
    bool confusion; /* fill the confusion matrix */
    ApRule ap_rule;
    MatchSpace space;
} MetricsOpt;

typedef struct Metrics Metrics;
Status metrics_new(Metrics **m, const MetricsOpt *opt, Error *err);
void metrics_free(Metrics **m);
/* One image: det in network pixels, best first; target in fractions of the network input. Nothing is kept of either.
 * Class ids outside 0..nc-1 fail DYN_FORMAT. */
Status metrics_add(Metrics *m, const Placement *l, const Detection *det, size_t n_det, const Target *target,
                   size_t n_target, Error *err);
/* Everything in *r lives in the arena. The accumulator stays usable. */
Status metrics_result(const Metrics *m, Arena *a, EvalResult *r, Error *err);
/* Forgets all images. */
void metrics_reset(Metrics *m);

/* The printed table as one string of lines without trailing newline, in the arena (NULL when out of memory): header,
 * the row "all", and with per_class (and more than one class) a row per class. names [nc] or NULL. */
char *eval_table(const EvalResult *r, const char *const *names, bool per_class, Arena *a);

/* ---- export.c ----------------------------------------------------------------------------------------------- */
typedef enum CategoryMap {
    CATEGORY_NEXT,  /* index + 1 */
    CATEGORY_INDEX, /* index (before 8.3.49) */
    CATEGORY_COCO   /* the 80 classes among COCO's 91 ids */
} CategoryMap;
/* -1 when the class has no place in the map. */
int32_t coco_category(CategoryMap map, int32_t cls);

/* predictions.json, written as it grows; the file appears, whole, at coco_end. */
typedef struct CocoWriter {
    FileWriter file;
    CategoryMap map;
    bool any;
} CocoWriter;
Status coco_begin(CocoWriter *w, const char *path, CategoryMap map, Error *err);
/* det in original pixels. image_id is the stem of image_path, as a number when it is all digits. */
Status coco_add(CocoWriter *w, const char *image_path, const Detection *det, size_t n, Error *err);
Status coco_end(CocoWriter *w, bool ok, Error *err);

/* One image as one line of JSON with its newline: path, shape [h, w], detections (class, name or null, conf, box as
 * corners in original pixels), and speed_ms {preprocess, inference, postprocess} unless NULL. Errors stay in f. */
void detections_json(FILE *f, const char *path, int32_t w0, int32_t h0, const Detection *det, size_t n,
                     const char *const *names, int32_t n_names, const double speed_ms[3]);

/* "cls x y w h[ conf]" for det in original pixels of a w0 x h0 picture, no newline; returns the length as snprintf. */
int label_row(char *buf, size_t size, const Detection *det, int32_t w0, int32_t h0, bool with_conf);
/* n such rows added to a file. */
Status label_rows_append(const char *path, const Detection *det, size_t n, int32_t w0, int32_t h0, bool with_conf,
                         Error *err);

#endif
