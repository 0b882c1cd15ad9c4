/* SPDX-License-Identifier: Apache-2.0
 *
 * setup - options turned into data sets, loaders and validations, for the jobs that need them. */
#ifndef SETUP_H
#define SETUP_H

#include "api/api.h"
#include "detect/predict.h"
#include "detect/validate.h"

Status setup_config(const DynOptions *o, Arena *a, DataConfig *config, Error *err);
Status setup_dataset(const DynContext *ctx, const DynOptions *o, const DataConfig *config, const char *split, Arena *a,
                     Dataset **ds, Error *err);
/* Validation batches of imgsz (as rounded) for a model of this stride. */
Status setup_val_loader(const DynContext *ctx, const DynOptions *o, const Dataset *ds, int64_t imgsz, int64_t batch,
                        bool rect, int64_t stride, Loader **l, Error *err);
/* cache= of the options, within two thirds of the memory that is free. */
void setup_cache(const DynOptions *o, LoaderOptions *lo);
/* What a validation is told by the options; loader, names and nc are the caller's to fill. */
Status setup_validation(DynContext *ctx, const DynOptions *o, int64_t stride, ValidateSpec *spec, Error *err);
/* What a prediction is told by the options; class numbers live in the arena. */
Status setup_prediction(DynContext *ctx, const DynOptions *o, int64_t stride, Arena *a, PredictSpec *spec, Error *err);
/* Boxes as the public struct; out has room for n. */
void setup_detections(const Detection *det, size_t n, DynDetection *out);
/* Table and figures of a validation as the public struct; texts live in the context's job. */
Status setup_metrics(DynContext *ctx, const ValidateResult *r, const char *const *names, bool per_class,
                     const char *dir, DynMetrics *out, Error *err);

/* Progress of a validation as events. */
typedef struct Progress {
    DynEventFn *event;
    void *user;
} Progress;
void progress_validation(void *progress, int64_t done, int64_t total);

#endif
