/* SPDX-License-Identifier: Apache-2.0
 *
 * passes - graph in, graph out. A pass reads its input and builds a new graph with the same parameter list; what it
 * does not touch it copies. The caller frees both. */
#ifndef PASSES_H
#define PASSES_H

#include "graph/graph.h"

/* Drops what no output needs (nodes that update states stay). */
Status pass_dce(const Graph *in, Graph **out, Error *err);

/* Sets batchnorm to training (batch statistics, running ones updated) for every node; frozen[i] (may be NULL) of
 * parameter i keeps a norm whose weight is frozen on its running statistics. A drop_path gets an input "random:NAME"
 * [N,1,1,1], f32, that whoever runs the program fills with numbers from [0,1) before each run. */
#define RANDOM_INPUT "random:"
Status pass_train_mode(const Graph *in, Graph **out, Error *err);

/* Inference: batchnorm after conv2d or dynconv2d goes into the convolution's weight and bias (as nodes over parameters,
 * which a program computes once when it is loaded): w' = w * g, b' = beta + (b - mean) * g,
 * g = gamma / sqrt(var + eps). */
Status pass_fold_batchnorm(const Graph *in, Graph **out, Error *err);

/* Takes 1x1 convolutions of an attention block to its descriptors instead of all positions where that is cheaper. */
Status pass_reassociate(const Graph *in, Graph **out, Error *err);

/* Fuses an activation into the batchnorm or convolution before it, and a residual add into a batchnorm or, at
 * inference, a convolution or mix_channels, where the intermediate has no other use. */
Status pass_fuse(const Graph *in, Graph **out, Error *err);

/* Appends the backward pass of output `loss` (one element): a gradient output "grad:NAME" for every trainable parameter
 * that the loss depends on. Gradients of a value used twice are added in a fixed order. */
Status pass_autodiff(const Graph *in, const char *loss, Graph **out, Error *err);
/* The same for named values instead of parameters (tests): output "grad:NAME" for each of the inputs that are leaves of
 * the graph. */
Status pass_autodiff_inputs(const Graph *in, const char *loss, Graph **out, Error *err);

/* After autodiff: sums of gradients go into the convolutions' gradients as residuals, casts forth and back go. */
Status pass_fuse_grads(const Graph *in, Graph **out, Error *err);

/* The pipelines: what the trainer and the predictor run. */
Status passes_inference(const Graph *in, Graph **out, Error *err);
Status passes_training(const Graph *in, const char *loss, Graph **out, Error *err);

/* Checks what every pass must keep: inputs come before their node, and types can be inferred for other sizes than the
 * nominal ones (where the inputs leave sizes open). */
Status graph_verify(const Graph *g, Error *err);

#endif
