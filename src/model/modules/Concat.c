/* SPDX-License-Identifier: Apache-2.0
 *
 * Concat - inputs side by side along channels. */
#include "model/builder.h"

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    build_leaf(b);
    return build_concat(b, in, n_in);
}

const ModuleDef module_Concat = {
    .name = "Concat",
    .doc = "inputs side by side along channels",
    .args = "dimension:int[1,1]=1",
    .max_in = 64,
    .build = build,
};
