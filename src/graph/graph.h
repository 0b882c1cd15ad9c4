/* SPDX-License-Identifier: Apache-2.0
 *
 * graph - the intermediate representation: what is computed, never how. Building a graph computes nothing.
 *
 *   node    an operator with inputs, attributes, and one or more outputs; or a leaf: input, parameter, constant
 *   value   one output of a node; void (id 0) stands for "none" and is what everything returns after the first failure
 *   type    dtype and logical shape of a value; known only for a Binding (batch, height, width, precision)
 *
 * Shapes are logical, in PyTorch's order: images [N,C,H,W], convolution weights [O,I,kh,kw]. In memory, rank-4 values
 * that are not parameters lie channels-last (N,H,W,C); everything else is row-major. A graph is built once with N, H, W
 * unbound: leaves carry symbols, operators carry only attributes that hold for any size, graph_bind() computes every
 * type for one binding.
 *
 * This room never names an operator: see src/ops/. Nodes are in topological order by construction. */
#ifndef GRAPH_H
#define GRAPH_H

#include "base/dtype.h"

enum { MAX_RANK = 6 };

typedef struct Shape {
    int rank;
    int64_t dim[MAX_RANK];
} Shape;
#define SHAPE(...) shape_make((const int64_t[]) { __VA_ARGS__ }, (int)COUNT_OF(((const int64_t[]) { __VA_ARGS__ })))
Shape shape_make(const int64_t *dim, int rank);
int64_t shape_count(const Shape *s); /* number of elements; -1 when it overflows int64 */
bool shape_eq(const Shape *a, const Shape *b);
/* "[1,3,640,640]" into buf, returns buf. */
char *shape_text(const Shape *s, char *buf, size_t n);

typedef struct Type {
    DType dtype;
    bool rowmajor; /* rank 4 stored as written (parameters) instead of channels-last; meaningless for other ranks */
    Shape shape;
} Type;
size_t type_bytes(const Type *t);

/* Symbols that may stand for a dimension of an input leaf. */
enum { DIM_BATCH = -1, DIM_HEIGHT = -2, DIM_WIDTH = -3, DIM_TARGETS = -4 };

/* What a graph is bound to when a program is compiled. targets: room for labels in a training batch. */
typedef struct Binding {
    int64_t batch, height, width, targets;
    DType act; /* dtype of activations: F32, BF16 or F64 (tests) */
} Binding;

typedef struct Value {
    int32_t id;
} Value;
static inline bool value_ok(Value v)
{
    return v.id > 0;
}

typedef struct Attr {
    const char *name;
    enum { ATTR_INT, ATTR_FLOAT, ATTR_TEXT } kind;
    int64_t i;
    double f;
    const char *s;
} Attr;
#define A_INT(n, v) ((Attr) { .name = (n), .kind = ATTR_INT, .i = (v) })
#define A_FLOAT(n, v) ((Attr) { .name = (n), .kind = ATTR_FLOAT, .f = (v) })
#define A_TEXT(n, v) ((Attr) { .name = (n), .kind = ATTR_TEXT, .s = (v) })

/* Where a node comes from: printed in errors and tables. file may be NULL. */
typedef struct Origin {
    const char *file;
    int line, row; /* row: layer index in the model YAML, -1 when none */
} Origin;

typedef struct OpDef OpDef;
typedef struct Graph Graph;
typedef struct Node Node;

typedef enum NodeKind { NODE_OP, NODE_INPUT, NODE_PARAM, NODE_CONST } NodeKind;

struct Node {
    NodeKind kind;
    const OpDef *op; /* NODE_OP */
    int id;          /* index in the graph */
    int n_in, n_out; /* inputs may be void */
    Value *in, out;  /* outputs are consecutive ids from out on */
    Attr *attr;
    int n_attr;
    const char *name; /* scope path, e.g. "model.4.m.0.cv1.conv"; for leaves the leaf's own name */
    Origin origin;
    Type leaf;        /* leaves: type, dimensions may be symbols (inputs) */
    int param;        /* NODE_PARAM: index into the graph's parameters */
    const void *data; /* NODE_CONST: row-major bytes */
};

/* ---- parameters --------------------------------------------------------------------------------------------- */

