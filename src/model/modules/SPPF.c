/* SPDX-License-Identifier: Apache-2.0
 *
 * SPPF - one pool applied three times, all four results side by side (spec 2.4). Models built by the reference from
 * 8.4.0 on have no activation after the first convolution; the builder says which. */
#include "model/modules/blocks_util.h"

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    int64_t k = arg_int(a, "k"), h = block_hidden(value_dim(b->g, in[0], 1), 0.5);
    Act first = { .kind = b->sppf_no_act ? ACT_NONE : ACT_DEFAULT };
    Value y[4] = { build_conv(b, "cv1", in[0], (ConvOpt) { .c_out = h, .act = first }) };
    for (int i = 1; i < 4; i++)
        y[i] = build_maxpool(b, y[i - 1], k, 1, k / 2);
    build_leaf(b);
    return build_conv(b, "cv2", build_concat(b, y, 4), (ConvOpt) { .c_out = arg_int(a, "c_out") });
}

const ModuleDef module_SPPF = {
    .name = "SPPF",
    .doc = "spatial pyramid pooling, fast form",
    .args = "c_out:channels k:int[1,99]=5",
    .build = build,
    .cases = "x[2,4,5,6] train=0 args=[6, 3]\n",
};
