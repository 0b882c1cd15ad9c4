/* SPDX-License-Identifier: Apache-2.0
 *
 * DoubleAttentionLayer - the double attention block of A2-Nets (Chen et al., NeurIPS 2018, arXiv 1810.11579; spec C):
 *   A = convA(x)                                     c_m channels of features
 *   P = softmax over all positions of convB(x)       c_n maps: where a descriptor is gathered
 *   V = softmax over the channels of convV(x)        c_n maps: how much of each descriptor a position takes
 *   z = (A P^T) V;  y = conv_reconstruct(z) if reconstruct, else z;  y += x if residual
 * P and its logits are f32 also in a bf16 program: one of many positions' shares is far below bf16's resolution of an
 * attention peak's. With residual, conv_reconstruct begins at zero, so that the block begins as the identity.
 *
 * convB.bias is in files and takes no part: it shifts a softmax's whole argument, which changes nothing. Left out of
 * the graph, its gradient is exactly zero, where rounding would give an optimiser like Adam noise to amplify.
 * This is the formula as it stands; pass_reassociate finds the cheaper order of its products. */
#include "model/builder.h"

#include <math.h>

static Value project(Builder *b, const char *name, Value x, int64_t c_out)
{
    return build_conv2d(b, name, x, (ConvOpt) { .c_out = c_out }, true, NAN, false);
}

/* convB without its bias, in f32. */
static Value gathering_logits(Builder *b, Value x, int64_t c_n)
{
    Value y = build_conv2d(b, "convB", x, (ConvOpt) { .c_out = c_n }, false, NAN, true);
    const char *outer = graph_push(b->g, "convB");
    graph_param(b->g, "bias", PARAM_BIAS, SHAPE(c_n), (Init) { INIT_UNIFORM, 1 / sqrt((double)value_dim(b->g, x, 1)) });
    graph_pop(b->g, outer);
    return y;
}

static void warn(Builder *b, int64_t c, int64_t c_n, int64_t c_out, bool residual)
{
    if (c_n == 1)
        build_warn(b, "c_n=1: a softmax over one channel is 1, so the result is the same at all positions and convV "
                      "never learns");
    if (c_out == c && !residual)
        build_warn(b,
                   "without residual the rows after it see nothing of the input itself, only combinations of c_n=%lld "
                   "global descriptors; residual=True adds the input",
                   (long long)c_n);
}

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    Value x = in[0];
    int64_t c = value_dim(b->g, x, 1), quarter = MAX(c / 4, 1);
    int64_t c_m = arg_null(a, "c_m") ? quarter : arg_int(a, "c_m");
    int64_t c_n = arg_null(a, "c_n") ? quarter : arg_int(a, "c_n");
    bool reconstruct = arg_bool(a, "reconstruct"), residual = arg_bool(a, "residual");
    int64_t c_out = reconstruct ? c : c_m;
    if (!value_ok(x)) return x;
    if (residual && c_out != c) {
        graph_fail(b->g, DYN_SHAPE,
                   "residual adds the input's %lld channels to a result of %lld: set reconstruct=True or c_m=%lld",
                   (long long)c, (long long)c_out, (long long)c);
        return (Value) { 0 };
    }
    warn(b, c, c_n, c_out, residual);
    Value features = project(b, "convA", x, c_m);
    Value gather = build_op(b, "softmax", INS(gathering_logits(b, x, c_n)), ATTRS(A_INT("space", 1)));
    Value distribute = build_op(b, "softmax", INS(project(b, "convV", x, c_n)), NO_ATTRS);
    Value descriptors = build_op(b, "pool_outer", INS(features, gather), NO_ATTRS);
    Value y = build_op(b, "mix_channels", INS(descriptors, distribute), NO_ATTRS);
    if (reconstruct)
        y = build_conv2d(b, "conv_reconstruct", y, (ConvOpt) { .c_out = c, .zero = residual }, true, residual ? 0 : NAN,
                         false);
    return residual ? build_add(b, y, x) : y;
}

const ModuleDef module_DoubleAttentionLayer = {
    .name = "DoubleAttentionLayer",
    .doc = "double attention: gathers c_n global descriptors, gives each position its share (null: a quarter of the "
           "input's channels)",
    .args = "c_m:channels?=null c_n:int[1,65536]?=null reconstruct:bool=false residual:bool=false",
    .build = build,
    .cases = "x[2,6,3,4] args=[4, 3, true]\nx[3,12,7,5] args=[null, null, true, true]\n",
};
