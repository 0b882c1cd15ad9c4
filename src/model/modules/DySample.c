/* SPDX-License-Identifier: Apache-2.0
 *
 * DySample - upsampling that learns where to read (Liu et al., ICCV 2023, arXiv 2308.15085; spec E). A 1x1 convolution
 * says for every output pixel and group of channels how far from its own place the input is read, bilinearly.
 *   lp: offsets of all r^2 sub-pixels from one input pixel     pl: of each sub-pixel from the pixel-shuffled input
 * dyscope has a second convolution choose how far, from 0 to 0.5, where else the reach is 0.25. Offsets are f32 always:
 * see src/ops/dysample.c. The factors 0.25 and 0.5 are put on the weights, where they are exact and cost nothing. */
#include "model/builder.h"

typedef struct Shapes {
    int64_t r, groups, c_in, c_out; /* c_in, c_out: of the offset convolution's weight */
    bool pl;
} Shapes;

static Value scaled(Builder *b, Value v, double factor)
{
    return factor == 1 || !value_ok(v) ? v : build_op(b, "scale", INS(v), ATTRS(A_FLOAT("a", factor)));
}

/* factor * (conv(x) + bias) + shift in one convolution; shift is void or [c_out] for lp. */
static Value offset_conv(Builder *b, const char *name, Value x, const Shapes *s, Init init, bool bias, double factor,
                         Value shift)
{
    const char *outer = graph_push(b->g, "%s", name);
    Value w = graph_param(b->g, "weight", PARAM_WEIGHT, SHAPE(s->c_out, s->c_in, 1, 1), init), c = { 0 };
    if (bias) c = graph_param(b->g, "bias", PARAM_BIAS, SHAPE(s->c_out), (Init) { INIT_CONST, 0 });
    w = scaled(b, w, factor);
    c = scaled(b, c, factor);
    if (value_ok(shift)) c = build_add(b, c, shift);
    Value y = s->pl ? build_op(b, "subpixel_linear", INS(x, w, c), ATTRS(A_INT("scale", s->r), A_TEXT("out", "f32")))
                    : build_op(b, "conv2d", INS(x, w, c), ATTRS(A_TEXT("out", "f32")));
    graph_pop(b->g, outer);
    return y;
}

/* The centres of the sub-pixels. Where a convolution's bias can take them up, they have its shape in the graph. */
static Value init_pos(Builder *b, const Shapes *s, bool in_bias)
{
    int64_t n = 2 * s->groups * s->r * s->r;
    Shape file = SHAPE(1, n, 1, 1);
    Value v =
        graph_param(b->g, "init_pos", PARAM_BUFFER, in_bias ? SHAPE(n) : file, (Init) { INIT_SUBPIXEL, (double)s->r });
    graph_param_file_shape(b->g, v, file);
    return v;
}

static bool fits(Builder *b, const Shapes *s, int64_t c, const ModuleArgs *a)
{
    if (c % s->groups)
        graph_fail(b->g, DYN_SHAPE, "%lld channels are no multiple of groups=%lld; %s", (long long)c,
                   (long long)s->groups, arg_signature(a));
    else if (s->pl && c % (s->r * s->r))
        graph_fail(b->g, DYN_SHAPE, "%lld channels are no multiple of scale * scale = %lld, which style=pl wants; %s",
                   (long long)c, (long long)(s->r * s->r), arg_signature(a));
    else
        return true;
    return false;
}

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    int64_t c = value_dim(b->g, in[0], 1), r = arg_int(a, "scale");
    Shapes s = { .r = r, .groups = arg_int(a, "groups"), .pl = str_eq(arg_text(a, "style"), "pl") };
    bool dyscope = arg_bool(a, "dyscope"), in_bias = !s.pl && !dyscope;
    if (!value_ok(in[0]) || !fits(b, &s, c, a)) return (Value) { 0 };
    s.c_in = s.pl ? c / (r * r) : c;
    s.c_out = 2 * s.groups * (s.pl ? 1 : r * r);
    Value centres = init_pos(b, &s, in_bias);
    Value off = offset_conv(b, "offset", in[0], &s, (Init) { INIT_NORMAL, 0.001 }, true, dyscope ? 0.5 : 0.25,
                            in_bias ? centres : (Value) { 0 });
    if (dyscope) {
        Value scope =
            offset_conv(b, "scope", in[0], &s, (Init) { INIT_CONST, 0 }, arg_bool(a, "scope_bias"), 1, (Value) { 0 });
        off = build_op(b, "mul", INS(off, build_op(b, "sigmoid", INS(scope), NO_ATTRS)), NO_ATTRS);
    }
    if (!in_bias) off = build_add(b, off, centres);
    return build_op(b, "dysample", INS(in[0], off), ATTRS(A_INT("scale", r), A_INT("groups", s.groups)));
}

const ModuleDef module_DySample = {
    .name = "DySample",
    .doc = "upsampling that reads at learned offsets",
    .args = "scale:int[1,16]=2 style:text(lp|pl)=lp groups:int[1,65536]=4 dyscope:bool=false scope_bias:bool=true",
    .build = build,
    .cases = "x[2,8,3,4] amp=0.1 args=[]\nx[2,8,5,3] amp=0.1 args=[2, pl, 2, true]\n",
};
