/* SPDX-License-Identifier: Apache-2.0
 *
 * nn.BatchNorm2d - over the channels of its input, whatever number the row says (as the reference: a row cannot know
 * the scaled width). */
#include "model/builder.h"

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    return build_batchnorm(b, "", in[0]);
}

const ModuleDef module_nn_BatchNorm2d = {
    .name = "nn.BatchNorm2d",
    .doc = "batch normalisation",
    .args = "num_features:int?=null",
    .build = build,
};
