/* SPDX-License-Identifier: Apache-2.0
 *
 * oneDNN 2.x (C API). See onednn_util.h. */
#include "backend/cpu/onednn_util.h"

#include <dnnl.h>
#include <omp.h>

struct Dnn {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
};

enum { MAX_ARGS = 8, MAX_ND = 5 };

struct DnnOp {
    Dnn *dnn;
    int threads;
    char impl[96];
    dnnl_primitive_t prim;
    int n_arg;
    dnnl_exec_arg_t arg[MAX_ARGS];
    size_t offset[MAX_ARGS]; /* of the field of DnnArgs that an argument's memory comes from */
    size_t scratch_bytes, packed_bytes;
    dnnl_memory_desc_t w_plain, w_packed;
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

static bool add_arg(DnnOp *op, int id, const dnnl_memory_desc_t *md, size_t offset)
{
    int i = op->n_arg;
    if (dnnl_memory_create(&op->arg[i].memory, md, op->dnn->engine, DNNL_MEMORY_NONE) != dnnl_success) return false;
    op->arg[i].arg = id;
    op->offset[i] = offset;
    op->n_arg++;
    return true;
}
#define ARG(id, md, field) add_arg(op, id, md, offsetof(DnnArgs, field))

/* brgconv computes as fast as jit (measured on yolov8n's 3x3 layers, f32 and bf16, Zen 4), but takes two to three times
 * as long to make, which a new image size pays 60 times; its 1x1 form is the faster one. */
static bool welcome(const char *name, bool second_choice)
{
    return !str_starts(name, "ref") && (second_choice || !str_starts(name, "brgconv:"));
}

static dnnl_primitive_desc_t search(const Dnn *d, const void *desc, const_dnnl_primitive_attr_t attr,
                                    const_dnnl_primitive_desc_t hint, const char **name, bool second_choice)
{
    dnnl_primitive_desc_iterator_t it;
    dnnl_primitive_desc_t pd = NULL;
    if (dnnl_primitive_desc_iterator_create(&it, desc, attr, d->engine, hint) != dnnl_success) return NULL;
    do {
        pd = dnnl_primitive_desc_iterator_fetch(it);
        if (!pd) break;
        if (dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, name) == dnnl_success &&
            welcome(*name, second_choice))
            break;
        dnnl_primitive_desc_destroy(pd);
        pd = NULL;
    } while (dnnl_primitive_desc_iterator_next(it) == dnnl_success);
    dnnl_primitive_desc_iterator_destroy(it);
    return pd;
}

/* The first welcome implementation in oneDNN's order; never a reference one. */
static dnnl_primitive_desc_t pick(const Dnn *d, const void *desc, const_dnnl_primitive_attr_t attr,
                                  const_dnnl_primitive_desc_t hint, const char **name)
{
    dnnl_primitive_desc_t pd = search(d, desc, attr, hint, name, false);
    const char *first = pd ? *name : "";
    if (pd && (str_starts(first, "jit") || str_starts(first, "brg"))) return pd;
    dnnl_primitive_desc_t other = search(d, desc, attr, hint, name, true);
    if (!other) return *name = first, pd;
    if (pd) dnnl_primitive_desc_destroy(pd);
    return other;
}

static dnnl_primitive_attr_t make_attr(const char *act, const dnnl_memory_desc_t *residual)
{
    dnnl_primitive_attr_t attr;
    dnnl_post_ops_t ops;
    bool ok = true;
    if (dnnl_primitive_attr_create(&attr) != dnnl_success) return NULL;
    if (dnnl_post_ops_create(&ops) != dnnl_success) return dnnl_primitive_attr_destroy(attr), NULL;
    if (str_eq(act, "silu"))
        ok = dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_swish, 1, 0) == dnnl_success;
    else if (str_eq(act, "relu"))
        ok = dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_relu, 0, 0) == dnnl_success;
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
    const dnnl_memory_desc_t *from = pack ? &op->w_plain : &op->w_packed, *to = pack ? &op->w_packed : &op->w_plain;
    dnnl_primitive_desc_t pd;
    if (dnnl_memory_desc_equal(&op->w_plain, &op->w_packed)) return true;
    op->packed_bytes = dnnl_memory_desc_get_size(&op->w_packed);
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
    mem_free(op);
    *p = NULL;
}

