/* SPDX-License-Identifier: Apache-2.0
 *
 * sigmoid - 1 / (1 + exp(-x)). The gradient needs y only, dy y (1 - y), so x need not be kept. */
#include "ops/ops_util.h"

static const OpDef op_sigmoid_grad = { .name = "sigmoid_grad",
                                       .doc = "gradient of sigmoid",
                                       .in = "dy y",
                                       .out = "dx",
                                       .flags = OP_INPLACE,
                                       .infer = infer_pair,
                                       .ref = act_op_grad_ref,
                                       .cost = act_op_grad_cost };
const OpDef op_sigmoid = { .name = "sigmoid",
                           .doc = "1 / (1 + exp(-x))",
                           .in = "x",
                           .out = "y",
                           .flags = OP_INPLACE,
                           .infer = infer_same,
                           .grad = act_op_grad,
                           .ref = act_op_ref,
                           .cost = act_op_cost,
                           .also = &op_sigmoid_grad,
                           .cases = "x[1,5,3,7]\nx[3,17,2,1]\nx[7]\n" };
