/* SPDX-License-Identifier: Apache-2.0
 *
 * detector - a model ready to run: the inference graph, and a compiled program for each input size that was asked for.
 * Shared by prediction, validation and the benchmark. */
#ifndef DETECTOR_H
#define DETECTOR_H

#include "backend/backend.h"
#include "eval/eval.h"

typedef struct Detector Detector;

typedef struct DetectorSpec {
    const Graph *graph; /* the model's description with outputs "y" [N,A,4+nc] f32 and "score" [N,A] f32; need not
                           outlive the call */
    const Slab *params; /* must outlive the detector */
    Backend *backend;   /* must outlive the detector */
    DType act;          /* F32 or BF16 */
    bool fold;          /* batchnorm folded and weights packed once; false runs the graph as the trainer sees it */
} DetectorSpec;

Status detector_new(const DetectorSpec *spec, Detector **d, Error *err);
void detector_free(Detector **d);
/* Parameters changed, or another slab of the same form: folded again before the next run. */
void detector_set_params(Detector *d, const Slab *params);

/* What a run produced; valid until the next run. One image's predictions: detector_predictions(). */
typedef struct DetectorOutput {
    const float *y;     /* [n, n_anchors, 4+nc] */
    const float *score; /* [n, n_anchors] best class probability */
    const float *items; /* [3] box, class, distribution loss of the batch; NULL unless the graph has them and labels
                           were given */
    int64_t n, n_anchors, nc;
    double compile_ms; /* of the call: what a size that is new, or changed parameters, took before the run */
} DetectorOutput;

/* rgb: uint8 [n, h, w, 3], letterboxed, sides multiples of the stride. Compiles a program on the first use of a size.
 */
Status detector_run(Detector *d, const uint8_t *rgb, int64_t n, int64_t h, int64_t w, DetectorOutput *out, Error *err);
/* The same for a graph with the loss on it (inputs targets and n_targets, output items): rows [n_targets][6] of image,
 * class, cx, cy, w, h relative to the picture. A graph without it ignores the labels. */
Status detector_run_labelled(Detector *d, const uint8_t *rgb, int64_t n, int64_t h, int64_t w, const float *targets,
                             int64_t n_targets, DetectorOutput *out, Error *err);
/* The same as detector_run with test-time augmentation (spec 3.3). */
Status detector_run_augmented(Detector *d, const uint8_t *rgb, int64_t n, int64_t h, int64_t w, int64_t stride,
                              DetectorOutput *out, Error *err);
Predictions detector_predictions(const DetectorOutput *out, int64_t image);
/* The program of a size, for tables of steps and memory. */
Status detector_program(Detector *d, int64_t n, int64_t h, int64_t w, Program **p, Error *err);

/* Room for joined outputs of several runs, owned by the detector, valid until asked for again. */
Status detector_joined(Detector *d, size_t n_y, size_t n_score, float **y, float **score, Error *err);

/* "auto", "f32", "bf16" -> dtype on this backend. */
Status precision_dtype(const Backend *b, const char *precision, bool half, DType *out, Error *err);

#endif
