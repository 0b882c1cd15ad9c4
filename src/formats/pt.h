/* SPDX-License-Identifier: Apache-2.0
 *
 * pt - what a PyTorch checkpoint holds of a detector: tensors by their state_dict names, and the facts that rebuild the
 * model.
 *
 * Nothing in the file is executed (pickle.h). Writing is pt_write in blob.h. */
#ifndef FORMATS_PT_H
#define FORMATS_PT_H

#include "formats/blob.h"
#include "formats/pickle.h"
#include "formats/yaml.h"

/* One row of the model: model.<index>. */
typedef struct PtRow {
    const char *class_path; /* "ultralytics.nn.modules.block.C2f" (files before 8.0.98: "ultralytics.nn.modules.C2f") */
    const char *class_name; /* "C2f" */
    int n_from;             /* attribute f; 0 when the row has none */
    const int64_t *from;    /* [n_from] */
} PtRow;

typedef struct PtFile {
    BlobFile blobs; /* state_dict names, in state_dict order, as stored (half precision in released files) */
    const char
        *source;   /* where the tensors came from: "ema", "model", "state_dict", "model_state_dict" or "" (the top) */
    bool is_model; /* a pickled model; when false (a plain state dict) all below is empty but epoch, date, version,
                      train_args */
    const char *class_path; /* "ultralytics.nn.tasks.DetectionModel", NULL when unknown, as every text here */
    const Yaml *yaml;       /* model description, texts resolved as plain scalars ("None" is null); NULL when absent */
    const Yaml *names;      /* MAP class number -> name, or LIST of names; NULL when absent */
    const Yaml *train_args; /* MAP; NULL when absent */
    const char *task, *date, *version;
    int64_t nc;           /* 0 when unknown */
    int64_t epoch;        /* -1 when finished or unknown */
    const double *stride; /* [n_stride] */
    int n_stride;
    PtRow *row;
    size_t n_row;
    bool fused;                 /* some Conv has no BatchNorm beside it any more */
    double bn_eps, bn_momentum; /* of the first BatchNorm2d; 0 when there is none */
    const char *sppf_act;       /* class name of the activation of SPPF's first convolution: "SiLU", "Identity", ... */
    const PickleValue *module;  /* the pickled model, for pt_module */
} PtFile;

/* Reads `ema` when it is there, else `model`; or a module or a dict of tensors at the top of the file. Everything in
 * *out lives in the arena; tensors that share a storage share bytes. DYN_UNSUPPORTED, with a sentence that says what
 * the file is, for YOLOv5 and its kin, other tasks than detection, TorchScript, files of PyTorch before 1.6, and
 * element types that dtype.h lacks; DYN_FORMAT for what is no checkpoint or damaged. */
Status pt_read(Arena *a, const char *path, PtFile *out, Error *err);
/* The same from memory, which is not needed afterwards. `name` is for messages. */
Status pt_parse(Arena *a, const char *name, const void *data, size_t n, PtFile *out, Error *err);
/* Module below the model by path ("model.9.cv1.act"), NULL when there is none: class in ->object.path, attributes by
 * pickle_attr. */
const PickleValue *pt_module(const PtFile *f, const char *path);

/* A pickled value as YAML: None, bools, numbers, texts, lists, tuples, sets, dicts, and at the top an attribute bag
 * (the state of an object); anything else becomes null. resolve: texts are read as plain scalars are ("None" becomes
 * null). Keys that are no scalar are dropped. DYN_FORMAT beyond the limits of yaml.h or when a key is there twice.
 * `file` is copied into the nodes. */
Status pickle_to_yaml(Arena *a, const char *file, const PickleValue *v, bool resolve, const Yaml **out, Error *err);

#endif
