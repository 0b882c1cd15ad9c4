/* SPDX-License-Identifier: Apache-2.0
 *
 * builder - what a module of the model YAML is written with: one file under modules/, one ModuleDef, no other edit.
 *
 * A module's build function receives the values it takes and the arguments of its row, already parsed and checked, and
 * emits nodes. Nothing computes. Only channels may be read off a value (value_dim(g, v, 1)): batch, height and width
 * are bound later. Parameters get the checkpoint's names because every helper pushes its name as a scope: build_conv(b,
 * "cv1", ...) in row 4 declares model.4.cv1.conv.weight, model.4.cv1.bn.weight, ... Parameters appear in files in the
 * order in which they are declared; a module whose reference declares a layer before one that runs earlier says so with
 * build_conv_declare(). After the first failure every helper returns a void value: modules need not check. Failures of
 * a module itself: graph_fail(b->g, DYN_SHAPE, "..."). */
#ifndef MODEL_BUILDER_H
#define MODEL_BUILDER_H

#include "graph/graph.h"

/* ---- activations --------------------------------------------------------------------------------------------- */

typedef enum ActKind { ACT_DEFAULT, ACT_NONE, ACT_OP } ActKind;

typedef struct Act {
    ActKind kind;   /* ACT_DEFAULT: the model's, SiLU unless the YAML says otherwise */
    const char *op; /* ACT_OP: the operator's name */
    double slope;   /* leaky_relu */
} Act;

/* One of a fixed vocabulary, as PyTorch spells it: "nn.SiLU()", "nn.LeakyReLU(0.1)", "ReLU". Nothing is evaluated.
 * false when it is not in it. */
bool act_parse(const char *text, Act *act);
/* "nn.SiLU, nn.ReLU, ..." for messages. */
const char *act_names(void);

/* ---- builder ------------------------------------------------------------------------------------------------- */

enum { MAX_LEVELS = 8, MAX_REPEAT = 60, MAX_INTS = 16 };

/* What the last row leaves behind: raw maps per level (box [N,4*reg_max,h,w], cls [N,nc,h,w]; logits). */
typedef struct Head {
    int n_level;
    int64_t nc, reg_max;
    Value box[MAX_LEVELS], cls[MAX_LEVELS];
    int64_t stride[MAX_LEVELS]; /* input pixels per cell */
} Head;

typedef struct Builder {
    Graph *g;
    Act act;                    /* what ACT_DEFAULT means */
    double bn_eps, bn_momentum; /* of every BatchNorm2d (1e-3, 0.03) */
    int64_t nc, reg_max;        /* of the model; a module's argument text `nc` means the first */
    bool depthwise_cls;         /* Detect: class branch of the families after v8 */
    bool sppf_no_act;           /* SPPF: first convolution without activation (reference 8.4.0 and later) */
    double box_bias;            /* Detect: initial bias of the box logits */
    int n_leaf;                 /* parameterless layers so far, as the reference's summary counts them */
    bool shared_act;            /* the default activation, one shared layer there, is used */
    int64_t nominal;            /* height and width at which types are known while building */
    Head head;                  /* n_level 0 until a head was built */
    struct Model *model;        /* takes the warnings; may be NULL */
} Builder;

