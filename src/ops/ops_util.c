/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of operators, made from the folder, the named activations, and what elementwise operators share. */
#include "ops/ops_util.h"

#include <math.h>

static const OpDef *const primary[] = {
#define X(name) &op_##name,
#include <ops.gen.h>
#undef X
};

int ops_count(void)
{
    int n = 0;
    for (size_t i = 0; i < COUNT_OF(primary); i++)
        for (const OpDef *op = primary[i]; op; op = op->also)
            n++;
    return n;
}

const OpDef *ops_at(int i)
{
    for (size_t k = 0; k < COUNT_OF(primary); k++)
        for (const OpDef *op = primary[k]; op; op = op->also)
            if (i-- == 0) return op;
    return NULL;
}

const OpDef *ops_find(const char *name)
{
    const OpDef *op;
    for (int i = 0; (op = ops_at(i)); i++)
        if (str_eq(op->name, name)) return op;
    return NULL;
}

/* ---- activations ---------------------------------------------------------------------------------------------- */

static double sigmoid(double z)
{
    return 1 / (1 + exp(-z));
}

static double none_value(double z)
{
    return z;
}
static double none_slope(double z)
{
    return 1;
}
static double silu_value(double z)
{
    return z * sigmoid(z);
}
static double silu_slope(double z)
{
    double s = sigmoid(z);
    return s * (1 + z * (1 - s));
}
static double relu_value(double z)
{
    return z > 0 ? z : 0;
}
static double relu_slope(double z)
{
    return z > 0;
}
static double sigmoid_slope(double z)
{
    return sigmoid(z) * sigmoid(-z);
}
static double leaky_value(double z)
{
    return z > 0 ? z : 0.01 * z;
}
static double leaky_slope(double z)
{
    return z > 0 ? 1 : 0.01;
}
static double hardswish_value(double z)
{
    return z * CLAMP(z + 3, 0, 6) / 6;
}
static double hardswish_slope(double z)
{
    return z <= -3 ? 0 : z >= 3 ? 1 : (2 * z + 3) / 6;
}
static double gelu_value(double z)
{
    return z * 0.5 * erfc(-z * M_SQRT1_2);
}
static double gelu_slope(double z)
{
    return 0.5 * erfc(-z * M_SQRT1_2) + z * exp(-0.5 * z * z) * M_SQRT1_2 * M_2_SQRTPI * 0.5;
}
/* From y = act(z): what the gradient of an operator reads where y tells the slope, so that z need not be kept. */
static double relu_slope_of_y(double y)
{
    return y > 0;
}
static double sigmoid_slope_of_y(double y)
{
    return y * (1 - y);
}
static double tanh_slope_of_y(double y)
{
    return 1 - y * y;
}
static double tanh_slope(double z)
{
    double t = tanh(z);
    return 1 - t * t;
}
/* log(1 + e^z) without overflow */
static double softplus(double z)
{
    return MAX(z, 0) + log1p(exp(-fabs(z)));
}
static double mish_value(double z)
{
    return z * tanh(softplus(z));
}
static double mish_slope(double z)
{
    double t = tanh(softplus(z));
    return t + z * (1 - t * t) * sigmoid(z);
}

static const struct {
    const char *name;
    double (*value)(double z), (*slope)(double z), (*slope_of_y)(double y); /* the last NULL: y does not tell it */
    int flops, grad_flops;
} acts[] = {
    { "none", none_value, none_slope, NULL, 0, 0 },
    { "silu", silu_value, silu_slope, NULL, 4, 8 },
    { "relu", relu_value, relu_slope, relu_slope_of_y, 1, 1 },
    { "sigmoid", sigmoid, sigmoid_slope, sigmoid_slope_of_y, 3, 3 },
    { "leaky_relu", leaky_value, leaky_slope, NULL, 2, 2 },
    { "hardswish", hardswish_value, hardswish_slope, NULL, 5, 9 },
    { "gelu", gelu_value, gelu_slope, NULL, 4, 8 },
    { "tanh", tanh, tanh_slope, tanh_slope_of_y, 1, 3 },
    { "mish", mish_value, mish_slope, NULL, 5, 9 },
};

