/* SPDX-License-Identifier: Apache-2.0
 *
 * predict - pictures in, boxes out: decoding ahead on threads, letterbox, batches, NMS, boxes in pixels of the
 * original. */
#ifndef PREDICT_H
#define PREDICT_H

#include "detect/detector.h"
#include "image/image.h"

typedef struct PredictSpec {
    int64_t imgsz[2]; /* height, width */
    int64_t stride, batch, max_det;
    bool rect;    /* least padding where all pictures of a batch have one shape */
    bool augment; /* test-time augmentation, spec 3.3 */
    int workers;  /* decoding threads; 0: none */
    NmsOpt nms;
    const Log *log;
    const volatile bool
        *stop; /* set by another thread or a signal handler: finish the batch and return DYN_STOPPED; may be NULL */
} PredictSpec;

typedef struct PredictResult {
    const char *path;
    const Image *image;   /* the original; the callback may draw on it */
    const Detection *det; /* original pixels, best first */
    size_t n;
    int64_t net_n, net_h, net_w; /* network input: pictures of its batch, pixels */
    int64_t index, total;
    double preprocess_ms, inference_ms, postprocess_ms; /* of this picture's share of its batch */
} PredictResult;
typedef Status PredictFn(void *user, PredictResult *r, Error *err);

/* Every picture of paths in order. One that cannot be read is reported and skipped; *done counts the others. */
Status predict_files(Detector *d, const PredictSpec *spec, char *const *paths, size_t n, PredictFn *fn, void *user,
                     int64_t *done, Error *err);
/* One batch of pictures in memory, at most spec->batch of them: det[i] has room for max_det boxes, n_det[i] receives
 * their number. */
Status predict_images(Detector *d, const PredictSpec *spec, const Image *const *images, int64_t n,
                      Detection *const *det, size_t *n_det, PredictResult *timing, Error *err);

#endif
