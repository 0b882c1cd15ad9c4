/* SPDX-License-Identifier: Apache-2.0
 *
 * train - the training loop (spec sections 4 and 7): loss graph, accumulation, warm-up, clipping, optimiser, moving
 * average, checkpoints, early stop.
 *
 * Pictures come from a TrainSource, validation is a function of the caller, everything worth showing goes out as
 * events: this room opens no data set, prints nothing and knows no signals. */
#ifndef TRAIN_H
#define TRAIN_H

#include "backend/backend.h"
#include "model/model.h"
#include "report/report.h"

/* ---- the loss as a graph ------------------------------------------------------------------------------------- */

typedef struct LossGain {
    double box, cls, dfl;
    const float *class_weight; /* [nc] factors of the classes in the class term; NULL: 1 */
} LossGain;

/* A copy of the model's graph with the loss on its raw maps. More inputs: targets [targets,6] f32 (rows of image,
 * class, cx, cy, w, h relative to the input) and n_targets [1] i32 (rows used). More outputs: loss [1] (to
 * differentiate) and items [3] (box, cls, dfl with their gains, per image). With keep_outputs the model's own outputs
 * stay (validation: y and items in one run), else they go. The caller frees the graph. */
Status train_loss_graph(const Model *m, LossGain gain, bool keep_outputs, Graph **out, Error *err);

/* Factors of classes that occur count[nc] times in the training labels: (1 / count)^power, a class that never occurs
 * counted once, scaled to a mean of 1 (spec 4.6). */
void train_class_weights(const int64_t *count, int64_t nc, double power, float *weight);

/* Marks the parameters of these rows of the model as not trainable (and all others that can be as trainable), before
 * training. Returns how many tensors are frozen. */
int train_freeze(Model *m, const int64_t *row, size_t n);

/* ---- what the loop takes pictures from ------------------------------------------------------------------------ */

typedef struct TrainBatch {
    int64_t n, height, width; /* n = 0: the epoch is over */
    const uint8_t *images;    /* [n,height,width,3] RGB, dense; valid until the next call */
    const float *targets;     /* [n_targets,6] image of this batch, class, cx, cy, w, h relative to height and width */
    int64_t n_targets;
} TrainBatch;

/* Every number of a batch must be a function of (seed, epoch, place in the epoch), whatever was drawn before. */
typedef struct TrainSource {
    void *user;
    int64_t images;  /* in the data set */
    int64_t batches; /* in an epoch, the partial one included */
    /* Epoch (zero-based) begins with batch `first` (zero unless a run goes on in the middle of an epoch). */
    Status (*start)(void *user, int64_t epoch, int64_t first, bool mosaic, Error *err);
    Status (*next)(void *user, TrainBatch *b, Error *err);
} TrainSource;

typedef struct TrainMetrics {
    double precision, recall, map50, map, fitness;
    double loss[3]; /* mean items over the validation batches */
} TrainMetrics;

/* Measures a model whose parameters are w (the moving average). last: the run ends after this, plots are wanted. */
typedef Status TrainValidate(void *user, const Slab *w, bool last, TrainMetrics *m, Error *err);

/* ---- what the loop tells --------------------------------------------------------------------------------------- */

typedef struct TrainEpoch {
    ResultsRow row; /* as in results.csv */
    int64_t epochs; /* of the run, as planned now */
    double fitness;
    bool validated, best, last;
} TrainEpoch;

/* Any may be NULL. Called by the thread that trains. */
typedef struct TrainEvents {
    void *user;
    void (*started)(void *user, const char *optimizer_line);
    void (*batch)(void *user, const TrainProgress *p);
    void (*epoch)(void *user, const TrainEpoch *e);
    /* Asked after every batch; true: save and return DYN_STOPPED. */
    bool (*stop)(void *user);
} TrainEvents;

/* ---- the run ---------------------------------------------------------------------------------------------------- */

typedef struct TrainOptions {
    int64_t epochs;
    double hours;         /* > 0: the run takes this long instead */
    int64_t patience;     /* epochs; 0: never stop early */
    double batch;         /* images a batch, as asked for */
    double nominal_batch; /* gradients are accumulated to about this many images */
    const char *optimizer;
    double lr0, lrf, momentum, weight_decay;
    bool cosine;
    double warmup_epochs, warmup_momentum, warmup_bias_lr;
    double max_norm; /* of the gradient */
    LossGain gain;
    int64_t close_mosaic; /* epochs without mosaic at the end */
    bool validate;        /* after each epoch, else only after the last */
    bool save;            /* checkpoints each epoch, else only after the last */
    bool published;       /* scheduled parameters (temperatures) stay where the reference leaves them */
    uint64_t seed;        /* of what a step draws itself (drop_path); pictures have their own */
    int64_t save_period;  /* > 0: also epochK.safetensors */
    DType act;            /* F32 or BF16 */
    const char *dir;      /* run folder, exists; NULL: nothing is written */
    const char *args;     /* JSON of everything that a resumed run should know; kept verbatim */
    const char *resume;   /* path of a last.safetensors (or best) to go on from; NULL: a new run */
    bool finished_ok;     /* a resumed run that has nothing left to train is no error */
} TrainOptions;
TrainOptions train_defaults(void);

typedef struct TrainJob {
    Model *model; /* its weights are the start; after the run they are the moving average */
    Backend *backend;
    TrainSource source;
    TrainValidate *validate; /* NULL: fitness is minus the loss */
    void *validate_user;
    TrainEvents events;
    const Log *log; /* may be NULL */
    TrainOptions opt;
} TrainJob;

typedef struct TrainResult {
    int64_t epochs; /* finished, those before a resume included */
    double seconds, best_fitness;
    int64_t best_epoch; /* one-based; 0: none */
    bool stopped_early;
} TrainResult;

/* Trains. Files in opt.dir: results.csv, weights/last.safetensors and weights/best.safetensors (the moving average, for
 * model_load) with last.state.safetensors and best.state.safetensors beside them (what a resumed run needs to give the
 * same bits as one that went through). DYN_STOPPED after events.stop said so, with everything saved. */
Status train_run(const TrainJob *job, TrainResult *result, Error *err);

/* The args that were given to the run which wrote these weights (path of a last.safetensors or best.safetensors), for
 * whoever sets up a resumed run. */
Status train_resume_args(const char *weights, Arena *a, const char **args, Error *err);

#endif
