/* SPDX-License-Identifier: Apache-2.0
 *
 * What the kernels of convolutions share. A plan of conv2d or of one of its gradients becomes a DnnConv, which says all
 * of its geometry; from that, oneDNN makes a DnnOp (onednn_util.h) and the code in isa/ a ConvCore. A core is a
 * convolution without groups, forward or, at stride 1, as the input's gradient, which is a convolution of dy with
 * mirrored weights; its geometry serves the weights' gradient, too. */
#ifndef CONV_UTIL_H
#define CONV_UTIL_H

#include "backend/cpu/cpu.h"
#include "backend/cpu/onednn_util.h"
#include "ops/conv_util.h"

/* The convolution of `batch` samples of this geometry; bias, residual and activation are for the caller to add. */
DnnConv conv_of(const ConvGeometry *q, DnnPass pass, int64_t batch, DType x, DType y);

/* Declines types and layouts of x, w and y that no kernel takes. */
bool conv_types(const Type *x, const Type *w, const Type *y, char *why, size_t n);
/* The convolution of a plan of conv2d, conv2d_dx or conv2d_dw; declines types and layouts that no kernel takes. */
bool conv_of_plan(const KernelPlan *p, DnnConv *c, char *why, size_t n);

typedef struct ConvCore {
    const Isa *isa;
    ConvJob job; /* geometry; the pointers are filled in at each run */
    ConvForm form;
    int threads;
    int64_t N, w_bytes;      /* packed weights */
    bool winograd, mirrored; /* mirrored: w is [C,O,kh,kw] seen from the job, and turned by half a circle */
    size_t thread_bytes;     /* scratch of a thread */
} ConvCore;

/* Declines what neither of the two in isa/ takes. */
bool conv_core(const Cpu *cpu, const DnnConv *c, int threads, ConvCore *s, char *why, size_t n);
/* Which one it is: decided once, before the sizes in s count. */
void conv_core_winograd(ConvCore *s, bool winograd);
bool conv_winograd_takes(const ConvCore *s, char *why, size_t n);
bool conv_direct_takes(const ConvCore *s, char *why, size_t n);
/* Weights [O,I,kh,kw] in the order of isa/conv.h, or, for conv_core_mix, the taps of an input channel side by side. */
typedef enum ConvOrder { CONV_PACKED, CONV_TAPS_INSIDE } ConvOrder;
void conv_pack(const ConvCore *s, const float *w, ConvOrder order, char *to);
/* What that layout is, as text, equal for equal ones (kernel_packs). */
char *conv_form_text(const ConvCore *s, ConvOrder order, char *buf, size_t n);
/* j: the job with its pointers; scratch: threads * thread_bytes. */
void conv_compute(const ConvCore *s, const ConvJob *j, char *scratch);
/* 2x2 pieces of the result. */
int64_t conv_tiles(const ConvCore *s);
/* How many of the threads divide the outputs; the others divide the `items` (pixels or tiles), cut at multiples of 8.
 */
int conv_output_shares(const ConvCore *s, int64_t items);

/* The state of a kernel of conv2d or conv2d_dx by a core, or of conv2d_dw. */
typedef struct ConvState {
    ConvCore core;
    int x, w, bias, res; /* inputs, -1 when absent */
    bool constant;       /* weights are packed once; else they go to scratch at each run */
} ConvState;

bool conv_describe(const Cpu *cpu, const KernelPlan *p, ConvState *s, char *why, size_t n);
/* Ends a claim of conv2d or conv2d_dx. */
bool conv_accept(const Cpu *cpu, const KernelPlan *p, ConvState *s, Kernel *k, char *why, size_t n);

#endif
