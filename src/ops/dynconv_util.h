/* SPDX-License-Identifier: Apache-2.0
 *
 * What dynconv2d and its two gradients share with each other and with their kernels. */
#ifndef OPS_DYNCONV_UTIL_H
#define OPS_DYNCONV_UTIL_H

#include "ops/conv_util.h"

#define DYNCONV_ATTRS CONV_ATTRS " same=0"
enum { DYNCONV_MAX_KERNELS = 64 };

/* Where an operator of the family takes its operands: indices of inputs, -1 for what it does not know. An optional one
 * may still be void. */
typedef struct DynConvPorts {
    int x, dy, bank, mix, bias_bank, in_scale, out_scale, spatial, b, res;
} DynConvPorts;
const DynConvPorts *dynconv_ports(const OpDef *op);

/* From x [N,C,H,W] and bank [K,O,I,kh,kw]. */
ConvGeometry dynconv_geometry(const Node *n, const int64_t x[4], const int64_t bank[5]);
/* For infer: all operands that are there against x and the bank. */
Status dynconv_check(Infer *c, const DynConvPorts *p, ConvGeometry *q);
/* Multiply-accumulates that make the kernels of `batch` samples: K for each element of one where there is a mix or a
 * spatial scale, none where the kernel is the same for all. */
double dynconv_mix_macs(const Node *n, const Type *in, const ConvGeometry *q, int64_t batch);

/* ---- for the plain references ---- */

/* Operand `port`, NULL when it is void. */
const Tensor *dynconv_operand(const RefCall *c, int port);
/* Share of kernel k in sample n: 1 without mix. */
double dynconv_mix_at(const RefCall *c, int64_t n, int64_t k);
/* out_scale[n,o] in_scale[n,i] spatial[n,ab], i an input channel of o's group; those that are there. */
double dynconv_scale_at(const ConvGeometry *q, const RefCall *c, int64_t n, int64_t o, int64_t i, int64_t a, int64_t b);
/* sum_k mix[n,k] bank[k,o,i,a,b] */
double dynconv_mixed_at(const ConvGeometry *q, const RefCall *c, int64_t n, int64_t o, int64_t i, int64_t a, int64_t b);
/* Their product: a sample's whole kernel, so that y = conv(x, it). */
ConvWeight dynconv_weight_at;

extern const OpDef op_dynconv2d_dw;

#endif