typedef enum ParamKind {
    PARAM_WEIGHT,   /* decayed: convolution and linear weights, expert banks */
    PARAM_NORM,     /* weight of a normalisation layer: no decay */
    PARAM_BIAS,     /* any bias: no decay, own warm-up */
    PARAM_STATE,    /* not trained: running statistics; written by training operators, blended by the EMA */
    PARAM_FIXED,    /* not trained, never changes (the DFL's 0..15); in files because the reference has it there */
    PARAM_BUFFER,   /* not trained, never changes, counts as no parameter: what it is initialised to. In files because
                       the reference has it there, not missed where it is absent */
    PARAM_SCHEDULE, /* not trained: one number that the trainer moves (a temperature); the EMA copies it */
    PARAM_COUNT, /* int64 counter of the reference's BatchNorm, kept for file compatibility; no storage in the slab */
    N_PARAM_KIND
} ParamKind;

/* Trained unless it is frozen. */
static inline bool param_trains(ParamKind k)
{
    return k == PARAM_WEIGHT || k == PARAM_NORM || k == PARAM_BIAS;
}

/* How a PARAM_SCHEDULE falls while a model is trained: from start to end, by one of the two rules. */
typedef struct ScheduleSpec {
    double start, end;
    double step;      /* > 0: less by this with every epoch */
    double epochs;    /* > 0: linear in iterations over the first so many epochs */
    double published; /* where the reference leaves it, which moves it by hand or not at all and keeps it in no file */
} ScheduleSpec;

typedef enum InitKind {
    INIT_CONST,    /* a */
    INIT_UNIFORM,  /* (-a, a) */
    INIT_NORMAL,   /* mean 0, standard deviation a */
    INIT_ARANGE,   /* 0, 1, 2, ... */
    INIT_SUBPIXEL, /* centres of the a x a parts of a pixel, in pixels from its own: columns, then rows: [2][..][a][a]
                    */
    N_INIT_KIND
} InitKind;
typedef struct Init {
    InitKind kind;
    double a;
} Init;

typedef struct ParamSpec {
    const char *name; /* the checkpoint's key: "model.0.conv.weight" */
    ParamKind kind;
    Shape shape;
    Shape file_shape; /* in files; the same elements in the same order */
    Init init;
    int64_t offset;        /* of the first element in the f32 slab; -1 for PARAM_COUNT */
    bool trainable;        /* false for STATE, FIXED, BUFFER, SCHEDULE, COUNT and frozen rows */
    Value value;           /* in the graph it was declared in; void for PARAM_COUNT */
    ScheduleSpec schedule; /* PARAM_SCHEDULE */
} ParamSpec;

/* Counts as one of a model's parameters: weights, biases and what is fixed, but no state. */
static inline bool param_counts(const ParamSpec *p)
{
    return p->kind == PARAM_WEIGHT || p->kind == PARAM_NORM || p->kind == PARAM_BIAS || p->kind == PARAM_FIXED;
}

/* One slab of f32 for every parameter and state, each at ParamSpec.offset (a multiple of 16 elements). Gradients,
 * momenta and the EMA are slabs of the same form. */
typedef struct Slab {
    float *data;
    int64_t n; /* elements, padding included */
} Slab;
Status slab_new(const Graph *g, Slab *s, Error *err); /* zeroed */
void slab_free(Slab *s);
/* Initial values, a function of (seed, parameter name) only. */
void slab_init(const Graph *g, Slab *s, uint64_t seed);
/* Those alone that no random number is drawn for: enough where the others are about to be read from a file. */
void slab_init_known(const Graph *g, Slab *s);

/* ---- building ----------------------------------------------------------------------------------------------- */

