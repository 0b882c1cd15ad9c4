/* SPDX-License-Identifier: Apache-2.0
 *
 * nn.Identity - its input. */
#include "model/builder.h"

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    build_leaf(b);
    return in[0];
}

const ModuleDef module_nn_Identity = {
    .name = "nn.Identity",
    .doc = "its input",
    .args = "",
    .build = build,
};
