/* SPDX-License-Identifier: Apache-2.0
 *
 * The training loop's pictures: a loader's batches, resized for multi_scale, and the first of them drawn for the user.
 */
#ifndef TRAIN_SOURCE_H
#define TRAIN_SOURCE_H

#include "data/data.h"
#include "train/train.h"

typedef struct TrainPictures {
    Loader *loader;
    double multi_scale;
    int64_t imgsz, stride;
    uint64_t seed;
    uint8_t *scaled; /* the resized batch */
    size_t scaled_bytes;
    const char *dir; /* where train_batchK.jpg go; NULL: nowhere */
    const char *const *names;
    int32_t nc;
    int64_t epoch, batches, done; /* batches of an epoch; batches handed out in this epoch */
    bool mosaic;                  /* of this epoch */
    int to_draw;
} TrainPictures;

void train_pictures_begin(TrainPictures *p, Loader *loader, double multi_scale, int64_t imgsz, int64_t stride,
                          uint64_t seed, const char *dir, const char *const *names, int32_t nc);
TrainSource train_pictures_source(TrainPictures *p);
void train_pictures_end(TrainPictures *p);

#endif
