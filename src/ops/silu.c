/* SPDX-License-Identifier: Apache-2.0
 *
 * silu - x sigmoid(x) (Elfwing et al. 2017; "swish"). Its gradient is taken from x, not from y: y does not tell x. */
#include "ops/ops_util.h"

static const OpDef op_silu_grad = { .name = "silu_grad",
                                    .doc = "gradient of silu",
                                    .in = "dy x",
                                    .out = "dx",
                                    .flags = OP_INPLACE,
                                    .infer = infer_pair,
                                    .ref = act_op_grad_ref,
                                    .cost = act_op_grad_cost };
const OpDef op_silu = { .name = "silu",
                        .doc = "x sigmoid(x)",
                        .in = "x",
                        .out = "y",
                        .flags = OP_INPLACE,
                        .infer = infer_same,
                        .grad = act_op_grad,
                        .ref = act_op_ref,
                        .cost = act_op_cost,
                        .also = &op_silu_grad,
                        .cases = "x[1,5,3,7]\nx[3,17,2,1]\nx[7]\n" };
