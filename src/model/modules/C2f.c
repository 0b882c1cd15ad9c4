/* SPDX-License-Identifier: Apache-2.0
 *
 * C2f - the input halved by channels, a chain of bottlenecks on the last half, every intermediate result kept
 * (spec 2.3). */
#include "model/modules/blocks_util.h"

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    int64_t c = arg_int(a, "c_out"), n = arg_int(a, "n"), h = block_hidden(c, arg_float(a, "e"));
    ConvOpt last = { .c_out = c };
    Value part[2 + MAX_REPEAT];
    build_split(b, build_conv(b, "cv1", in[0], (ConvOpt) { .c_out = 2 * h }), 2, part);
    build_conv_declare(b, "cv2", (2 + n) * h, last);
    block_bottlenecks(
        b, part[1], n,
        (BottleneckOpt) {
            .c_out = h, .hidden = h, .k0 = 3, .k1 = 3, .groups = arg_int(a, "g"), .shortcut = arg_bool(a, "shortcut") },
        part + 2);
    return build_conv(b, "cv2", build_concat(b, part, (int)(2 + n)), last);
}

const ModuleDef module_C2f = {
    .name = "C2f",
    .doc = "split, chained bottlenecks, concatenation of all pieces",
    .args = "c_out:channels n:repeat shortcut:bool=false g:int[1,]=1 e:float[0.001,16]=0.5",
    .build = build,
    .cases = "x[2,4,5,6] train=1 args=[8, true]\n"
             "x[1,4,3,5] train=0 repeat=2 args=[4]\n",
};
