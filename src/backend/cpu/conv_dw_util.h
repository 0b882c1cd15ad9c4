/* SPDX-License-Identifier: Apache-2.0
 *
 * The weights' gradient of bf16 convolutions by isa/conv_dw.c, for conv2d_dw and, sample by sample, dynconv2d_dw. */
#ifndef CONV_DW_UTIL_H
#define CONV_DW_UTIL_H

#include "backend/cpu/conv_util.h"

typedef struct ConvDwCore {
    const Isa *isa;
    ConvDw job;
    int along, across; /* threads divide output rows, each with sums of its own, and blocks of outputs */
    size_t thread_bytes, sum_bytes;
    size_t scratch_bytes; /* of all; 0 where it was declined */
} ConvDwCore;

bool conv_dw_core(const Cpu *cpu, const DnnConv *c, int threads, ConvDwCore *s, char *why, size_t n);
/* Joined pixels must lie side by side: x_pixel is C. */
static inline bool conv_dw_dense_x(const ConvDwCore *s)
{
    return s->job.joined > 1;
}
/* dw [O,C,kh,kw] of all samples; pixels lie dy_pixel and x_pixel elements apart. */
void conv_dw_compute(const ConvDwCore *s, const void *dy, int64_t dy_pixel, const void *x, int64_t x_pixel, float *dw,
                     void *scratch);

#endif
