/* SPDX-License-Identifier: Apache-2.0
 *
 * oneDNN 2 and 3 (C API). See onednn_util.h. */
#include "backend/cpu/onednn_util.h"

#include "backend/cpu/onednn_compat.h"

#include <omp.h>

struct Dnn {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
};

enum { MAX_ARGS = 8 };

struct DnnOp {
    Dnn *dnn;
    int threads;
    char impl[96];
    dnnl_primitive_t prim;
    int n_arg;
    dnnl_exec_arg_t arg[MAX_ARGS];
    size_t offset[MAX_ARGS]; /* of the field of DnnArgs that an argument's memory comes from */
    size_t scratch_bytes, packed_bytes;
    MemDesc w_plain, w_packed;
    Layout layout; /* of w_packed, where told */
    bool told;
    dnnl_primitive_t reorder; /* pack, or unpack for DNN_DW; NULL when the layouts agree */
    dnnl_memory_t reorder_from, reorder_to;
};

Dnn *dnn_new(void)
{
    Dnn *d = mem_alloc(sizeof *d);
    if (!d) return NULL;
    *d = (Dnn) { 0 };
    if (dnnl_engine_create(&d->engine, dnnl_cpu, 0) != dnnl_success ||
        dnnl_stream_create(&d->stream, d->engine, dnnl_stream_default_flags) != dnnl_success)
        dnn_free(&d);
    return d;
}

void dnn_free(Dnn **d)
{
    if (!*d) return;
    if ((*d)->stream) dnnl_stream_destroy((*d)->stream);
    if ((*d)->engine) dnnl_engine_destroy((*d)->engine);
    mem_free(*d);
    *d = NULL;
}

/* oneDNN takes its thread count from OpenMP's setting of the calling thread, both when it plans and when it runs; it is
 * put back so that the caller's own parallel regions see no change. */
static int threads_set(int n)
{
    int old = omp_get_max_threads();
    if (old != n) omp_set_num_threads(n);
    return old;
}

static void threads_restore(int old)
{
    if (omp_get_max_threads() != old) omp_set_num_threads(old);
}

static dnnl_data_type_t dnn_type(DType t)
{
    return t == BF16 ? dnnl_bf16 : dnnl_f32;
}

static bool add_arg(DnnOp *op, int id, ConstMemDesc md, size_t offset)
{
    int i = op->n_arg;
    if (dnnl_memory_create(&op->arg[i].memory, md, op->dnn->engine, DNNL_MEMORY_NONE) != dnnl_success) return false;
    op->arg[i].arg = id;
    op->offset[i] = offset;
    op->n_arg++;
    return true;
}
#define ARG(id, md, field) add_arg(op, id, md, offsetof(DnnArgs, field))

/* brgconv (oneDNN 2) and brg_conv_fwd (3) compute yolov8n's 3x3 layers as fast as jit does, but take two to three times
 * as long to make, which a new image size pays 60 times; their 1x1 form is the faster one. Measured in f32 and bf16 on
 * Zen 4 (2.6) and Sapphire Rapids (2.6, 3.7). Only with AMX brg_conv_fwd is a sixth faster, and takes five times as
 * long to make. */
static bool slow_to_make(const char *name)
{
    return str_starts(name, "brgconv:") || str_starts(name, "brg_conv_fwd:");
}

static const char *impl_name(const_dnnl_primitive_desc_t pd)
{
    const char *name;
    return dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name) == dnnl_success ? name : "ref";
}

/* The first implementation in oneDNN's order that is no reference; one that is slow to make gives way to compiled code
 * further down. impls is freed. */
static dnnl_primitive_desc_t pick(Impls impls)
{
    dnnl_primitive_desc_t best = NULL, pd;
    if (!impls) return NULL;
    do {
        if (!(pd = impls_get(impls))) break;
        const char *name = impl_name(pd);
        bool ref = str_starts(name, "ref"), jit = str_starts(name, "jit") || str_starts(name, "brg");
        if (ref || (best && (!jit || slow_to_make(name)))) {
            dnnl_primitive_desc_destroy(pd);
            continue;
        }
        if (best) dnnl_primitive_desc_destroy(best);
        best = pd;
        if (!slow_to_make(name)) break;
    } while (impls_next(impls));
    impls_free(impls);
    return best;
}

