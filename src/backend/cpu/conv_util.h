/* SPDX-License-Identifier: Apache-2.0
 *
 * What conv_direct and conv_winograd share: a convolution without groups, forward or, at stride 1, as the input's
 * gradient, which is a convolution of dy with mirrored weights; its geometry also for the weights' gradient. */
#ifndef CONV_UTIL_H
#define CONV_UTIL_H

#include "backend/cpu/cpu.h"

typedef struct ConvState ConvState;
struct ConvState {
    const Isa *isa;
    ConvJob job; /* geometry; the pointers are filled in at each run */
    ConvForm form;
    int threads;
    int64_t N, w_bytes;
    bool winograd, mirrored; /* mirrored: w is [C,O,kh,kw] seen from the job, and turned by half a circle */
    int x, w, bias, res;     /* inputs, -1 when absent */
    bool constant;           /* weights are packed once; else they go to scratch at each run */
    size_t thread_bytes;     /* scratch of a thread */
};

/* Fills s from a plan of conv2d, conv2d_dx or conv2d_dw (x and y of the forward convolution); declines what neither
 * kernel takes. */
bool conv_describe(const Cpu *cpu, const KernelPlan *p, ConvState *s, char *why, size_t n);
/* Ends a claim of conv2d or conv2d_dx. */
bool conv_accept(const Cpu *cpu, const KernelPlan *p, ConvState *s, Kernel *k, char *why, size_t n);
/* Bytes of packed weights. */
int64_t conv_packed_bytes(const ConvState *s);
/* 2x2 pieces of the result. */
int64_t conv_tiles(const ConvState *s);
/* How many of the threads divide the outputs; the others divide the `items` (pixels or tiles), cut at multiples of 8.
 */
int conv_output_shares(const ConvState *s, int64_t items);

#endif
