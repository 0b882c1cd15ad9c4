/* SPDX-License-Identifier: Apache-2.0
 *
 * What the modules around a mixed bank of kernels share (dynamic modules, sections A and B): an operator dynconv2d, and
 * the branch that says how much of each kernel a sample gets. All of that branch is f32, also in a bf16 program. */
#ifndef MODULES_DYNAMIC_UTIL_H
#define MODULES_DYNAMIC_UTIL_H

#include "model/builder.h"

typedef struct BankOpt {
    int64_t c_out, k, stride, pad, dilation, groups, experts;
    bool same; /* TensorFlow's SAME in place of pad: a total of (ceil(H / stride) - 1) stride + dilation (k - 1) + 1 - H
                */
    bool bias; /* a bias of its own for each kernel */
} BankOpt;

typedef struct AttentionOpt {
    double ratio;                   /* hidden width / input channels */
    double temperature;             /* where it begins: 1 + 3 i */
    bool hidden_plus_one, fc2_bias; /* the forms of newer checkpoints */
} AttentionOpt;

/* Softmax attention over the bank (A): declares NAME.weight [K,O,C/groups,k,k], NAME.bias [K,O], then
 * NAME.attention.{fc1.weight,fc2.weight,fc2.bias,temperature}. x [N,C,H,W] -> [N,c_out,H',W']. name "": the scope
 * itself. */
Value dynamic_conv(Builder *b, const char *name, Value x, BankOpt o, AttentionOpt t);
/* Sigmoid gates over the bank (B): NAME.routing.{weight,bias}, NAME.cond_conv.{weight,bias}; in files routing.weight is
 * [E,C] and cond_conv.weight [E, c_out C/groups k k]. */
Value cond_conv(Builder *b, const char *name, Value x, BankOpt o);
/* The same, BatchNorm2d and an activation: NAME.conv.0.*, NAME.conv.1.*. */
Value cond_conv_bn_act(Builder *b, const char *name, Value x, BankOpt o, Act act);

/* cond_conv's parameters, named ATrouting and ATcond_conv here, begin as the plain layer's PLAINweight and PLAINbias,
 * see build_plain. */
void cond_conv_plain(Builder *b, const char *at, const char *plain, BankOpt o);

/* From a row in Conv's order: c_out, k, s, p (null: "same"), g, d, and `experts`, the name of their number. */
BankOpt bank_in_conv_order(const ModuleArgs *a, const char *experts);

/* ---- for other branches over a bank ------------------------------------------------------------------------------ */

/* The bank's fan-in; 0 after a failure: groups that do not divide the channels. */
double bank_fan_in(Builder *b, Value x, BankOpt o);
/* [N,C,1,1], f32. layer: the reference has a layer for it, which a profiler counts. */
Value pooled(Builder *b, Value x, bool layer);
typedef struct DenseOpt {
    int64_t out;
    Init weight, bias;
    bool has_bias;
    bool linear; /* nn.Linear: its weight is [out,in] in files, not [out,in,1,1] */
} DenseOpt;
/* NAME.weight and NAME.bias over x [N,in,1,1], f32. */
Value dense(Builder *b, const char *name, Value x, DenseOpt o);
/* dynconv2d with its inputs: x, bank, mix, ... */
Value bank_conv(Builder *b, const Value *in, int n_in, BankOpt o);

#endif
