/* SPDX-License-Identifier: Apache-2.0
 *
 * SPP - pools of several sizes side by side with their input. */
#include "model/modules/blocks_util.h"

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    const int64_t *k;
    int n = arg_ints(a, "k", &k);
    int64_t h = block_hidden(value_dim(b->g, in[0], 1), 0.5);
    Value y[1 + MAX_INTS];
    y[0] = build_conv(b, "cv1", in[0], (ConvOpt) { .c_out = h });
    for (int i = 0; i < n; i++) {
        y[1 + i] = build_maxpool(b, y[0], k[i], 1, k[i] / 2);
        build_leaf(b);
    }
    return build_conv(b, "cv2", build_concat(b, y, 1 + n), (ConvOpt) { .c_out = arg_int(a, "c_out") });
}

const ModuleDef module_SPP = {
    .name = "SPP",
    .doc = "spatial pyramid pooling",
    .args = "c_out:channels k:ints[1,99]=5,9,13",
    .build = build,
    .cases = "x[2,4,5,6] train=0 args=[6]\n",
};
