/* SPDX-License-Identifier: Apache-2.0
 *
 * Mixtures of packed weights: what dynamic convolutions make of their bank for every sample. Weights of whatever layout
 * are mixed element by element; scales that depend on input channel, tap and output want to know the layout, as blocks
 * of lines. */
#ifndef ISA_MIX_H
#define ISA_MIX_H

/* Lines of `width` floats (bf16: pairs), one behind the other. All of a line are of one tap and one input channel
 * (bf16: two that follow each other, side by side in each lane); its lanes are outputs that follow each other. (For a
 * gradient of the input, the other way round.) For Winograd, nine lines, the taps, stand for one. */
typedef struct MixBlock {
    int64_t from, to;  /* the first line in a kernel of the bank, and in the mixture: in floats, or pairs */
    int64_t plane;     /* Winograd: from one of the sixteen to the next in the mixture */
    int32_t row, lane; /* where the first line's factor is in MixJob.row, that of its first lane in MixJob.lane */
    int32_t lines, width;
} MixBlock;

typedef struct MixJob {
    const char *bank; /* kernels, `apart` bytes from one to the next */
    int64_t K, apart;
    DType type;
    const float *mix;        /* what each of the K counts; NULL: one, and it counts 1 */
    const float *row, *lane; /* factors */
    int64_t tap;             /* Winograd: from one tap's factors to the next one's in row */
    const MixBlock *block;
    char *to;
} MixJob;

#endif
