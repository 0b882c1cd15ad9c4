/* SPDX-License-Identifier: Apache-2.0
 *
 * What the kernels of convolutions share. A plan of conv2d or of one of its gradients becomes a DnnConv, which says all
 * of its geometry; from that, oneDNN makes a DnnOp (onednn_util.h) and the code in isa/ a ConvCore. A core is a
 * convolution without groups, forward or as the input's gradient, which is a convolution of dy with mirrored weights
 * (at stride 2 four of them); its geometry serves the weights' gradient, too. */
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

/* A gradient at stride s is s * s convolutions at stride 1: each gives the pixels from (top, left) on in steps of s, by
 * every sth tap from (tap_h, tap_w) on. Everything else is one, as it is. */
typedef struct ConvPhase {
    int64_t kh, kw, pad_h, pad_w, Ho, Wo, top, left, tap_h, tap_w;
    int64_t taps_before; /* packed taps of the phases before */
} ConvPhase;

typedef struct ConvCore {
    const Isa *isa;
    ConvJob job; /* geometry; the pointers are filled in at each run */
    ConvForm form;
    ConvPhase phase[4];
    int phases, threads;
    int64_t N, stride, w_bytes; /* of the convolution; packed weights */
    bool winograd, mirrored;    /* mirrored: w is [C,O,kh,kw] seen from the job, and turned by half a circle */
    size_t thread_bytes;        /* scratch of a thread */
} ConvCore;

/* Declines what neither of the two in isa/ takes. */
bool conv_core(const Cpu *cpu, const DnnConv *c, int threads, ConvCore *s, char *why, size_t n);
/* Which one it is: decided once, before the sizes in s count. */
void conv_core_winograd(ConvCore *s, bool winograd);
bool conv_winograd_takes(const ConvCore *s, char *why, size_t n);
bool conv_direct_takes(const ConvCore *s, char *why, size_t n);
/* The job of a phase, where the whole job's pointers are set. */
ConvJob conv_phase_job(const ConvCore *s, const ConvJob *whole, int f);
/* Where packed tap k of a phase comes from in [kh,kw]. */
int64_t conv_source_tap(const ConvCore *s, int f, int64_t k);
/* Weights [O,I,kh,kw], phase by phase in the order of isa/conv.h, or the taps of an input channel side by side. */
typedef enum ConvOrder { CONV_PACKED, CONV_TAPS_INSIDE } ConvOrder;
void conv_pack(const ConvCore *s, const float *w, ConvOrder order, char *to);
/* What that layout is, as text, equal for equal ones (kernel_packs). */
char *conv_form_text(const ConvCore *s, ConvOrder order, char *buf, size_t n);
/* j: the job with its pointers; scratch: threads * thread_bytes. j->moments, where wanted, is of conv_moments_bytes:
 * the shares' one after the other, those of the whole in the end in the first. */
int64_t conv_moments_bytes(const ConvCore *s);
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
    size_t moments_at;   /* in scratch */
} ConvState;

bool conv_describe(const Cpu *cpu, const KernelPlan *p, ConvState *s, char *why, size_t n);
/* Ends a claim of conv2d or conv2d_dx. */
bool conv_accept(const Cpu *cpu, const KernelPlan *p, ConvState *s, Kernel *k, char *why, size_t n);

#endif
