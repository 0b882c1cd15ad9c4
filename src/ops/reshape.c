/* SPDX-License-Identifier: Apache-2.0
 *
 * reshape - the same elements in row-major logical order under another shape. The shape is an expression that holds for
 * any batch and picture size: items separated by commas, each
 *   a number      that many            =k     input dimension k
 *   -1            what is left over    =a*b   the product of input dimensions a, b, ...
 * "=0,=1,=2*3" flattens space, "=0,4,-1" splits channels of a flattened map in 4. Rank-4 values lie channels-last in
 * memory, all others row-major, so this is a permuting copy in general and no view. */
#include "ops/ops_util.h"

/* "=2*3" as the product of dimensions 2 and 3 of x; false when it is not that. */
static bool product(const char *item, const Shape *x, int64_t *out)
{
    *out = 1;
    for (const char *s = item;; s += 2) {
        int k = s[1] - '0';
        if (k < 0 || k >= x->rank || __builtin_mul_overflow(*out, x->dim[k], out)) return false;
        if (s[2] == 0) return true;
        if (s[2] != '*') return false;
    }
}

static bool parse(const char *text, const Shape *x, Shape *y)
{
    y->rank = 0;
    for (const char *s = text;; s++) {
        size_t len = strcspn(s, ",");
        char item[32] = "";
        if (len == 0 || len >= sizeof item || y->rank == MAX_RANK) return false;
        memcpy(item, s, len);
        int64_t *dim = &y->dim[y->rank++];
        if (item[0] == '=' ? !product(item, x, dim) : !str_to_int(item, dim) || *dim == 0 || *dim < -1) return false;
        if (!*(s += len)) return true;
    }
}

static Status infer(Infer *c)
{
    const Shape *x = &c->in[0].shape;
    Shape *y = &c->out[0].shape;
    char text[32], shape[96];
    int64_t known = 1, total = shape_count(x);
    int open = -1;
    const char *want = attr_text(c->n, "shape");
    if (!*want) snprintf(text, sizeof text, "%lld", (long long)attr_int(c->n, "shape")), want = text;
    c->out[0] = c->in[0];
    c->out[0].rowmajor = false;
    if (!parse(want, x, y)) return infer_fail(c, "shape '%s' does not read as numbers, -1, =k or =a*b", want);
    for (int d = 0; d < y->rank; d++) {
        if (y->dim[d] == -1 && open >= 0) return infer_fail(c, "shape '%s' leaves two dimensions open", want);
        if (y->dim[d] == -1)
            open = d;
        else if (__builtin_mul_overflow(known, y->dim[d], &known))
            return infer_fail(c, "shape '%s' is too large", want);
    }
    if (open >= 0 && total % known == 0)
        y->dim[open] = total / known;
    else if (open >= 0 || known != total)
        return infer_fail(c, "%s does not fit the shape '%s'", shape_text(x, shape, sizeof shape), want);
    return DYN_OK;
}

static void grad(Grad *c)
{
    if (c->dy[0].id) c->dx[0] = graph_emit(c->g, op_reshape.also, INS(c->dy[0], c->in[0]), NO_ATTRS);
}

static void ref(const RefCall *c)
{
    for (int64_t i = 0, n = tensor_count(&c->out[0]); i < n; i++)
        tensor_set(&c->out[0], i, tensor_get(&c->in[0], i));
}

/* ---- reshape_like: x, like (only its type) -> the elements of x in the shape of like ---------------------------- */

static Status infer_as(Infer *c)
{
    DType dtype = c->in[0].dtype;
    if (shape_count(&c->in[0].shape) != shape_count(&c->in[1].shape))
        return infer_fail(c, "numbers of elements differ");
    infer_like(c, 1);
    c->out[0].dtype = dtype;
    return DYN_OK;
}

static void grad_as(Grad *c)
{
    if (c->dy[0].id) c->dx[0] = graph_emit(c->g, op_reshape.also, INS(c->dy[0], c->in[0]), NO_ATTRS);
}

static const OpDef op_reshape_like = { .name = "reshape_like",
                                       .doc = "same elements in the shape of another value",
                                       .in = "x like",
                                       .out = "y",
                                       .shape_only = 1 << 1,
                                       .infer = infer_as,
                                       .grad = grad_as,
                                       .ref = ref,
                                       .cost = cost_nothing };
const OpDef op_reshape = { .name = "reshape",
                           .doc = "same elements under another shape",
                           .in = "x",
                           .out = "y",
                           .attrs = "shape=-1",
                           .infer = infer,
                           .grad = grad,
                           .ref = ref,
                           .cost = cost_nothing,
                           .also = &op_reshape_like,
                           .cases =
                               "x[3,6,2,5] shape==0,=1,=2*3\nx[1,12,3,1] shape==0,4,-1\nx[3,4,5] shape==0,2,2,=2\n"
                               "x[3,5,1,2] shape=-1\nx[1,6,2,3] shape==0,2,3,=2*3\nx[1,8,3,2] shape==0,=2*3,2,4\n" };
