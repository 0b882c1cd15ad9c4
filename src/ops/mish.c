/* SPDX-License-Identifier: Apache-2.0
 *
 * mish - x tanh(log(1 + exp(x))) (Misra 2019). The gradient is taken from x: y does not tell x. */
#include "ops/ops_util.h"

static const OpDef op_mish_grad = { .name = "mish_grad",
                                    .doc = "gradient of mish",
                                    .in = "dy x",
                                    .out = "dx",
                                    .flags = OP_INPLACE,
                                    .infer = infer_pair,
                                    .ref = act_op_grad_ref,
                                    .cost = act_op_grad_cost };
const OpDef op_mish = { .name = "mish",
                        .doc = "x tanh(log(1 + exp(x)))",
                        .in = "x",
                        .out = "y",
                        .flags = OP_INPLACE,
                        .infer = infer_same,
                        .grad = act_op_grad,
                        .ref = act_op_ref,
                        .cost = act_op_cost,
                        .also = &op_mish_grad,
                        .cases = "x[1,5,3,7]\nx[3,17,2,1]\nx[7]\n" };
