/* SPDX-License-Identifier: Apache-2.0
 *
 * mixed_conv - a convolution of one sample, or the gradient of its input, whose weights are a mixture of a bank's
 * kernels. Mixing is linear and packing a permutation, so they commute: each kernel of the bank is packed once into the
 * layout that the convolution reads, and the mixture is made in that layout. No sample pays for a reorder. */
#ifndef MIXED_CONV_UTIL_H
#define MIXED_CONV_UTIL_H

#include "backend/cpu/conv_util.h"

typedef struct MixedConv MixedConv;

/* A sample's kernel: spatial[t] in_scale[i] out_scale[o] sum_k mix[k] bank[k,o,i,t]. NULL: 1. */
typedef struct Mixture {
    const float *mix, *in_scale, *out_scale, *spatial;
} Mixture;

typedef struct MixedArgs {
    const void *x, *res; /* DNN_DX: x is dy and y is dx */
    void *y;
    int64_t x_pixel, y_pixel, res_pixel; /* elements from pixel to pixel */
    const float *bias;
} MixedArgs;

/* c: of one sample. K: kernels in the bank. scaled: mixtures will have factors. NULL, and why not, when no kernel takes
 * it. */
MixedConv *mixed_conv_new(const Cpu *cpu, const DnnConv *c, int64_t K, bool scaled, int threads, char *why, size_t n);
void mixed_conv_free(MixedConv **m);
const char *mixed_conv_impl(const MixedConv *m); /* lives as long as m */
/* Images may be channel ranges of wider ones. */
bool mixed_conv_strided(const MixedConv *m);

size_t mixed_conv_bank_bytes(const MixedConv *m);               /* the packed bank */
char *mixed_conv_form(const MixedConv *m, char *buf, size_t n); /* its layout, for kernel_packs */
size_t mixed_conv_scratch_bytes(const MixedConv *m);
/* bank [K,O,I,kh,kw] f32 -> packed, 64-byte aligned. */
Status mixed_conv_pack(const MixedConv *m, const float *bank, void *packed, Error *err);
Status mixed_conv_run(const MixedConv *m, const void *packed, const Mixture *mix, const MixedArgs *a, void *scratch,
                      Error *err);

#endif