static dnnl_primitive_attr_t make_attr(const char *act, ConstMemDesc residual)
{
    dnnl_primitive_attr_t attr;
    dnnl_post_ops_t ops;
    bool ok = true;
    if (dnnl_primitive_attr_create(&attr) != dnnl_success) return NULL;
    if (dnnl_post_ops_create(&ops) != dnnl_success) return dnnl_primitive_attr_destroy(attr), NULL;
    if (str_eq(act, "silu"))
        ok = append_eltwise(ops, dnnl_eltwise_swish, 1);
    else if (str_eq(act, "relu"))
        ok = append_eltwise(ops, dnnl_eltwise_relu, 0);
    else
        ok = str_eq(act, "none");
    if (ok && residual) ok = dnnl_post_ops_append_binary(ops, dnnl_binary_add, residual) == dnnl_success;
    ok = ok && dnnl_primitive_attr_set_post_ops(attr, ops) == dnnl_success &&
         dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user) == dnnl_success;
    dnnl_post_ops_destroy(ops);
    if (!ok) dnnl_primitive_attr_destroy(attr), attr = NULL;
    return attr;
}

/* Reorder between the plain weights and the primitive's, when they differ. */
static bool add_reorder(DnnOp *op, bool pack)
{
    ConstMemDesc from = pack ? op->w_plain : op->w_packed, to = pack ? op->w_packed : op->w_plain;
    dnnl_primitive_desc_t pd;
    if (dnnl_memory_desc_equal(op->w_plain, op->w_packed)) return true;
    op->packed_bytes = dnnl_memory_desc_get_size(op->w_packed);
    if (dnnl_reorder_primitive_desc_create(&pd, from, op->dnn->engine, to, op->dnn->engine, NULL) != dnnl_success)
        return false;
    bool ok = dnnl_primitive_create(&op->reorder, pd) == dnnl_success;
    dnnl_primitive_desc_destroy(pd);
    return ok && dnnl_memory_create(&op->reorder_from, from, op->dnn->engine, DNNL_MEMORY_NONE) == dnnl_success &&
           dnnl_memory_create(&op->reorder_to, to, op->dnn->engine, DNNL_MEMORY_NONE) == dnnl_success;
}

static DnnOp *op_new(Dnn *d, int threads)
{
    DnnOp *op = mem_alloc(sizeof *op);
    if (op) *op = (DnnOp) { .dnn = d, .threads = threads };
    return op;
}

void dnn_op_free(DnnOp **p)
{
    DnnOp *op = *p;
    if (!op) return;
    for (int i = 0; i < op->n_arg; i++)
        dnnl_memory_destroy(op->arg[i].memory);
    if (op->reorder_from) dnnl_memory_destroy(op->reorder_from);
    if (op->reorder_to) dnnl_memory_destroy(op->reorder_to);
    if (op->reorder) dnnl_primitive_destroy(op->reorder);
    if (op->prim) dnnl_primitive_destroy(op->prim);
    md_free(&op->w_plain);
    md_free(&op->w_packed);
    mem_free(op);
    *p = NULL;
}

/* Common end of making an operation: the primitive, its scratch. */
static bool finish(DnnOp *op, const_dnnl_primitive_desc_t pd)
{
    ConstMemDesc scratch = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    snprintf(op->impl, sizeof op->impl, "onednn %s", impl_name(pd));
    op->told = md_layout(op->w_packed, &op->layout);
    op->scratch_bytes = scratch ? dnnl_memory_desc_get_size(scratch) : 0;
    return (!op->scratch_bytes || ARG(DNNL_ARG_SCRATCHPAD, scratch, scratch)) &&
           dnnl_primitive_create(&op->prim, pd) == dnnl_success;
}

/* ---- convolution -------------------------------------------------------------------------------------------- */

static int64_t pad_behind(int64_t pad, int64_t out, int64_t stride, int64_t dilation, int64_t k, int64_t size)
{
    return MAX(pad, (out - 1) * stride + dilation * (k - 1) + 1 - size - pad);
}

static void descs_free(ConvDescs *m)
{
    md_free(&m->x);
    md_free(&m->w);
    md_free(&m->b);
    md_free(&m->y);
}

static MemDesc weights_desc(const DnnConv *c, dnnl_data_type_t type, bool plain)
{
    dnnl_dims_t wd = { c->o, c->c, c->kh, c->kw };
    dnnl_dims_t gd = { c->groups, c->o / c->groups, c->c / c->groups, c->kh, c->kw };
    if (c->groups > 1) return md_new(5, gd, type, plain ? dnnl_goihw : dnnl_format_tag_any);
    return md_new(4, wd, type, plain ? dnnl_oihw : dnnl_format_tag_any);
}

