/* SPDX-License-Identifier: Apache-2.0
 *
 * relu - max(x, 0). The gradient needs y only, so x need not be kept; it is 0 at x = 0. */
#include "ops/ops_util.h"

static const OpDef op_relu_grad = { .name = "relu_grad",
                                    .doc = "gradient of relu",
                                    .in = "dy y",
                                    .out = "dx",
                                    .flags = OP_INPLACE,
                                    .infer = infer_pair,
                                    .ref = act_op_grad_ref,
                                    .cost = act_op_grad_cost };
const OpDef op_relu = { .name = "relu",
                        .doc = "max(x, 0)",
                        .in = "x",
                        .out = "y",
                        .flags = OP_INPLACE,
                        .infer = infer_same,
                        .grad = act_op_grad,
                        .ref = act_op_ref,
                        .cost = act_op_cost,
                        .also = &op_relu_grad,
                        .cases = "x[1,5,3,7]\nx[3,17,2,1]\nx[7]\n" };