static size_t act_index(const char *act)
{
    size_t i = 0;
    while (i < COUNT_OF(acts) && !str_eq(acts[i].name, act))
        i++;
    return i;
}

bool act_known(const char *act)
{
    return act_index(act) < COUNT_OF(acts);
}

double act_value(const char *act, double z)
{
    return acts[act_index(act)].value(z);
}

double act_slope(const char *act, double z)
{
    return acts[act_index(act)].slope(z);
}

double act_flops(const char *act)
{
    return acts[act_index(act)].flops;
}

/* ---- elementwise ---------------------------------------------------------------------------------------------- */

Status infer_like(Infer *c, int input)
{
    c->out[0] = c->in[input];
    return DYN_OK;
}

Status infer_same(Infer *c)
{
    return infer_like(c, 0);
}

Status infer_pair(Infer *c)
{
    char s[96], t[96];
    if (!shape_eq(&c->in[0].shape, &c->in[1].shape))
        return infer_fail(c, "%s and %s must be equal", shape_text(&c->in[0].shape, s, sizeof s),
                          shape_text(&c->in[1].shape, t, sizeof t));
    return infer_like(c, 1);
}

void ref_unary(const RefCall *c, double (*f)(double v))
{
    for (int64_t i = 0, n = tensor_count(&c->out[0]); i < n; i++)
        tensor_set(&c->out[0], i, f(tensor_get(&c->in[0], i)));
}

void ref_slope(const RefCall *c, double (*slope)(double v))
{
    for (int64_t i = 0, n = tensor_count(&c->out[0]); i < n; i++)
        tensor_set(&c->out[0], i, tensor_get(&c->in[0], i) * slope(tensor_get(&c->in[1], i)));
}

Cost cost_nothing(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { 0, 0 };
}

Cost cost_of_result(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { count_of(&out[0]), 0 };
}

Status infer_binary(Infer *c)
{
    const Type *a = &c->in[0], *b = &c->in[1];
    c->out[0] = *a;
    c->out[0].rowmajor = a->rowmajor && b->rowmajor;
    bool fits = a->shape.rank == b->shape.rank;
    for (int d = 0; fits && d < a->shape.rank; d++) {
        int64_t p = a->shape.dim[d], q = b->shape.dim[d];
        fits = p == q || p == 1 || q == 1;
        c->out[0].shape.dim[d] = MAX(p, q);
    }
    char s[96], t[96];
    return fits ? DYN_OK
                : infer_fail(c, "%s and %s do not fit: equal ranks, dimensions equal or 1",
                             shape_text(&a->shape, s, sizeof s), shape_text(&b->shape, t, sizeof t));
}

Tensor repeated(const Tensor *t, const Tensor *like)
{
    Tensor r = *t;
    for (int d = 0; d < r.rank; d++) {
        if (r.dim[d] == 1) r.stride[d] = 0;
        r.dim[d] = like->dim[d];
    }
    return r;
}

void ref_binary(const RefCall *c, double (*f)(double a, double b))
{
    Tensor a = repeated(&c->in[0], &c->out[0]), b = repeated(&c->in[1], &c->out[0]);
    for (int64_t i = 0, n = tensor_count(&c->out[0]); i < n; i++)
        tensor_set(&c->out[0], i, f(tensor_get(&a, i), tensor_get(&b, i)));
}

Value sum_like(Grad *c, Value d, int i)
{
    const Type *from = value_type(c->g, d), *to = value_type(c->g, c->in[i]);
    bool same = d.id && from->dtype == to->dtype && shape_eq(&from->shape, &to->shape) && to->shape.dim[0] != 1;
    if (same && value_node(c->g, c->in[i])->kind == NODE_OP) return d;
    return EMIT(c->g, sum_to, INS(d, c->in[i]), NO_ATTRS);
}

double sum_block(const Tensor *x, const Tensor *y, int64_t i)
{
    Tensor block = *x;
    int64_t at = 0;
    double sum = 0;
    for (int d = x->rank - 1; d >= 0; d--) {
        at += i % y->dim[d] * x->stride[d];
        i /= y->dim[d];
        if (y->dim[d] != 1) block.dim[d] = 1;
    }
    block.data = (char *)x->data + (size_t)at * dtype_bytes(x->dtype);
    for (int64_t k = 0, n = tensor_count(&block); k < n; k++)
        sum += tensor_get(&block, k);
    return sum;
}

