/* SPDX-License-Identifier: Apache-2.0
 *
 * The omni-dimensional dynamic convolution of ODConv2d and C2f_ODConv (dynamic modules, section D). */
#ifndef MODULES_ODCONV_UTIL_H
#define MODULES_ODCONV_UTIL_H

#include "model/modules/dynamic_util.h"

typedef struct OdconvOpt {
    BankOpt bank;     /* without bias */
    double reduction; /* width of the attention: max(trunc(c_in * reduction), 16) */
    Act act;
} OdconvOpt;

/* x [N,C,H,W] -> f * conv(c * x, spatial * sum of mix_k weight_k), [N,c_out,Ho,Wo], with the four attentions computed
 * from x. Declares, in the current scope, weight [K,O,C/groups,k,k] and attention.{fc,channel_fc,filter_fc,spatial_fc,
 * kernel_fc,temperature}. */
Value odconv(Builder *b, Value x, OdconvOpt o);
/* The same in a scope of its own, then BatchNorm2d and the activation. name "": in the scope itself. */
Value odconv_bn_act(Builder *b, const char *name, Value x, OdconvOpt o);

#endif
