/* SPDX-License-Identifier: Apache-2.0
 *
 * data - labelled pictures: what a data YAML says, the index of a split with its labels checked, batches for validation
 * and training, and a drawn data set. Knows nothing of networks (spec sections 5 and 6).
 *
 * Random choices are a function of (seed, epoch, picture, transform): batches are the same bits for any number of
 * worker threads, and an epoch can be begun at any batch without having made those before it. */
#ifndef DATA_H
#define DATA_H

#include "image/image.h"

/* ---- config.c: the data YAML ----------------------------------------------------------------------------------- */

typedef struct DataSources {
    const char *const *path; /* [n] folders, or text files that list pictures */
    size_t n;                /* 0: the split is not given */
} DataSources;

/* Everything lives in the arena that data_config_read was given. */
typedef struct DataConfig {
    const char *file; /* of the YAML */
    const char *root; /* what relative entries are below */
    DataSources train, val, test;
    int nc;
    const char *const *names; /* [nc] */
} DataConfig;

/* Reads a data YAML, or the only one in a folder (or the one named as the folder). A relative `path` is looked for in
 * the file's own folder first, then in the working directory. train and val must be given and val must exist; nothing
 * is ever downloaded. DYN_FORMAT with file and line, DYN_IO, DYN_UNSUPPORTED (other than three channels, archives). */
Status data_config_read(Arena *a, const char *path, DataConfig *out, Error *err);

/* ---- index.c, label.c: the pictures of a split and their labels ------------------------------------------------ */

/* Class (may be fractional, as written), centre and size relative to the picture. */
typedef struct Label {
    float cls, cx, cy, w, h;
} Label;

/* Outlines of an object, in a data set whose label files hold polygons. */
typedef struct Polygon {
    const float (*point)[2]; /* [n] x, y relative to the picture */
    int n;
} Polygon;

typedef struct DataItem {
    const char *path;
    int w, h; /* of the picture, EXIF orientation applied */
    bool cut; /* a JPEG that lacks its end: read as far as it goes, the rest is grey; told by the scan */
    int n_labels;
    const Label *label;     /* [n_labels]; not clipped: values are within -0.01 and 1.01 */
    const Polygon *polygon; /* [n_labels], or NULL */
} DataItem;

typedef struct Dataset {
    int64_t n;
    const DataItem *item;     /* [n], sorted by path */
    int64_t n_labels;         /* of all items */
    bool polygons;            /* every label has one */
    int64_t backgrounds;      /* items whose label file is missing or empty */
    int64_t corrupt;          /* pictures that were dropped */
    int nc;                   /* 1 with single_cls */
    const char *const *names; /* [nc] */
    Arena *arena;             /* owns everything */
} Dataset;

typedef struct DatasetOptions {
    const char *title; /* of the lines that are logged: "train" */
    bool single_cls;   /* every object is of class 0, "item" */
    const int *classes;
    size_t n_classes;          /* > 0: only labels of these classes are kept (pictures all stay) */
    double fraction;           /* (0, 1]: only the first round(n * fraction) pictures */
    bool strict;               /* the first problem is an error, else it is logged and the picture dropped */
    int threads;               /* that scan; 0: the caller's */
    const volatile bool *stop; /* set by another thread or a signal handler: DYN_STOPPED; may be NULL */
} DatasetOptions;
#define DATASET_OPTIONS ((DatasetOptions) { .title = "data", .fraction = 1 })

/* Finds the pictures of a split, checks each with its label file and keeps the good ones. Logs one line for each
 * problem
 * ("path:line: what; what happens") and a summary: "train: 128 images, 2 backgrounds, 0 corrupt". Fails with DYN_FORMAT
 * when none is left, DYN_IO when a source cannot be read, DYN_USAGE for options out of range, DYN_STOPPED. Files are
 * only read. */
Status dataset_open(Dataset **ds, const DataConfig *config, const DataSources *from, const DatasetOptions *opt,
                    const Log *log, Error *err);