/* The weights are of type w, their layout open. */
static bool conv_descs(const DnnConv *c, dnnl_data_type_t w, ConvDescs *m)
{
    dnnl_dims_t xd = { c->n, c->c, c->h, c->w }, yd = { c->n, c->o, c->ho, c->wo }, bd = { c->o };
    *m = (ConvDescs) { .stride = { c->stride, c->stride },
                       .dilate = { c->dilation - 1, c->dilation - 1 },
                       .pad = { c->pad_h, c->pad_w } };
    m->pad_end[0] = pad_behind(c->pad_h, c->ho, c->stride, c->dilation, c->kh, c->h);
    m->pad_end[1] = pad_behind(c->pad_w, c->wo, c->stride, c->dilation, c->kw, c->w);
    m->x = md_new(4, xd, dnn_type(c->x), dnnl_nhwc);
    m->y = md_new(4, yd, dnn_type(c->y), dnnl_nhwc);
    m->w = weights_desc(c, w, false);
    if (c->bias) m->b = md_new(1, bd, dnnl_f32, dnnl_a);
    return m->x && m->y && m->w && (!c->bias || m->b);
}

/* What backward primitives are made from: the forward one over images of the same types, weights in x's. */
static dnnl_primitive_desc_t forward_hint(const Dnn *d, const DnnConv *c, dnnl_primitive_attr_t attr)
{
    ConvDescs m;
    dnnl_primitive_desc_t pd = NULL;
    if (conv_descs(c, dnn_type(c->x), &m)) pd = pick(conv_impls(d->engine, dnnl_forward_training, &m, attr, NULL));
    descs_free(&m);
    return pd;
}

static dnnl_primitive_desc_t conv_pick(const Dnn *d, const DnnConv *c, ConvDescs *m)
{
    bool forward = c->pass == DNN_FORWARD;
    dnnl_prop_kind_t kind = forward             ? dnnl_forward_inference
                            : c->pass == DNN_DX ? dnnl_backward_data
                                                : dnnl_backward_weights;
    dnnl_primitive_attr_t attr = make_attr(forward ? c->act : "none", forward && c->residual ? m->y : NULL);
    dnnl_primitive_desc_t pd = NULL, hint = attr && !forward ? forward_hint(d, c, attr) : NULL;
    if (attr && (forward || hint)) pd = pick(conv_impls(d->engine, kind, m, attr, hint));
    if (hint) dnnl_primitive_desc_destroy(hint);
    if (attr) dnnl_primitive_attr_destroy(attr);
    return pd;
}

static bool conv_args(DnnOp *op, const DnnConv *c, const ConvDescs *m)
{
    switch (c->pass) {
    case DNN_FORWARD:
        return ARG(DNNL_ARG_SRC, m->x, x) && ARG(DNNL_ARG_WEIGHTS, op->w_packed, w) && ARG(DNNL_ARG_DST, m->y, out) &&
               (!c->bias || ARG(DNNL_ARG_BIAS, m->b, b)) &&
               (!c->residual ||
                ARG(DNNL_ARG_ATTR_MULTIPLE_POST_OP(str_eq(c->act, "none") ? 0 : 1) | DNNL_ARG_SRC_1, m->y, res));
    case DNN_DX:
        return ARG(DNNL_ARG_DIFF_DST, m->y, dy) && ARG(DNNL_ARG_WEIGHTS, op->w_packed, w) &&
               ARG(DNNL_ARG_DIFF_SRC, m->x, out);
    case DNN_DW:
        return ARG(DNNL_ARG_DIFF_DST, m->y, dy) && ARG(DNNL_ARG_SRC, m->x, x) &&
               ARG(DNNL_ARG_DIFF_WEIGHTS, op->w_packed, out);
    }
    return false;
}

