/* SPDX-License-Identifier: Apache-2.0
 *
 * augment - how a picture of the data set becomes a training sample, and what a transform in augment/NAME.c gives.
 *
 * A sample begins as patches on a grey canvas, without pixels of its own; the transform `affine` draws it into its
 * place in the batch. So a mosaic is never written out. */
#ifndef DATA_AUGMENT_H
#define DATA_AUGMENT_H

#include "data/data.h"

/* Places of the transforms in the order of spec 6. */
enum {
    ORDER_MOSAIC,
    ORDER_COPY_PASTE,
    ORDER_AFFINE,
    ORDER_MIXUP,
    ORDER_CUTMIX,
    ORDER_HSV,
    ORDER_FLIPUD,
    ORDER_FLIPLR,
    ORDER_BGR,
    AUGMENT_ALL
};

enum { MAX_PATCHES = 4 };

/* A labelled object in pixels of the canvas, after `affine` of the picture. */
typedef struct Object {
    float cls, x1, y1, x2, y2;
    float (*point)[2]; /* [n_points] of its outline; NULL in data sets without polygons and after `affine` */
    int n_points;
} Object;

typedef struct Sample {
    int64_t index;
    ImagePatch patch[MAX_PATCHES]; /* do not overlap */
    Image owned[MAX_PATCHES];      /* what the patches are windows of, where it is not cached */
    int n_patches;
    int canvas_w, canvas_h;
    bool cut;  /* patches end at the canvas's border, and so do outlines */
    Image out; /* where it is drawn: memory of the batch, or of whoever mixes */
    Object *object;
    int n_objects;
    int n_capacity;
    Arena *a; /* objects; emptied after each sample */
} Sample;

/* What a transform may ask about where it runs. */
typedef struct AugmentContext {
    const Dataset *ds;
    const AugmentOptions *opt;
    uint64_t seed, epoch;
    int imgsz, w, h; /* size of the sample */
    bool mix;        /* false: transforms that mix pictures are off (close_mosaic, rect) */
    uint64_t stream; /* added to the purpose of every draw: 0, but for partners */
    void *source;    /* picture_get's */
} AugmentContext;

typedef struct AugmentDef {
    const char *name;
    int order;
    bool mixes;
    const AugmentParam *param; /* [n_params] */
    int n_params;
    /* value [n_params]. r is a function of (seed, epoch, s->index, name). */
    Status (*apply)(const AugmentContext *c, const double *value, Rng *r, Sample *s, Error *err);
} AugmentDef;

/* augment.c: all transforms with order < before on sample s, whose index, out and arena are set; pictures that it
 * came to own are the caller's to release. */
Status augment_run(const AugmentContext *c, int before, Sample *s, Error *err);

/* A second sample of the size of s, of another picture, that went through the transforms with order < before and draws
 * from streams of its own. Its objects live as long as those of s; its `out` is the caller's to free, after success
 * only.
 */
Status augment_partner(const AugmentContext *c, int before, int64_t index, const Sample *s, Sample *partner,
                       Error *err);

/* ---- sample.c */
/* A picture resized so that its long side is imgsz (spec 5.6). The pixels belong to the cache, or to *owned. */
Status picture_get(void *source, int64_t index, Image *im, Image *owned, Error *err);
/* One more patch: the window (x, y, w, h) of picture im at (to_x, to_y) of the canvas. Pixels of *owned pass to s. */
void sample_add_patch(Sample *s, const Image *im, Image *owned, int x, int y, int w, int h, int to_x, int to_y);
void sample_release(Sample *s); /* owned pictures */
/* Room for so many objects more. */
Status sample_reserve(Sample *s, int more, Error *err);
/* The item's labels, for a picture of w x h pixels whose origin is at (left, top) of the canvas. */
Status sample_add_labels(Sample *s, const DataItem *item, float w, float h, float left, float top, Error *err);
void object_clip(Object *o, float w, float h); /* its box, to [0, w] x [0, h] */

#endif