void dataset_free(Dataset **ds);
/* count[ds->nc]: objects of each class, as training sees them. */
void dataset_count(const Dataset *ds, int64_t *count);

/* Path of a picture's label file: the last "/images/" becomes "/labels/", the extension ".txt". NULL: out of memory. */
char *data_label_path(Arena *a, const char *picture);

/* Rows of one label file. */
typedef struct LabelFile {
    int n;
    Label *label;     /* [n] */
    Polygon *polygon; /* [n] when the file holds polygons, else NULL */
    int duplicates;   /* rows removed */
} LabelFile;
/* Parses the text of a label file (spec 5.3). name is for messages. nc <= 0: any class. Fails with DYN_FORMAT,
 * "name:line: ...", when the reference would drop the picture. */
Status label_parse(Arena *a, const char *name, const char *text, size_t n, int nc, LabelFile *out, Error *err);

/* ---- check*.c: everything that is wrong with a data set -------------------------------------------------------- */

/* Texts are valid in the call that hands the problem over. */
typedef struct DataProblem {
    bool error;        /* something is left out, or cannot be used at all; else it is used, but hardly meant */
    const char *kind;  /* for programs, one word: see docs/data.md */
    const char *split; /* "train", "val" or "test" */
    const char *path;
    int line;                /* 0: the whole file */
    const char *what, *then; /* what is wrong; what training or validation makes of it */
} DataProblem;

/* Of a number over all pictures or objects: 5 % are below low, 5 % above high. NaN where there are none. */
typedef struct DataRange {
    double min, low, median, high, max;
} DataRange;

typedef struct SplitReport {
    const char *name;
    int64_t pictures, used, backgrounds, objects;
    const int64_t *objects_of, *pictures_of; /* [nc] objects of a class, pictures with one */
    DataRange picture_w, picture_h;          /* pixels */
    DataRange box_w, box_h;                  /* pixels */
    DataRange box_aspect;                    /* width by height, in pixels */
    int64_t small, medium, large;            /* objects by area: below 32 x 32, below 96 x 96 (COCO's bounds), above */
} SplitReport;

typedef struct DataReport {
    SplitReport split[3];
    int n_splits;
    int64_t errors, warnings;
} DataReport;

typedef struct DataCheck {
    const char *split; /* NULL: all that are given */
    int threads;
    void (*problem)(void *user, const DataProblem *p);
    void (*progress)(void *user, const char *split, int64_t done, int64_t total); /* may be NULL */
    void *user;
    const volatile bool *stop; /* may be NULL; true: DYN_STOPPED */
} DataCheck;

/* Looks at every picture, all its pixels, and at every row of its labels; at labels without a picture, at pictures that
 * are there twice, in one split or in two, and at classes that never occur. The report lives in the arena. A data set
 * full of problems is no failure. DYN_USAGE for a split that is not given, DYN_STOPPED, DYN_NOMEM. */
Status data_check(Arena *a, const DataConfig *config, const DataCheck *check, DataReport *out, Error *err);

/* ---- augment.c, augment/NAME.c: transforms of training ---------------------------------------------------------- */

/* One number that a transform is steered by; each transform names its own (mosaic, hsv_h, ...). */
typedef struct AugmentParam {
    const char *name;
    double def, min, max;
    const char *doc;
} AugmentParam;

enum { AUGMENT_MAX_PARAMS = 32 };
typedef struct AugmentOptions {
    double value[AUGMENT_MAX_PARAMS]; /* by the number of the parameter */
} AugmentOptions;

int augment_param_count(void);
const AugmentParam *augment_param_at(int i); /* NULL out of range */
int augment_param_find(const char *name);    /* -1 when there is none */
AugmentOptions augment_defaults(void);
/* DYN_USAGE for a name that is not known or a value out of range. */
Status augment_set(AugmentOptions *o, const char *name, double value, Error *err);