DnnOp *dnn_conv(Dnn *d, const DnnConv *c, int threads, char *why, size_t why_size)
{
    DnnOp *op = op_new(d, threads);
    ConvDescs m;
    dnnl_primitive_desc_t pd = NULL;
    /* Weight gradients are summed in f32; the multiplier of an activation gradient has the activations' type. */
    dnnl_data_type_t wt = c->pass == DNN_DW ? dnnl_f32 : dnn_type(c->pass == DNN_DX ? c->y : c->x);
    dnnl_query_t w = c->pass == DNN_DW ? dnnl_query_diff_weights_md : dnnl_query_weights_md;
    snprintf(why, why_size, "oneDNN has nothing but its reference for this convolution");
    if (!op) return NULL;
    int old = threads_set(threads);
    if (conv_descs(c, wt, &m)) pd = conv_pick(d, c, &m);
    bool ok = pd && (op->w_plain = weights_desc(c, dnnl_f32, true)) &&
              (op->w_packed = md_copy(dnnl_primitive_desc_query_md(pd, w, 0))) && conv_args(op, c, &m) &&
              add_reorder(op, c->pass != DNN_DW) && finish(op, pd);
    if (pd) dnnl_primitive_desc_destroy(pd);
    descs_free(&m);
    threads_restore(old);
    if (!ok) dnn_op_free(&op);
    return op;
}

/* ---- running ------------------------------------------------------------------------------------------------ */

const char *dnn_impl(const DnnOp *op)
{
    return op->impl;
}

size_t dnn_scratch_bytes(const DnnOp *op)
{
    return op->scratch_bytes;
}

size_t dnn_packed_bytes(const DnnOp *op)
{
    return op->packed_bytes;
}

char *dnn_packed_form(const DnnOp *op, char *buf, size_t n)
{
    const Layout *l = &op->layout;
    size_t at = 0;
    *buf = 0;
    if (!op->told) return buf;
#define ADD(...) (at += at < n ? (size_t)snprintf(buf + at, n - at, __VA_ARGS__) : 0)
    ADD("onednn t%d", (int)l->type);
    for (int i = 0; i < l->nd; i++)
        ADD(" %lld/%lld", (long long)l->padded[i], (long long)l->stride[i]);
    for (int i = 0; i < l->n_inner; i++)
        ADD(" %lld@%lld", (long long)l->inner[i], (long long)l->inner_dim[i]);
#undef ADD
    if (at >= n) *buf = 0;
    return buf;
}

static Status execute(const DnnOp *op, dnnl_primitive_t prim, int n, const dnnl_exec_arg_t *arg, Error *err)
{
    int old = threads_set(op->threads);
    dnnl_status_t s = dnnl_primitive_execute(prim, op->dnn->stream, n, arg);
    if (s == dnnl_success) s = dnnl_stream_wait(op->dnn->stream);
    threads_restore(old);
    return s == dnnl_success ? DYN_OK : fail(err, DYN_UNSUPPORTED, "%s failed with oneDNN status %d", op->impl, (int)s);
}

Status dnn_run(DnnOp *op, const DnnArgs *a, Error *err)
{
    for (int i = 0; i < op->n_arg; i++) {
        void *p;
        memcpy(&p, (const char *)a + op->offset[i], sizeof p);
        dnnl_memory_set_data_handle(op->arg[i].memory, p);
    }
    return execute(op, op->prim, op->n_arg, op->arg, err);
}

static Status reorder(const DnnOp *op, const void *from, void *to, Error *err)
{
    dnnl_memory_set_data_handle(op->reorder_from, (void *)(uintptr_t)from);
    dnnl_memory_set_data_handle(op->reorder_to, to);
    dnnl_exec_arg_t arg[2] = { { DNNL_ARG_FROM, op->reorder_from }, { DNNL_ARG_TO, op->reorder_to } };
    return execute(op, op->reorder, 2, arg, err);
}

Status dnn_pack(DnnOp *op, const float *plain, void *packed, Error *err)
{
    return reorder(op, plain, packed, err);
}

Status dnn_unpack(DnnOp *op, const void *packed, float *plain, Error *err)
{
    return reorder(op, packed, plain, err);
}

int64_t dnn_weight_at(const DnnOp *op, int dim, int64_t at)
{
    const Layout *l = &op->layout;
    int64_t offset = 0, step = 1;
    int d = l->nd == 5 ? dim : dim - 1; /* without groups there is no such dimension */
    if (!op->told) return -1;
    if (d < 0) return 0;
    for (int i = l->n_inner - 1; i >= 0; i--) { /* the last block is the innermost */
        if (l->inner_dim[i] == d) {
            offset += at % l->inner[i] * step;
            at /= l->inner[i];
        }
        step *= l->inner[i];
    }
    return offset + at * l->stride[d];
}