int attr_list(const Node *n, const char *name, int64_t *list, int max)
{
    const char *s = attr_text(n, name);
    int count = 0;
    if (!*s) return max < 1 ? -1 : (list[0] = attr_int(n, name), 1);
    for (;; s++) {
        size_t len = strcspn(s, ",");
        char item[32] = "";
        if (count == max || len >= sizeof item) return -1;
        memcpy(item, s, len);
        if (!str_to_int(item, &list[count++])) return -1;
        if (!*(s += len)) return count;
    }
}

/* Bit d: dimension d is reduced; 0 when dims is no list of different dimensions of a rank-r tensor. */
static unsigned reduced(const Node *n, int rank)
{
    int64_t dims[MAX_RANK];
    unsigned mask = 0;
    int count = attr_list(n, "dims", dims, MAX_RANK);
    for (int i = 0; i < count; i++) {
        if (dims[i] < 0 || dims[i] >= rank || mask >> dims[i] & 1) return 0;
        mask |= 1u << dims[i];
    }
    return mask;
}

static Status reduced_type(Infer *c, const Type *x, Type *y)
{
    unsigned mask = reduced(c->n, x->shape.rank);
    bool keep = attr_int(c->n, "keep");
    if (!mask)
        return infer_fail(c, "dims=%s are no dimensions of a rank-%d tensor", attr_text(c->n, "dims"), x->shape.rank);
    *y = *x;
    y->rowmajor = false;
    y->shape.rank = 0;
    for (int d = 0; d < x->shape.rank; d++)
        if (keep || !(mask >> d & 1)) y->shape.dim[y->shape.rank++] = mask >> d & 1 ? 1 : x->shape.dim[d];
    if (y->shape.rank == 0) y->shape = SHAPE(1);
    return DYN_OK;
}

Status infer_reduce(Infer *c)
{
    return reduced_type(c, &c->in[0], &c->out[0]);
}

Status infer_reduce_grad(Infer *c)
{
    Type y;
    TRY(reduced_type(c, &c->in[1], &y));
    if (!shape_eq(&c->in[0].shape, &y.shape)) return infer_fail(c, "dy is not of the result's shape");
    return infer_like(c, 1);
}

Tensor kept(const Node *n, const Tensor *y, const Tensor *x)
{
    Tensor k = *y;
    unsigned mask = reduced(n, x->rank);
    if (attr_int(n, "keep")) return k;
    k.rank = x->rank;
    for (int d = 0, from = 0; d < x->rank; d++) {
        bool gone = mask >> d & 1;
        k.dim[d] = gone ? 1 : y->dim[from];
        k.stride[d] = gone ? 0 : y->stride[from++];
    }
    return k;
}

void act_op_grad(Grad *c)
{
    Value v = acts[act_index(c->n->op->name)].slope_of_y ? c->out[0] : c->in[0];
    if (c->dy[0].id) c->dx[0] = graph_emit(c->g, c->n->op->also, INS(c->dy[0], v), NO_ATTRS);
}

void act_op_ref(const RefCall *c)
{
    for (int64_t i = 0, n = tensor_count(&c->out[0]); i < n; i++)
        tensor_set(&c->out[0], i, act_value(c->n->op->name, tensor_get(&c->in[0], i)));
}

Cost act_op_cost(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { act_flops(n->op->name) * count_of(&out[0]), 0 };
}

/* "silu_grad" -> the row of silu */
static size_t act_of_grad(const Node *n)
{
    char name[32];
    snprintf(name, sizeof name, "%.*s", (int)(strlen(n->op->name) - strlen("_grad")), n->op->name);
    return act_index(name);
}

void act_op_grad_ref(const RefCall *c)
{
    size_t i = act_of_grad(c->n);
    ref_slope(c, acts[i].slope_of_y ? acts[i].slope_of_y : acts[i].slope);
}

Cost act_op_grad_cost(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { acts[act_of_grad(n)].grad_flops * count_of(&out[0]), 0 };
}
