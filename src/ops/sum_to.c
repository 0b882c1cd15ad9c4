/* SPDX-License-Identifier: Apache-2.0
 *
 * sum_to - x summed over every dimension in which like has size 1, in the type of like (whose data is not used): the
 * adjoint of broadcasting. Ranks are equal. Accumulates in F64. With equal types it is the identity. */
#include "ops/ops_util.h"

static Status infer(Infer *c)
{
    const Shape *x = &c->in[0].shape, *like = &c->in[1].shape;
    char s[96], t[96];
    bool fits = x->rank == like->rank;
    for (int d = 0; fits && d < x->rank; d++)
        fits = like->dim[d] == x->dim[d] || like->dim[d] == 1;
    if (!fits)
        return infer_fail(c, "%s cannot be summed to %s", shape_text(x, s, sizeof s), shape_text(like, t, sizeof t));
    return infer_like(c, 1);
}

static void ref(const RefCall *c)
{
    for (int64_t i = 0, n = tensor_count(&c->out[0]); i < n; i++)
        tensor_set(&c->out[0], i, sum_block(&c->in[0], &c->out[0], i));
}

static Cost cost(const Node *n, const Type *in, const Type *out)
{
    return (Cost) { count_of(&in[0]) - count_of(&out[0]), 0 };
}

/* Nothing was broadcast after all: the same values. */
static int64_t view(const Node *n, const Type *in, const Type *out, int k)
{
    return shape_eq(&in[0].shape, &out[0].shape) && in[0].dtype == out[0].dtype ? 0 : -1;
}

const OpDef op_sum_to = { .name = "sum_to",
                          .doc = "sum over broadcast dimensions",
                          .in = "x like",
                          .out = "y",
                          .view = view,
                          .shape_only = 1 << 1,
                          .infer = infer,
                          .ref = ref,
                          .cost = cost,
                          .cases = "x[2,3,4,5] like[1,3,1,1]\nx[3,3,2,1] like[3,3,2,1]\nx[1,7] like[1,1]\n" };
