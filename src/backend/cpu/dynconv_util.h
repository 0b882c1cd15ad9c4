/* SPDX-License-Identifier: Apache-2.0
 *
 * What the kernels of dynconv2d and of its gradients share. */
#ifndef DYNCONV_UTIL_H
#define DYNCONV_UTIL_H

#include "backend/cpu/conv_util.h"
#include "ops/dynconv_util.h"

/* Where the operands are that are there: -1 for the others. Declines shares, scales and biases that are not f32. */
bool dynconv_claim_operands(const KernelPlan *p, DynConvPorts *port, char *why, size_t n);
/* Sample n of an image. */
void *dynconv_image(const Tensor *t, int64_t n);

#endif
