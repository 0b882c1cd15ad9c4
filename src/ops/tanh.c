/* SPDX-License-Identifier: Apache-2.0
 *
 * tanh - hyperbolic tangent. The gradient needs y only, dy (1 - y y), so x need not be kept. */
#include "ops/ops_util.h"

static const OpDef op_tanh_grad = { .name = "tanh_grad",
                                    .doc = "gradient of tanh",
                                    .in = "dy y",
                                    .out = "dx",
                                    .flags = OP_INPLACE,
                                    .infer = infer_pair,
                                    .ref = act_op_grad_ref,
                                    .cost = act_op_grad_cost };
const OpDef op_tanh = { .name = "tanh",
                        .doc = "hyperbolic tangent",
                        .in = "x",
                        .out = "y",
                        .flags = OP_INPLACE,
                        .infer = infer_same,
                        .grad = act_op_grad,
                        .ref = act_op_ref,
                        .cost = act_op_cost,
                        .also = &op_tanh_grad,
                        .cases = "x[1,5,3,7]\nx[3,17,2,1]\nx[7]\n" };
