/* SPDX-License-Identifier: Apache-2.0
 *
 * Detect - the decoupled anchor-free head of YOLOv8 (spec 2.6, initial biases 2.8): per level a box branch with
 * 4 reg_max logits and a class branch with nc logits. The depthwise class branch of later families is built when the
 * builder asks for it. Decoding is not done here: the model emits it once from Builder.head. */
#include "model/builder.h"

#include <math.h>

static Value box_branch(Builder *b, Value x, int64_t width)
{
    x = build_conv(b, "0", x, (ConvOpt) { .c_out = width, .k = 3 });
    x = build_conv(b, "1", x, (ConvOpt) { .c_out = width, .k = 3 });
    return build_conv2d(b, "2", x, (ConvOpt) { .c_out = 4 * b->head.reg_max }, true, b->box_bias, true);
}

static Value depthwise_pair(Builder *b, const char *name, Value x, int64_t width)
{
    const char *outer = graph_push(b->g, "%s", name);
    int64_t c = value_dim(b->g, x, 1);
    x = build_conv(b, "0", x, (ConvOpt) { .c_out = c, .k = 3, .groups = c });
    x = build_conv(b, "1", x, (ConvOpt) { .c_out = width });
    graph_pop(b->g, outer);
    return x;
}

static Value cls_branch(Builder *b, Value x, int64_t width, int64_t stride)
{
    double prior = log(5 / (double)b->head.nc / pow(640 / (double)stride, 2));
    if (b->depthwise_cls) {
        x = depthwise_pair(b, "0", x, width);
        x = depthwise_pair(b, "1", x, width);
    } else {
        x = build_conv(b, "0", x, (ConvOpt) { .c_out = width, .k = 3 });
        x = build_conv(b, "1", x, (ConvOpt) { .c_out = width, .k = 3 });
    }
    return build_conv2d(b, "2", x, (ConvOpt) { .c_out = b->head.nc }, true, prior, true);
}

/* The DFL's weights 0, 1, ... are constants of the decoding operator; files have them as a parameter. */
static void declare_dfl(Builder *b)
{
    const char *outer = graph_push(b->g, "dfl.conv");
    graph_param(b->g, "weight", PARAM_FIXED, SHAPE(1, b->head.reg_max, 1, 1), (Init) { INIT_ARANGE, 0 });
    graph_pop(b->g, outer);
}

static Value build(Builder *b, const Value *in, int n_in, const ModuleArgs *a)
{
    Head *h = &b->head;
    int64_t c0 = value_dim(b->g, in[0], 1);
    h->nc = arg_int(a, "nc");
    if (h->nc != b->nc) {
        graph_fail(b->g, DYN_FORMAT, "Detect says %lld classes, the model has %lld; write nc in its place",
                   (long long)h->nc, (long long)b->nc);
        return (Value) { 0 };
    }
    h->reg_max = b->reg_max;
    h->n_level = n_in;
    int64_t box_width = MAX(MAX(16, c0 / 4), 4 * h->reg_max), cls_width = MAX(c0, MIN(h->nc, 100));
    for (int i = 0; i < n_in; i++) {
        const char *outer = graph_push(b->g, "cv2.%d", i);
        h->stride[i] = build_stride(b, in[i]);
        h->box[i] = box_branch(b, in[i], box_width);
        graph_pop(b->g, outer);
    }
    for (int i = 0; i < n_in; i++) {
        const char *outer = graph_push(b->g, "cv3.%d", i);
        h->cls[i] = cls_branch(b, in[i], cls_width, h->stride[i]);
        graph_pop(b->g, outer);
    }
    declare_dfl(b);
    return h->box[0];
}

const ModuleDef module_Detect = {
    .name = "Detect",
    .doc = "detection head: box and class logits per level",
    .args = "nc:int[1,65535]",
    .max_in = MAX_LEVELS,
    .build = build,
};