/* Common end of making an operation: the primitive, its scratch. pd is destroyed. */
static bool finish(DnnOp *op, dnnl_primitive_desc_t pd, const char *name)
{
    const dnnl_memory_desc_t *scratch = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    snprintf(op->impl, sizeof op->impl, "onednn %s", name);
    op->scratch_bytes = scratch ? dnnl_memory_desc_get_size(scratch) : 0;
    bool ok = (!op->scratch_bytes || ARG(DNNL_ARG_SCRATCHPAD, scratch, scratch)) &&
              dnnl_primitive_create(&op->prim, pd) == dnnl_success;
    dnnl_primitive_desc_destroy(pd);
    return ok;
}

/* ---- convolution -------------------------------------------------------------------------------------------- */

typedef struct ConvDescs {
    dnnl_memory_desc_t x, w_any, b, y;
    dnnl_dims_t stride, dilate, pad, pad_end;
} ConvDescs;

static int64_t pad_behind(int64_t pad, int64_t out, int64_t stride, int64_t dilation, int64_t k, int64_t size)
{
    return MAX(pad, (out - 1) * stride + dilation * (k - 1) + 1 - size - pad);
}

static bool conv_descs(const DnnConv *c, DnnOp *op, ConvDescs *m)
{
    dnnl_dims_t xd = { c->n, c->c, c->h, c->w }, yd = { c->n, c->o, c->ho, c->wo }, bd = { c->o };
    dnnl_dims_t wd = { c->o, c->c, c->kh, c->kw };
    dnnl_dims_t gd = { c->groups, c->o / c->groups, c->c / c->groups, c->kh, c->kw };
    bool grouped = c->groups > 1;
    /* Weight gradients are summed in f32; the multiplier of an activation gradient has the activations' type. */
    dnnl_data_type_t wt = c->pass == DNN_DW ? dnnl_f32 : dnn_type(c->pass == DNN_DX ? c->y : c->x);
    m->stride[0] = m->stride[1] = c->stride;
    m->dilate[0] = m->dilate[1] = c->dilation - 1;
    m->pad[0] = c->pad_h, m->pad[1] = c->pad_w;
    m->pad_end[0] = pad_behind(c->pad_h, c->ho, c->stride, c->dilation, c->kh, c->h);
    m->pad_end[1] = pad_behind(c->pad_w, c->wo, c->stride, c->dilation, c->kw, c->w);
    return dnnl_memory_desc_init_by_tag(&m->x, 4, xd, dnn_type(c->x), dnnl_nhwc) == dnnl_success &&
           dnnl_memory_desc_init_by_tag(&m->y, 4, yd, dnn_type(c->y), dnnl_nhwc) == dnnl_success &&
           dnnl_memory_desc_init_by_tag(&m->b, 1, bd, dnnl_f32, dnnl_a) == dnnl_success &&
           dnnl_memory_desc_init_by_tag(&m->w_any, grouped ? 5 : 4, grouped ? gd : wd, wt, dnnl_format_tag_any) ==
               dnnl_success &&
           dnnl_memory_desc_init_by_tag(&op->w_plain, grouped ? 5 : 4, grouped ? gd : wd, dnnl_f32,
                                        grouped ? dnnl_goihw : dnnl_oihw) == dnnl_success;
}

static dnnl_primitive_desc_t conv_forward(const Dnn *d, const DnnConv *c, const ConvDescs *m, const char **name)
{
    dnnl_convolution_desc_t desc;
    dnnl_prop_kind_t prop = c->pass == DNN_FORWARD ? dnnl_forward_inference : dnnl_forward_training;
    dnnl_primitive_attr_t attr = make_attr(c->pass == DNN_FORWARD ? c->act : "none", c->residual ? &m->y : NULL);
    if (!attr) return NULL;
    dnnl_primitive_desc_t pd = NULL;
    if (dnnl_dilated_convolution_forward_desc_init(&desc, prop, dnnl_convolution_direct, &m->x, &m->w_any,
                                                   c->bias ? &m->b : NULL, &m->y, m->stride, m->dilate, m->pad,
                                                   m->pad_end) == dnnl_success)
        pd = pick(d, &desc, attr, NULL, name);
    dnnl_primitive_attr_destroy(attr);
    return pd;
}

