/* SPDX-License-Identifier: Apache-2.0
 *
 * nn.Upsample - nearest neighbour by a whole factor. A target size is refused: it would tie the model to one input
 * size.
 */
#include "model/builder.h"

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    build_leaf(b);
    if (!arg_null(a, "size")) {
        graph_fail(b->g, DYN_UNSUPPORTED, "nn.Upsample to a fixed size is not supported; write [None, 2, nearest]");
        return (Value) { 0 };
    }
    return build_upsample(b, in[0], arg_int(a, "scale_factor"));
}

const ModuleDef module_nn_Upsample = {
    .name = "nn.Upsample",
    .doc = "nearest-neighbour upsampling",
    .args = "size:int[1,]? scale_factor:int[1,16] mode:text(nearest)=nearest",
    .build = build,
};
