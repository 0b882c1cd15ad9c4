/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the public handles. */
#ifndef API_H
#define API_H

#include "detect/detector.h"
#include "model/model.h"

struct DynContext {
    Log log;
    Arena *job;         /* texts of the last job's results */
    Arena *loaded;      /* texts of dyn_options_load */
    volatile bool stop; /* set by dyn_stop */
};

struct DynModel {
    DynContext *ctx;
    Model *m;
    Backend *backend;
    DType act;
    Detector *detector; /* made at the first run */
    Arena *text;        /* of dyn_model_info */
};

/* Options are in range; the context forgets the last job's texts and a former stop. */
Status job_begin(DynContext *ctx, const DynOptions *o, DynMode mode, Error *err);
/* "[0, 2]" or "0" or "0,2" -> ids. NULL or "": none. */
Status parse_ids(const char *text, const char *key, Arena *a, int32_t **ids, size_t *n, Error *err);
/* Folder of a run (spec 9.4): project/name, numbered when taken; made. */
Status run_folder(const DynOptions *o, DynMode mode, Arena *a, char **dir, Error *err);
/* args.yaml of a run: every option of the mode that has an effect. */
Status write_args(const char *dir, const DynOptions *o, DynMode mode, Error *err);
/* dyn_train within another job: texts go to ctx->job, dyn_stop stays in force. complete: a resumed run that has trained
 * all its epochs is no error, what was left to be written after them is. */
Status train_job(DynContext *ctx, const DynOptions *options, bool complete, DynEventFn *event, void *user,
                 DynMetrics *best, Error *err);
/* The model that dyn_train would begin with, for nc classes. */
Status train_first_model(DynContext *ctx, const DynOptions *o, int64_t nc, Arena *a, Model **out, Error *err);
Status model_detector(DynModel *model, Detector **d, Error *err);
/* imgsz rounded up to the stride, with a warning when that changes it. */
void round_imgsz(const DynContext *ctx, const DynOptions *o, int64_t stride, int64_t out[2]);

#endif
