/* SPDX-License-Identifier: Apache-2.0
 *
 * transpose - logical dimensions in another order: dimension d of y is dimension perm[d] of x. */
#include "ops/ops_util.h"

/* perm as numbers; false when it is no permutation of rank dimensions. */
static bool read_perm(const Node *n, int rank, int64_t *perm)
{
    unsigned seen = 0;
    if (attr_list(n, "perm", perm, MAX_RANK) != rank) return false;
    for (int d = 0; d < rank; d++) {
        if (perm[d] < 0 || perm[d] >= rank) return false;
        seen |= 1u << perm[d];
    }
    return seen == (1u << rank) - 1;
}

static Status infer(Infer *c)
{
    int64_t perm[MAX_RANK];
    if (!read_perm(c->n, c->in[0].shape.rank, perm))
        return infer_fail(c, "perm=%s is no permutation of the %d dimensions", attr_text(c->n, "perm"),
                          c->in[0].shape.rank);
    c->out[0] = c->in[0];
    c->out[0].rowmajor = false;
    for (int d = 0; d < c->in[0].shape.rank; d++)
        c->out[0].shape.dim[d] = c->in[0].shape.dim[perm[d]];
    return DYN_OK;
}

static void grad(Grad *c)
{
    int64_t perm[MAX_RANK];
    char back[2 * MAX_RANK] = "";
    int rank = value_type(c->g, c->in[0])->shape.rank;
    if (!c->dy[0].id || !read_perm(c->n, rank, perm)) return;
    for (int d = 0; d < rank; d++) {
        back[2 * perm[d]] = (char)('0' + d);
        back[2 * d + 1] = d + 1 < rank ? ',' : 0;
    }
    c->dx[0] = EMIT(c->g, transpose, INS(c->dy[0]), ATTRS(A_TEXT("perm", back)));
}

static void ref(const RefCall *c)
{
    int64_t perm[MAX_RANK];
    Tensor x = c->in[0];
    if (!read_perm(c->n, x.rank, perm)) return;
    for (int d = 0; d < x.rank; d++) {
        x.dim[d] = c->in[0].dim[perm[d]];
        x.stride[d] = c->in[0].stride[perm[d]];
    }
    for (int64_t i = 0, n = tensor_count(&c->out[0]); i < n; i++)
        tensor_set(&c->out[0], i, tensor_get(&x, i));
}

const OpDef op_transpose = { .name = "transpose",
                             .doc = "dimensions in another order",
                             .in = "x",
                             .out = "y",
                             .attrs = "perm=0,2,1",
                             .infer = infer,
                             .grad = grad,
                             .ref = ref,
                             .cost = cost_nothing,
                             .cases = "x[3,5,7]\nx[1,5,3,7] perm=0,2,3,1\nx[3,2,4,5] perm=3,0,2,1\nx[4,5] perm=1,0\n" };
