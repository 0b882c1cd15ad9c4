/* SPDX-License-Identifier: Apache-2.0
 *
 * matmul - batched matrix product: a [...,M,K] b [...,K,N] -> y [...,M,N], equal ranks of 2 or more, leading dimensions
 * equal or 1. ta=1 reads a as [...,K,M], tb=1 reads b as [...,N,K]. y has the dtype of a; out=f32 keeps accumulators as
 * f32 (gradients of parameters). Gradients are products with the transposes. */
#include "ops/ops_util.h"

static Status infer(Infer *c)
{
    const Shape *a = &c->in[0].shape, *b = &c->in[1].shape;
    int r = a->rank;
    bool ta = attr_int(c->n, "ta"), tb = attr_int(c->n, "tb"), fits = r >= 2 && b->rank == r;
    c->out[0] = c->in[0];
    c->out[0].rowmajor = false;
    if (attr_is(c->n, "out", "f32")) c->out[0].dtype = wide_dtype(c->in[0].dtype);
    for (int d = 0; fits && d < r - 2; d++) {
        fits &= a->dim[d] == b->dim[d] || a->dim[d] == 1 || b->dim[d] == 1;
        c->out[0].shape.dim[d] = MAX(a->dim[d], b->dim[d]);
    }
    if (!fits || a->dim[ta ? r - 2 : r - 1] != b->dim[tb ? r - 1 : r - 2]) {
        char s[96], t[96];
        return infer_fail(c, "%s%s and %s%s do not fit", shape_text(a, s, sizeof s), ta ? " transposed" : "",
                          shape_text(b, t, sizeof t), tb ? " transposed" : "");
    }
    c->out[0].shape.dim[r - 2] = a->dim[ta ? r - 1 : r - 2];
    c->out[0].shape.dim[r - 1] = b->dim[tb ? r - 2 : r - 1];
    return DYN_OK;
}

static Value product(Grad *c, Value a, bool ta, Value b, bool tb, int i)
{
    const char *out = value_node(c->g, c->in[i])->kind == NODE_PARAM ? "f32" : "act";
    Value v = EMIT(c->g, matmul, INS(a, b), ATTRS(A_INT("ta", ta), A_INT("tb", tb), A_TEXT("out", out)));
    return sum_like(c, v, i);
}

static void grad(Grad *c)
{
    Value dy = c->dy[0], a = c->in[0], b = c->in[1];
    bool ta = attr_int(c->n, "ta"), tb = attr_int(c->n, "tb");
    if (!dy.id) return;
    if (c->need[0]) c->dx[0] = ta ? product(c, b, tb, dy, true, 0) : product(c, dy, false, b, !tb, 0);
    if (c->need[1]) c->dx[1] = tb ? product(c, dy, true, a, ta, 1) : product(c, a, !ta, dy, false, 1);
}

/* t with its last two dimensions swapped when asked, its leading ones repeated to those of y. */
static Tensor operand(const Tensor *t, bool swap, const Tensor *y)
{
    Tensor m = *t, like = *y;
    int r = t->rank;
    if (swap) {
        m.dim[r - 2] = t->dim[r - 1], m.stride[r - 2] = t->stride[r - 1];
        m.dim[r - 1] = t->dim[r - 2], m.stride[r - 1] = t->stride[r - 2];
    }
    like.dim[r - 2] = m.dim[r - 2];
    like.dim[r - 1] = m.dim[r - 1];
    return repeated(&m, &like);
}

static void ref(const RefCall *c)
{
    Tensor *y = &c->out[0];
    Tensor a = operand(&c->in[0], attr_int(c->n, "ta"), y), b = operand(&c->in[1], attr_int(c->n, "tb"), y);
    int r = y->rank;
    int64_t M = y->dim[r - 2], N = y->dim[r - 1], K = a.dim[r - 1];
    for (int64_t i = 0, n = tensor_count(y); i < n; i++) {
        int64_t batch = i / N / M, row = i / N % M, column = i % N;
        double sum = 0;
        for (int64_t k = 0; k < K; k++)
            sum += tensor_get(&a, (batch * M + row) * K + k) * tensor_get(&b, (batch * K + k) * N + column);
        tensor_set(y, i, sum);
    }
}

static double macs(const Node *n, const Type *in, const Type *out)
{
    int r = in[0].shape.rank;
    return count_of(&out[0]) * (double)in[0].shape.dim[attr_int(n, "ta") ? r - 2 : r - 1];
}

static Cost cost(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { 2 * macs(n, in, out), 0 };
}

const OpDef op_matmul = { .name = "matmul",
                          .doc = "batched matrix product",
                          .in = "a b",
                          .out = "y",
                          .attrs = "ta=0 tb=0 out=act",
                          .infer = infer,
                          .grad = grad,
                          .ref = ref,
                          .cost = cost,
                          .macs = macs,
                          .cases = "a[3,5] b[5,7]\na[1,5] b[7,5] tb=1\na[3,5,4] b[3,5,3] ta=1\n"
                                   "a[2,5,3] b[1,2,5] ta=1 tb=1\na[1,3,2,5] b[3,1,5,4]\na[1,1,17] b[1,17,1]\n" };