Status graph_new(Graph **g, Error *err);
/* Empty, with the parameter list (indices, offsets) and nominal binding of src: where a pass builds its result. */
Status graph_new_like(const Graph *src, Graph **out, Error *err);
void graph_free(Graph **g);
Arena *graph_arena(Graph *g); /* lives as long as the graph */
/* The first failure while building, or DYN_OK. */
Status graph_status(const Graph *g, Error *err);
/* Records a failure with the origin of the node or row; later builders return void at once. */
void graph_fail(Graph *g, Status s, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Types at build time are those of this nominal binding: only channels may be read off them. Default 1x3x640x640 f32.
 */
void graph_nominal(Graph *g, const Binding *b);
void graph_set_origin(Graph *g, Origin o);
/* Scope: a dotted prefix for names of nodes and parameters. push returns the old scope to hand back to pop. */
const char *graph_push(Graph *g, const char *fmt, ...) PRINTF_LIKE(2, 3);
void graph_pop(Graph *g, const char *old);
const char *graph_scope(const Graph *g);

Value graph_input(Graph *g, const char *name, Type t); /* dims may be symbols */
/* The same name twice is the same parameter (shapes must agree). The scope is put before the name. */
Value graph_param(Graph *g, const char *name, ParamKind kind, Shape shape, Init init);
/* A PARAM_SCHEDULE [1,1,1,1], f32 for every binding, that begins at s.start. */
Value graph_schedule(Graph *g, const char *name, ScheduleSpec s);
/* In files, parameter v has another shape of as many elements (a linear layer's [O,C] is a 1x1 convolution here). */
void graph_param_file_shape(Graph *g, Value v, Shape shape);
/* Adds to the parameter list without a value (PARAM_COUNT). */
void graph_counter(Graph *g, const char *name);
Value graph_const(Graph *g, Type t, const void *data); /* copies */
/* Appends an operator; inputs may be void, or left out at the end, where the operator allows it: the node has all that
 * the operator names. Returns output 0; output k is value_at(v, k).
 */
Value graph_emit(Graph *g, const OpDef *op, const Value *in, int n_in, const Attr *attr, int n_attr);
/* Copies node n of another graph (its op, attributes, name, origin) with new inputs; leaves are copied when in is NULL.
 */
Value graph_copy(Graph *g, const Node *n, const Value *in);
static inline Value value_at(Value v, int k)
{
    return (Value) { v.id ? v.id + k : 0 };
}
/* Names a value as a result of the graph: what dead-code elimination keeps and a program can be asked for. */
void graph_output(Graph *g, const char *name, Value v);

#define INS(...) (const Value[]) { __VA_ARGS__ }, (int)COUNT_OF(((const Value[]) { __VA_ARGS__ }))
#define ATTRS(...) (const Attr[]) { __VA_ARGS__ }, (int)COUNT_OF(((const Attr[]) { __VA_ARGS__ }))
#define NO_ATTRS NULL, 0

/* ---- reading ------------------------------------------------------------------------------------------------ */

int graph_n_nodes(const Graph *g);
const Node *graph_node(const Graph *g, int i);
int graph_n_values(const Graph *g); /* ids run from 1 to this */
const Node *value_node(const Graph *g, Value v);
int value_index(const Graph *g, Value v);          /* which output of its node */
const Type *value_type(const Graph *g, Value v);   /* at the nominal binding */
int64_t value_dim(const Graph *g, Value v, int d); /* nominal; 0 for void */
int graph_n_params(const Graph *g);
ParamSpec *graph_param_spec(const Graph *g, int i);
int graph_find_param(const Graph *g, const char *name); /* -1 when there is none */
int graph_n_outputs(const Graph *g);
const char *graph_output_name(const Graph *g, int i);
Value graph_output_value(const Graph *g, int i);
Value graph_find_output(const Graph *g, const char *name); /* void when there is none */

/* Attribute of a node (defaults are filled in when it is emitted); a name that the operator does not declare is a
 * broken invariant. */
int64_t attr_int(const Node *n, const char *name);
double attr_float(const Node *n, const char *name);
const char *attr_text(const Node *n, const char *name);
bool attr_is(const Node *n, const char *name, const char *text);

/* Types of all values for a binding: types[value id], types[0] unused; lives in the arena. */
Status graph_bind(const Graph *g, const Binding *b, Arena *a, Type **types, Error *err);
/* All of a graph, one parameter, node or output a line ("model.0.conv: conv2d %1[1,3,640,640] %2[16,3,3,3] - - stride=2
 * pad=1 -> %3:F32[1,16,320,320]"); src/graph/text.c shows the form. types may be NULL (nominal). Text lives in the
 * arena; NULL when there is no memory. */
char *graph_text(const Graph *g, const Type *types, Arena *a);
char *node_text(const Graph *g, const Node *n, const Type *types, Arena *a);

typedef const OpDef *GraphOpFn(const char *name); /* NULL when there is none */
/* The graph that graph_text (types NULL) made this text of: its text is the same again. Nothing is trusted: DYN_FORMAT,
 * or what an operator says of its inputs, with file and line; file is for messages and the nodes' origins. find: the
 * operators, which this room does not know (ops_find). */
Status graph_parse(const char *file, const char *text, size_t n, GraphOpFn *find, Graph **out, Error *err);

/* ---- what an operator is (src/ops/ONE FILE PER OPERATOR) ---------------------------------------------------- */

/* A view of memory; owns nothing. Strides in elements, in logical order. */
typedef struct Tensor {
    void *data;
    DType dtype;
    int rank;
    int64_t dim[MAX_RANK], stride[MAX_RANK];
} Tensor;
Tensor tensor_view(void *data, const Type *t); /* dense, in the layout that the type says */
int64_t tensor_count(const Tensor *t);

/* Of element i in row-major logical order: its offset in elements, its value. For plain code, not for fast code. */
static inline int64_t tensor_offset(const Tensor *t, int64_t i)
{
    int64_t at = 0;
    for (int d = t->rank - 1; d >= 0; d--) {
        at += i % t->dim[d] * t->stride[d];
        i /= t->dim[d];
    }
    return at;
}

static inline double tensor_get(const Tensor *t, int64_t i)
{
    return dtype_load(t->data, t->dtype, tensor_offset(t, i));
}

static inline void tensor_set(const Tensor *t, int64_t i, double v)
{
    dtype_store(t->data, t->dtype, tensor_offset(t, i), v);
}

typedef struct Infer {
    const Node *n;
    const Binding *bind;
    const Type *in; /* one per input; void inputs have rank -1 */
    Type *out;      /* one per output */
    Error *err;
} Infer;

typedef struct Grad {
    Graph *g;
    const Node *n;
    const Value *in, *out; /* of n, in g */
    const Value *dy;       /* gradient of each output; void where none flows */
    Value *dx;             /* to be set for each input with need[i]; void means zero */
    const bool *need;
} Grad;

typedef struct Cost {
    double flops;    /* true: 2 per multiply-accumulate, 1 per other operation */
    double profiler; /* multiply-accumulates that a module-hook profiler counts (spec 2.10) */
} Cost;

typedef struct RefCall {
    const Node *n;
    const Tensor *in; /* void inputs have data NULL */
    Tensor *out;
} RefCall;

enum {
    OP_INPLACE = 1, /* output 0 may lie in input 0's memory */
    OP_GATHER = 2   /* the inputs side by side along attribute dim: free for dim=1 where producers write in place */
};

struct OpDef {
    const char *name;
    const char *doc; /* one line */
    const char *in;  /* "x w b?": names; '?' optional, "x*" any number */
    const char *out; /* "y mean rstd"; "y*": as many as attribute n_out says */
    /* "stride=1 eps=1e-3 act=none": names with defaults, an int, a float (has . or e) or a text without spaces */
    const char *attrs;
    unsigned flags;
    uint32_t updates;    /* bit i: input i (a PARAM_STATE) is written when the node runs */
    uint32_t shape_only; /* bit i: of input i only the type is used, never the data */
    Status (*infer)(Infer *c);
    void (*grad)(Grad *c); /* NULL: no gradient flows through */
    void (*ref)(const RefCall *c);
    Cost (*cost)(const Node *n, const Type *in, const Type *out);
    /* Multiply-accumulates among the operations that cost counts: convolutions, products, mixing of kernels, taps of an
     * interpolation; what papers call FLOPs is twice that. NULL: none. */
    double (*macs)(const Node *n, const Type *in, const Type *out);
    /* Image output k is the channels of input 0 from the returned one on, and nothing is computed; -1 (or NULL): it is
     * not. */
    int64_t (*view)(const Node *n, const Type *in, const Type *out, int k);
    const OpDef *also; /* a companion defined in the same file (its gradient), listed in the table too */
    const char *cases; /* "x[2,6,3,3] dim=1 lo=0 hi=3\n" lines: tests, benches and fuzzers read them */
};

/* For infer: "conv2d 'model.3.conv' (yolov8.yaml:12, row 3): " and the message. */
Status infer_fail(Infer *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
