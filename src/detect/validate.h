/* SPDX-License-Identifier: Apache-2.0
 *
 * validate - a detector measured on labelled pictures (spec 8): metrics, and the files that a validation leaves behind.
 */
#ifndef VALIDATE_H
#define VALIDATE_H

#include "data/data.h"
#include "detect/detector.h"

typedef struct ValidateSpec {
    Loader *loader;           /* of validation batches; an epoch of it is run */
    const char *const *names; /* [nc] */
    int32_t nc;
    NmsOpt nms;
    bool single_cls; /* every detection counts as class 0 */
    bool augment;
    int64_t stride;  /* of the model, for augment */
    const char *dir; /* where pictures and files go; NULL: none are written */
    bool plots, save_json, save_txt, save_conf;
    MetricRules rules;
    CategoryMap categories;
    const volatile bool *stop;                                 /* may be NULL */
    void (*progress)(void *user, int64_t done, int64_t total); /* batches; may be NULL */
    void *user;
} ValidateSpec;

typedef struct ValidateResult {
    EvalResult eval;   /* lives in the arena */
    double fitness;    /* by the spec's rules */
    double ms[3];      /* preprocess (waiting for pictures), inference, postprocess, per image */
    double compile_ms; /* for new sizes, in all; in none of ms[] */
    double loss[3];    /* mean items over batches when the detector's graph has them */
} ValidateResult;

Status validate(Detector *d, const ValidateSpec *spec, Arena *a, ValidateResult *out, Error *err);

#endif
