/* SPDX-License-Identifier: Apache-2.0
 *
 * hardswish - x relu6(x + 3) / 6 (Howard et al. 2019). The gradient is taken from x: y does not tell x. */
#include "ops/ops_util.h"

static const OpDef op_hardswish_grad = { .name = "hardswish_grad",
                                         .doc = "gradient of hardswish",
                                         .in = "dy x",
                                         .out = "dx",
                                         .flags = OP_INPLACE,
                                         .infer = infer_pair,
                                         .ref = act_op_grad_ref,
                                         .cost = act_op_grad_cost };
const OpDef op_hardswish = { .name = "hardswish",
                             .doc = "x relu6(x + 3) / 6",
                             .in = "x",
                             .out = "y",
                             .flags = OP_INPLACE,
                             .infer = infer_same,
                             .grad = act_op_grad,
                             .ref = act_op_ref,
                             .cost = act_op_cost,
                             .also = &op_hardswish_grad,
                             .cases = "x[1,5,3,7]\nx[3,17,2,1]\nx[7]\n" };