/* ---- loader.c: batches ------------------------------------------------------------------------------------------- */

typedef struct LoaderOptions {
    int imgsz;  /* pixels of the long side */
    int batch;  /* images */
    int stride; /* sides of rectangular batches are multiples of it; at least 32 is used */
    bool rect;  /* images sorted by aspect ratio, each batch as small as its images allow */
    double pad; /* of rect, in strides: 0.5 for validation, 0 for training */
    bool train; /* shuffle and augment */
    AugmentOptions augment;
    uint64_t seed;
    int workers; /* threads; 0: everything is made in loader_next */
    bool cache;  /* keep the resized pictures in memory, if they fit in cache_bytes */
    size_t cache_bytes;
    bool strict; /* a picture that cannot be decoded is an error, else it is logged and comes grey and without labels */
} LoaderOptions;
#define LOADER_OPTIONS ((LoaderOptions) { .imgsz = 640, .batch = 16, .stride = 32, .augment = augment_defaults() })

/* How a picture came to lie in its batch: x_net = x * gain_w + left. The reference maps back with gain_h alone. */
typedef struct BatchImage {
    int64_t index; /* of the data set */
    const char *path;
    int w, h; /* original */
    double gain_w, gain_h;
    int left, top;
} BatchImage;

typedef struct Batch {
    int64_t index;         /* in the epoch */
    int64_t n;             /* images; 0: the epoch is over */
    int h, w;              /* of every image of this batch */
    const uint8_t *images; /* [n, h, w, 3] RGB, dense */
    const float (
        *targets)[6]; /* [n_targets] image of the batch, class, cx, cy, w, h relative to w and h of the batch */
    int64_t n_targets;
    const BatchImage *info; /* [n]; of an augmented image only index, path, w and h mean something */
} Batch;

typedef struct Loader Loader;

/* ds must outlive the loader. DYN_USAGE for options out of range. */
Status loader_new(Loader **l, const Dataset *ds, const LoaderOptions *opt, const Log *log, Error *err);
void loader_free(Loader **l);
int64_t loader_batches(const Loader *l); /* in an epoch, the partial one included */
/* Sides of the largest batch, for whoever plans memory. */
void loader_largest(const Loader *l, int *h, int *w);
/* Shape of batch k of any epoch. */
void loader_shape(const Loader *l, int64_t k, int64_t *n, int *h, int *w);
/* Begins an epoch (ending the one under way) at batch `first`. mosaic false: transforms that mix pictures are off
 * (close_mosaic). */
Status loader_start(Loader *l, int64_t epoch, int64_t first, bool mosaic, Error *err);
/* The next batch, valid until the next call; n = 0 after the last. *wait_ms (may be NULL) is increased by the time
 * spent waiting for workers. */
Status loader_next(Loader *l, Batch *b, double *wait_ms, Error *err);

/* ---- synth.c: a drawn data set ----------------------------------------------------------------------------------- */

typedef struct SynthOptions {
    int n;       /* pictures */
    int classes; /* 1 .. SYNTH_MAX_CLASSES */
    int imgsz;   /* pixels of the long side */
    double val;  /* share of pictures for the validation split */
    uint64_t seed;
    int threads;
    const volatile bool *stop; /* as in DatasetOptions */
} SynthOptions;
enum { SYNTH_MAX_CLASSES = 8 };
#define SYNTH_OPTIONS ((SynthOptions) { .n = 400, .classes = 6, .imgsz = 224, .val = 0.2 })

/* Draws dir/images/{train,val}, dir/labels/{train,val} and dir/data.yaml; dir is made. The same options give the same
 * bytes. data.yaml is written last, and one that was there is removed first: a folder that has it is whole. Fails with
 * DYN_USAGE, DYN_IO, DYN_STOPPED. */
Status synth_write(const char *dir, const SynthOptions *opt, const Log *log, Error *err);

#endif
