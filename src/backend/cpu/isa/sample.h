/* SPDX-License-Identifier: Apache-2.0
 *
 * What sampling at learned offsets is to the vector code of sample.c: channels-last images and how the operator
 * dysample counts its offsets. */
#ifndef ISA_SAMPLE_H
#define ISA_SAMPLE_H

/* An image: element (n, c, h, w) lies at n * image + h * row + w * pixel + c. */
typedef struct SampleImage {
    void *data;
    int64_t image, row, pixel;
} SampleImage;

typedef struct SampleJob {
    DType type;                     /* of x and y; offsets and sums are f32 */
    int64_t C, H, W, scale, groups; /* of x; y is scale times as high and wide */
    SampleImage x, off, y;
    SampleImage sum, doff; /* gradient: y is dy; sum holds the groups of a call, and is zeroed by it */
} SampleJob;

#endif
