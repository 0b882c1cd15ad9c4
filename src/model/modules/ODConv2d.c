/* SPDX-License-Identifier: Apache-2.0
 *
 * ODConv2d - omni-dimensional dynamic convolution, BatchNorm2d, activation (dynamic modules, D; Li, Zhou & Yao, ICLR
 * 2022). The order of the arguments is the recipe's: act stands before d. p null: "same"; the recipe's own "same"
 * forgets the dilation, which seed_pad gives back. */
#include "model/modules/odconv_util.h"

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    BankOpt o = bank_in_conv_order(a, "kernel_num");
    if (arg_bool(a, "seed_pad") && arg_null(a, "p")) o.pad = build_same_pad(o.k, 1);
    return odconv_bn_act(b, "", in[0],
                         (OdconvOpt) { .bank = o, .reduction = arg_float(a, "reduction"), .act = arg_act(a, "act") });
}

const ModuleDef module_ODConv2d = {
    .name = "ODConv2d",
    .doc = "convolution weighed along input channels, output channels, taps and kernels; BatchNorm, activation",
    .args = "c_out:channels k:int[1,99] s:int[1,64]=1 p:int[0,99]?=null g:int[1,]=1 act:act=true d:int[1,64]=1 "
            "reduction:float[0,1]=0.0625 kernel_num:int[1,64]=1 seed_pad:bool=false",
    .build = build,
    .cases = "x[2,4,5,6] train=0 temperature=1 args=[6, 3, 2, {kernel_num: 4}]\n"
             "x[3,4,5,3] train=1 temperature=2 args=[8, 3, 1, {g: 4}]\n",
};