static dnnl_primitive_desc_t conv_backward(const Dnn *d, const DnnConv *c, const ConvDescs *m, const char **name)
{
    dnnl_convolution_desc_t desc;
    dnnl_primitive_attr_t attr = make_attr("none", NULL);
    dnnl_primitive_desc_t pd = NULL, hint = NULL;
    const char *hint_name;
    /* The hint must be a forward primitive over the same types: weights in the type of the images. */
    ConvDescs f = *m;
    f.w_any.data_type = m->x.data_type;
    DnnConv fc = *c;
    fc.bias = fc.residual = false;
    if (attr) hint = conv_forward(d, &fc, &f, &hint_name);
    if (hint &&
        (c->pass == DNN_DX
             ? dnnl_dilated_convolution_backward_data_desc_init(&desc, dnnl_convolution_direct, &m->x, &m->w_any, &m->y,
                                                                m->stride, m->dilate, m->pad, m->pad_end)
             : dnnl_dilated_convolution_backward_weights_desc_init(&desc, dnnl_convolution_direct, &m->x, &m->w_any,
                                                                   NULL, &m->y, m->stride, m->dilate, m->pad,
                                                                   m->pad_end)) == dnnl_success)
        pd = pick(d, &desc, attr, hint, name);
    if (hint) dnnl_primitive_desc_destroy(hint);
    if (attr) dnnl_primitive_attr_destroy(attr);
    return pd;
}

static bool conv_args(DnnOp *op, const DnnConv *c, const ConvDescs *m, dnnl_primitive_desc_t pd)
{
    dnnl_query_t what = c->pass == DNN_DW ? dnnl_query_diff_weights_md : dnnl_query_weights_md;
    op->w_packed = *dnnl_primitive_desc_query_md(pd, what, 0);
    switch (c->pass) {
    case DNN_FORWARD:
        return ARG(DNNL_ARG_SRC, &m->x, x) && ARG(DNNL_ARG_WEIGHTS, &op->w_packed, w) &&
               ARG(DNNL_ARG_DST, &m->y, out) && (!c->bias || ARG(DNNL_ARG_BIAS, &m->b, b)) &&
               (!c->residual ||
                ARG(DNNL_ARG_ATTR_MULTIPLE_POST_OP(str_eq(c->act, "none") ? 0 : 1) | DNNL_ARG_SRC_1, &m->y, res));
    case DNN_DX:
        return ARG(DNNL_ARG_DIFF_DST, &m->y, dy) && ARG(DNNL_ARG_WEIGHTS, &op->w_packed, w) &&
               ARG(DNNL_ARG_DIFF_SRC, &m->x, out);
    case DNN_DW:
        return ARG(DNNL_ARG_DIFF_DST, &m->y, dy) && ARG(DNNL_ARG_SRC, &m->x, x) &&
               ARG(DNNL_ARG_DIFF_WEIGHTS, &op->w_packed, out);
    }
    return false;
}

DnnOp *dnn_conv(Dnn *d, const DnnConv *c, int threads, char *why, size_t why_size)
{
    DnnOp *op = op_new(d, threads);
    ConvDescs m;
    dnnl_primitive_desc_t pd = NULL;
    const char *name = "";
    snprintf(why, why_size, "oneDNN has nothing but its reference for this convolution");
    if (!op) return NULL;
    int old = threads_set(threads);
    if (conv_descs(c, op, &m))
        pd = c->pass == DNN_FORWARD ? conv_forward(d, c, &m, &name) : conv_backward(d, c, &m, &name);
    bool ok = pd && conv_args(op, c, &m, pd) && add_reorder(op, c->pass != DNN_DW);
    if (ok)
        ok = finish(op, pd, name);
    else if (pd)
        dnnl_primitive_desc_destroy(pd);
    threads_restore(old);
    if (!ok) dnn_op_free(&op);
    return op;
}

/* ---- matrix product ----------------------------------------------------------------------------------------- */

static bool strided(dnnl_memory_desc_t *md, int nd, int64_t batch, int64_t rows, int64_t cols, DType t, int64_t step,
                    int64_t ld)
{
    dnnl_dims_t d3 = { step ? batch : 1, rows, cols }, s3 = { step ? step : rows * ld, ld, 1 };
    return dnnl_memory_desc_init_by_strides(md, nd, nd == 3 ? d3 : d3 + 1, dnn_type(t), nd == 3 ? s3 : s3 + 1) ==
           dnnl_success;
}

