/* SPDX-License-Identifier: Apache-2.0
 *
 * C2 - the input halved by channels, a chain of bottlenecks on the first half (spec 2.3; the heads of the p6 models).
 */
#include "model/modules/blocks_util.h"

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    int64_t c = arg_int(a, "c_out"), h = block_hidden(c, arg_float(a, "e"));
    ConvOpt last = { .c_out = c };
    Value part[2];
    build_split(b, build_conv(b, "cv1", in[0], (ConvOpt) { .c_out = 2 * h }), 2, part);
    build_conv_declare(b, "cv2", 2 * h, last);
    part[0] = block_bottlenecks(
        b, part[0], arg_int(a, "n"),
        (BottleneckOpt) {
            .c_out = h, .hidden = h, .k0 = 3, .k1 = 3, .groups = arg_int(a, "g"), .shortcut = arg_bool(a, "shortcut") },
        NULL);
    return build_conv(b, "cv2", build_concat(b, part, 2), last);
}

const ModuleDef module_C2 = {
    .name = "C2",
    .doc = "split, chained bottlenecks on one half",
    .args = "c_out:channels n:repeat shortcut:bool=true g:int[1,]=1 e:float[0.001,16]=0.5",
    .build = build,
    .cases = "x[2,4,5,6] train=1 args=[8, true]\n",
};
