/* SPDX-License-Identifier: Apache-2.0
 *
 * nn.MaxPool2d - square windows; stride null: the window's size. */
#include "model/builder.h"

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    int64_t k = arg_int(a, "kernel_size"), pad = arg_int(a, "padding");
    build_leaf(b);
    if (2 * pad > k) {
        graph_fail(b->g, DYN_SHAPE, "nn.MaxPool2d: padding %lld is more than half of the window %lld", (long long)pad,
                   (long long)k);
        return (Value) { 0 };
    }
    return build_maxpool(b, in[0], k, arg_null(a, "stride") ? k : arg_int(a, "stride"), pad);
}

const ModuleDef module_nn_MaxPool2d = {
    .name = "nn.MaxPool2d",
    .doc = "maximum over windows",
    .args = "kernel_size:int[1,99] stride:int[1,64]?=null padding:int[0,49]=0",
    .build = build,
};
