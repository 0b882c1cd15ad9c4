/* SPDX-License-Identifier: Apache-2.0
 *
 * What convolutions share, whether their weights are parameters (conv2d) or mixed for every sample (dynconv2d): the
 * geometry, what is counted, and the three sums that value and gradients are made of, in double. */
#ifndef OPS_CONV_UTIL_H
#define OPS_CONV_UTIL_H

#include "ops/ops_util.h"

/* Attributes of every convolution. */
#define CONV_ATTRS "stride=1 pad=0 pad_w=-1 dilation=1 groups=1 act=none out=act"

typedef struct ConvGeometry {
    int64_t stride, dilation, groups;
    int64_t pad_h, pad_w;    /* before; behind there is as much as Ho and Wo need */
    int64_t O, I, kh, kw;    /* of one kernel; I input channels a group */
    int64_t C, H, W, Ho, Wo; /* Ho, Wo 0: the kernel does not fit into the padded input */
} ConvGeometry;

/* From a node's attributes, x [N,C,H,W] and one kernel's w [O,I,kh,kw]. same: TensorFlow's SAME, ceil(size / stride)
 * outputs with floor(half) of the padding that they need before and the rest behind, instead of the attributes pad and
 * pad_w (-1: the same as pad). */
ConvGeometry conv_geometry(const Node *n, const int64_t x[4], const int64_t w[4], bool same);
/* For infer: are attributes and channels of this geometry in order? */
Status conv_check(Infer *c, const ConvGeometry *q);
/* The type of y [N,O,Ho,Wo] for an x; checked against the residual, which may be void or NULL. */
Status conv_infer_y(Infer *c, const ConvGeometry *q, const Type *x, const Type *res);

/* For conv2d's gradients: dy fits x and w, and the result is like one of them. */
Status conv_infer_grad(Infer *c, const Type *dy, const Type *x, const Type *w, const Type *like);

/* Multiply-accumulates for `batch` samples. */
double conv_macs(const ConvGeometry *q, int64_t batch);
/* Operations besides: bias, activation, residual of y where there are some. */
double conv_extra_flops(const Node *n, const Type *y, bool bias, bool res);

/* Element [o,i,a,b] of sample n's kernel. */
typedef double ConvWeight(const ConvGeometry *q, const RefCall *c, int64_t n, int64_t o, int64_t i, int64_t a,
                          int64_t b);
/* conv(x, w) at y[n,o,h,v]. */
double conv_y_at(const ConvGeometry *q, const RefCall *c, ConvWeight *w, const Tensor *x, int64_t n, int64_t o,
                 int64_t h, int64_t v);
/* Its gradient by x[n,ch,h,v]. */
double conv_dx_at(const ConvGeometry *q, const RefCall *c, ConvWeight *w, const Tensor *dy, int64_t n, int64_t ch,
                  int64_t h, int64_t v);
/* Its gradient by w[o,i,a,b], the share of sample n. */
double conv_dw_at(const ConvGeometry *q, const Tensor *dy, const Tensor *x, int64_t n, int64_t o, int64_t i, int64_t a,
                  int64_t b);
/* Sum of dy[n,o,:,:]. */
double conv_db_at(const Tensor *dy, int64_t n, int64_t o);

/* Where a convolution has what passes move into it: inputs (-1: it has none such), and the dimension of w that its
 * outputs are counted along. NULL: op is no convolution. */
typedef struct ConvPorts {
    int w, b, res, bias_bank, out_dim;
} ConvPorts;
enum { MAX_CONV_IN = 9, CONV_DX_RES = 3 }; /* CONV_DX_RES: conv2d_dx's residual */
const ConvPorts *conv_ports(const OpDef *op);

/* Gradient of a bias: dy [N,O,H,W] -> db [O], f32, the sum over batch and space. */
extern const OpDef op_bias_grad;

#endif
