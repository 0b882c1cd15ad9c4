/* SPDX-License-Identifier: Apache-2.0
 *
 * gelu - x Phi(x) with the exact normal distribution function (erf), not its tanh approximation (Hendrycks & Gimpel
 * 2016). The gradient is taken from x. */
#include "ops/ops_util.h"

static const OpDef op_gelu_grad = { .name = "gelu_grad",
                                    .doc = "gradient of gelu",
                                    .in = "dy x",
                                    .out = "dx",
                                    .flags = OP_INPLACE,
                                    .infer = infer_pair,
                                    .ref = act_op_grad_ref,
                                    .cost = act_op_grad_cost };
const OpDef op_gelu = { .name = "gelu",
                        .doc = "x times the normal distribution function",
                        .in = "x",
                        .out = "y",
                        .flags = OP_INPLACE,
                        .infer = infer_same,
                        .grad = act_op_grad,
                        .ref = act_op_ref,
                        .cost = act_op_cost,
                        .also = &op_gelu_grad,
                        .cases = "x[1,5,3,7]\nx[3,17,2,1]\nx[7]\n" };
