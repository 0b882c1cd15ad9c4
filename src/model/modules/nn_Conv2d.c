/* SPDX-License-Identifier: Apache-2.0
 *
 * nn.Conv2d - a plain convolution with PyTorch's arguments; in_channels is written in the row and must be right. */
#include "model/builder.h"

#include <math.h>

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    int64_t c_in = arg_int(a, "in_channels"), real = value_dim(b->g, in[0], 1);
    if (value_ok(in[0]) && c_in != real) {
        graph_fail(b->g, DYN_SHAPE, "nn.Conv2d says %lld input channels, its input has %lld", (long long)c_in,
                   (long long)real);
        return (Value) { 0 };
    }
    return build_conv2d(b, "", in[0],
                        (ConvOpt) { .c_out = arg_int(a, "out_channels"),
                                    .k = arg_int(a, "kernel_size"),
                                    .stride = arg_int(a, "stride"),
                                    .pad = arg_int(a, "padding"),
                                    .pad_given = true,
                                    .dilation = arg_int(a, "dilation"),
                                    .groups = arg_int(a, "groups") },
                        arg_bool(a, "bias"), NAN, false);
}

const ModuleDef module_nn_Conv2d = {
    .name = "nn.Conv2d",
    .doc = "plain convolution",
    .args = "in_channels:int[1,65536] out_channels:int[1,65536] kernel_size:int[1,99] stride:int[1,64]=1 "
            "padding:int[0,99]=0 dilation:int[1,64]=1 groups:int[1,]=1 bias:bool=true",
    .build = build,
};