/* What is allowed but unwise, one sentence: `info` and `train` print it once, with file, line and row before it. */
void build_warn(Builder *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* A layer without parameters that the reference has as a module of its own (pool, upsample, own activation):
 * "129 layers" counts them. */
void build_leaf(Builder *b);

typedef struct ConvOpt {
    int64_t c_out;
    int64_t k, stride, groups, dilation; /* 0 means 1 */
    int64_t pad;                         /* used when pad_given; else build_same_pad */
    bool pad_given;
    bool zero; /* the weights begin at 0 */
    Act act;
} ConvOpt;

/* Fails when groups do not divide both. */
bool build_groups_fit(Builder *b, int64_t c_in, int64_t c_out, int64_t groups);

/* Padding of a convolution that is "same": dilation (k - 1) / 2, rounded up for even k as the reference does. */
int64_t build_same_pad(int64_t k, int64_t dilation);
/* graph_push of a layer's name; "": the scope stays. For graph_pop. */
const char *build_scope(Builder *b, const char *name);

/* Conv: convolution without bias, BatchNorm2d, activation. x [N,C,H,W] -> [N,c_out,H',W']. Declares, in this order,
 * NAME.conv.weight NAME.bn.{weight,bias,running_mean,running_var,num_batches_tracked}. name "" declares them in the
 * scope itself. */
Value build_conv(Builder *b, const char *name, Value x, ConvOpt o);
/* Only the parameters; a later build_conv of the same name and shapes uses them. */
void build_conv_declare(Builder *b, const char *name, int64_t c_in, ConvOpt o);

/* nn.Conv2d: NAME.weight and, if bias, NAME.bias with the initial value given (uniform as the framework's default when
 * bias_init is NAN). The result is f32 also in a bf16 program when wide. o.act is not applied; pad defaults to 0. */
Value build_conv2d(Builder *b, const char *name, Value x, ConvOpt o, bool bias, double bias_init, bool wide);
/* nn.BatchNorm2d: NAME.{weight,bias,running_mean,running_var,num_batches_tracked}. */
Value build_batchnorm(Builder *b, const char *name, Value x);
/* A temperature or the like, [1,1,1,1] f32: NAME is saved with the model, moved by the trainer, copied by its moving
 * average. Fails where the steps of s do not lead from start to end. */
Value build_schedule(Builder *b, const char *name, ScheduleSpec s);
Value build_act(Builder *b, Value x, Act act);
Value build_add(Builder *b, Value x, Value y);
/* Along channels. n_in at most 64. */
Value build_concat(Builder *b, const Value *in, int n_in);
/* n equal channel ranges; part[0..n-1]. */
void build_split(Builder *b, Value x, int n, Value *part);
Value build_maxpool(Builder *b, Value x, int64_t k, int64_t stride, int64_t pad);
Value build_upsample(Builder *b, Value x, int64_t scale);
/* For weights of a model that has a plain Conv (or nn.Conv2d) where this layer is: parameter NAME of the current scope,
 * or all below it, begins as gain times the plain layer's tensor, "conv.weight" or "bn"; a bank [K, ...] takes it for
 * each kernel, with a little noise that sums to nothing (adapt.c). gain is such that the layer begins as the plain one.
 * To be called after the parameter is declared. */
void build_plain(Builder *b, const char *name, const char *plain, double gain);
/* A bank whose kernels are added up by gates that begin at one half, so each is 2 / experts of the plain one. */
void build_plain_gated(Builder *b, const char *name, const char *plain, int64_t experts);
/* NAME and all below it begin at zero where weights have that plain tensor: gates that stand open halfway. */
void build_plain_zero(Builder *b, const char *name, const char *plain);
/* Any operator by name; fails with the operator's name when it is not built in. */
Value build_op(Builder *b, const char *op, const Value *in, int n_in, const Attr *attr, int n_attr);

/* Input pixels per cell of a map, for heads; fails when the map's size does not divide the input's. */
int64_t build_stride(Builder *b, Value x);

/* Smallest multiple of d that is not below x (the reference's width rule). */
int64_t make_divisible(double x, int64_t d);

/* ---- modules ------------------------------------------------------------------------------------------------- */

typedef struct ModuleArgs ModuleArgs;

/* args is the module's signature: one field for each argument in the order of a row, `name:type[lo,hi]?=default`.
 *   int float bool text act   what the value must be; [lo,hi] its range, text(a|b) its choices
 *   ints                      a list of whole numbers, default written 5,9,13
 *   channels                  int, scaled by the model's width (at most one, the output channels)
 *   repeat                    not written in a row's arguments: the row's repeats after depth scaling
 *   ?                         null is allowed (arg_null)
 * A field without default must be given. */
typedef struct ModuleDef {
    const char *name; /* as rows spell it: "C2f", "nn.Upsample" */
    const char *doc;  /* one line */
    const char *args;
    int max_in; /* 0 means 1: values it takes, given by `from` */
    Value (*build)(Builder *b, const Value *in, int n_in, const ModuleArgs *a);
    const char *cases; /* "x[2,4,5,6] train=1 args=[6, 3]\n" lines (tests/module_case.h): the suite runs them; NULL */
} ModuleDef;

/* Arguments by the names of the signature; a name that it does not declare is a broken invariant. */
int64_t arg_int(const ModuleArgs *a, const char *name);
double arg_float(const ModuleArgs *a, const char *name);
bool arg_bool(const ModuleArgs *a, const char *name);
const char *arg_text(const ModuleArgs *a, const char *name);
Act arg_act(const ModuleArgs *a, const char *name);
bool arg_null(const ModuleArgs *a, const char *name);
/* Items of an `ints` argument. */
int arg_ints(const ModuleArgs *a, const char *name, const int64_t **items);
/* "SPPF[c_out, k=5]", for messages. */
const char *arg_signature(const ModuleArgs *a);

int modules_count(void);
const ModuleDef *modules_at(int i);
const ModuleDef *modules_find(const char *name); /* NULL when there is none */

#endif
