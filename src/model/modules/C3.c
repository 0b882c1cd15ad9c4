/* SPDX-License-Identifier: Apache-2.0
 *
 * C3 - cross-stage partial block with three convolutions: cv3(concat(m(cv1(x)), cv2(x))), m a chain of bottlenecks with
 * a 1x1 and a 3x3 kernel. */
#include "model/modules/blocks_util.h"

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    int64_t c = arg_int(a, "c_out"), h = block_hidden(c, arg_float(a, "e"));
    ConvOpt first = { .c_out = h }, last = { .c_out = c };
    Value part[2];
    part[0] = build_conv(b, "cv1", in[0], first);
    part[1] = build_conv(b, "cv2", in[0], first);
    build_conv_declare(b, "cv3", 2 * h, last);
    part[0] = block_bottlenecks(
        b, part[0], arg_int(a, "n"),
        (BottleneckOpt) {
            .c_out = h, .hidden = h, .k0 = 1, .k1 = 3, .groups = arg_int(a, "g"), .shortcut = arg_bool(a, "shortcut") },
        NULL);
    return build_conv(b, "cv3", build_concat(b, part, 2), last);
}

const ModuleDef module_C3 = {
    .name = "C3",
    .doc = "cross-stage partial block with three convolutions",
    .args = "c_out:channels n:repeat shortcut:bool=true g:int[1,]=1 e:float[0.001,16]=0.5",
    .build = build,
    .cases = "x[2,4,5,6] train=1 args=[8]\n",
};