DnnOp *dnn_matmul(Dnn *d, const DnnMatmul *c, int threads, char *why, size_t why_size)
{
    DnnOp *op = op_new(d, threads);
    dnnl_memory_desc_t x, w, b, y, res;
    dnnl_matmul_desc_t desc;
    dnnl_primitive_desc_t pd = NULL;
    const char *name = "";
    int nd = c->batch > 1 ? 3 : 2;
    dnnl_dims_t bd = { 1, 1, c->n }, wd = { c->k, c->n }, w_strides = { 1, c->k };
    snprintf(why, why_size, "oneDNN has nothing but its reference for this matrix product");
    if (!op) return NULL;
    int old = threads_set(threads);
    bool ok = strided(&x, nd, c->batch, c->m, c->k, c->x, c->batch_x, c->ld_x) &&
              strided(&y, nd, c->batch, c->m, c->n, c->y, c->batch_y, c->ld_y) &&
              strided(&res, nd, c->batch, c->m, c->n, c->y, c->batch_y, c->ld_res) &&
              dnnl_memory_desc_init_by_tag(&b, nd, nd == 3 ? bd : bd + 1, dnnl_f32, nd == 3 ? dnnl_abc : dnnl_ab) ==
                  dnnl_success;
    if (ok && c->w_plain)
        ok = strided(&w, nd, c->batch, c->k, c->n, c->x, c->batch_w, c->n);
    else if (ok)
        ok = dnnl_memory_desc_init_by_tag(&w, 2, wd, dnn_type(c->x), dnnl_format_tag_any) == dnnl_success &&
             dnnl_memory_desc_init_by_strides(&op->w_plain, 2, wd, dnnl_f32, w_strides) == dnnl_success;
    dnnl_primitive_attr_t attr = ok ? make_attr(c->act, c->residual ? &res : NULL) : NULL;
    if (attr && dnnl_matmul_desc_init(&desc, &x, &w, c->bias ? &b : NULL, &y) == dnnl_success)
        pd = pick(d, &desc, attr, NULL, &name);
    if (attr) dnnl_primitive_attr_destroy(attr);
    ok = pd != NULL;
    if (ok) op->w_packed = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    if (ok && c->w_plain) op->w_plain = op->w_packed;
    ok = ok && ARG(DNNL_ARG_SRC, &x, x) && ARG(DNNL_ARG_WEIGHTS, &op->w_packed, w) && ARG(DNNL_ARG_DST, &y, out) &&
         (!c->bias || ARG(DNNL_ARG_BIAS, &b, b)) &&
         (!c->residual ||
          ARG(DNNL_ARG_ATTR_MULTIPLE_POST_OP(str_eq(c->act, "none") ? 0 : 1) | DNNL_ARG_SRC_1, &res, res)) &&
         add_reorder(op, true);
    if (ok)
        ok = finish(op, pd, name);
    else if (pd)
        dnnl_primitive_desc_destroy(pd);
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
    const dnnl_memory_desc_t *m = &op->w_packed;
    const dnnl_blocking_desc_t *b = &m->format_desc.blocking;
    size_t at = 0;
    *buf = 0;
    if (m->format_kind != dnnl_blocked || m->extra.flags || m->offset0) return buf;
#define ADD(...) (at += at < n ? (size_t)snprintf(buf + at, n - at, __VA_ARGS__) : 0)
    ADD("onednn t%d", (int)m->data_type);
    for (int i = 0; i < m->ndims; i++)
        ADD(" %lld/%lld", (long long)m->padded_dims[i], (long long)b->strides[i]);
    for (int i = 0; i < b->inner_nblks; i++)
        ADD(" %lld@%lld", (long long)b->inner_blks[i], (long long)b->inner_idxs[i]);
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
    const dnnl_memory_desc_t *md = &op->w_packed;
    const dnnl_blocking_desc_t *b = &md->format_desc.blocking;
    int64_t offset = 0, step = 1;
    int d = md->ndims == 5 ? dim : dim - 1; /* without groups there is no such dimension */
    if (md->format_kind != dnnl_blocked || md->extra.flags) return -1;
    if (d < 0) return 0;
    for (int i = b->inner_nblks - 1; i >= 0; i--) { /* the last block is the innermost */
        if (b->inner_idxs[i] == d) {
            offset += at % b->inner_blks[i] * step;
            at /= b->inner_blks[i];
        }
        step *= b->inner_blks[i];
    }
    return offset + at * b->strides[d];
}
