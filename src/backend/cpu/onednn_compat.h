/* SPDX-License-Identifier: Apache-2.0
 *
 * What oneDNN 2 and 3 spell differently, under one name each, in the manner of 3: a memory descriptor is a handle, and
 * what describes a primitive is made in one call. Only onednn_util.c includes this. */
#ifndef ONEDNN_COMPAT_H
#define ONEDNN_COMPAT_H

#include "base/base.h"

#include <dnnl.h>

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t MemDesc; /* owned: md_free */
typedef const_dnnl_memory_desc_t ConstMemDesc;
typedef dnnl_primitive_desc_t Impls; /* the implementations of one primitive, in oneDNN's order */
#else
typedef dnnl_memory_desc_t *MemDesc;
typedef const dnnl_memory_desc_t *ConstMemDesc;
typedef dnnl_primitive_desc_iterator_t Impls;
#endif

/* A convolution as oneDNN sees it: x and dx, y and dy, w and dw share a descriptor. */
typedef struct ConvDescs {
    MemDesc x, w, b, y; /* b may be NULL */
    dnnl_dims_t stride, dilate, pad, pad_end;
#if DNNL_VERSION_MAJOR < 3
    dnnl_convolution_desc_t made; /* Impls of it point here */
#endif
} ConvDescs;

/* How a blocked tensor lies: the strides of its outer blocks, and the blocks within, the last one innermost. */
typedef struct Layout {
    dnnl_data_type_t type;
    int nd, n_inner;
    int64_t padded[DNNL_MAX_NDIMS], stride[DNNL_MAX_NDIMS], inner[DNNL_MAX_NDIMS], inner_dim[DNNL_MAX_NDIMS];
} Layout;

/* Functions that make something give NULL when that fails. */
#if DNNL_VERSION_MAJOR >= 3

static inline MemDesc md_new(int nd, const dnnl_dims_t dims, dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    MemDesc m = NULL;
    return dnnl_memory_desc_create_with_tag(&m, nd, dims, type, tag) == dnnl_success ? m : NULL;
}

static inline MemDesc md_copy(ConstMemDesc of)
{
    MemDesc m = NULL;
    return of && dnnl_memory_desc_clone(&m, of) == dnnl_success ? m : NULL;
}

static inline void md_free(MemDesc *m)
{
    if (*m) dnnl_memory_desc_destroy(*m);
    *m = NULL;
}

/* False when the tensor is not blocked, or more is known of it than a Layout says. */
static inline bool md_layout(ConstMemDesc m, Layout *l)
{
    dnnl_format_kind_t kind;
    dnnl_dim_t offset = 0, most = 1, block = 1;
    const dnnl_dims_t *padded, *stride, *inner, *dim;
    *l = (Layout) { 0 };
#define ASK(what, to) (dnnl_memory_desc_query(m, dnnl_query_##what, to) == dnnl_success)
    if (!ASK(format_kind, &kind) || kind != dnnl_blocked || !ASK(submemory_offset_s64, &offset) || offset ||
        !ASK(data_type, &l->type) || !ASK(ndims_s32, &l->nd) || !ASK(padded_dims, &padded) || !ASK(strides, &stride) ||
        !ASK(inner_nblks_s32, &l->n_inner) || !ASK(inner_blks, &inner) || !ASK(inner_idxs, &dim))
        return false;
#undef ASK
    int64_t blocks[DNNL_MAX_NDIMS];
    for (int i = 0; i < l->nd; i++)
        l->padded[i] = (*padded)[i], l->stride[i] = (*stride)[i], blocks[i] = 1;
    for (int i = 0; i < l->n_inner; i++) {
        l->inner[i] = (*inner)[i], l->inner_dim[i] = (*dim)[i];
        blocks[l->inner_dim[i]] *= l->inner[i], block *= l->inner[i];
    }
    /* What comes after the elements (sums kept for integer types) shows only in the size. */
    for (int i = 0; i < l->nd; i++)
        most = MAX(most, l->padded[i] / blocks[i] * l->stride[i]);
    return dnnl_memory_desc_get_size(m) == (size_t)MAX(most, block) * dnnl_data_type_size(l->type);
}

static inline bool append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float alpha)
{
    return dnnl_post_ops_append_eltwise(ops, kind, alpha, 0) == dnnl_success;
}

/* hint: a forward primitive of the same types, for the two backward kinds. c and hint must outlive what is returned. */
static inline Impls conv_impls(dnnl_engine_t e, dnnl_prop_kind_t kind, ConvDescs *c, dnnl_primitive_attr_t attr,
                               const_dnnl_primitive_desc_t hint)
{
    Impls pd = NULL;
    dnnl_status_t s;
    if (kind == dnnl_backward_data)
        s = dnnl_convolution_backward_data_primitive_desc_create(&pd, e, dnnl_convolution_direct, c->x, c->w, c->y,
                                                                 c->stride, c->dilate, c->pad, c->pad_end, hint, attr);
    else if (kind == dnnl_backward_weights)
        s = dnnl_convolution_backward_weights_primitive_desc_create(&pd, e, dnnl_convolution_direct, c->x, c->w, c->b,
                                                                    c->y, c->stride, c->dilate, c->pad, c->pad_end,
                                                                    hint, attr);
    else
        s = dnnl_convolution_forward_primitive_desc_create(&pd, e, kind, dnnl_convolution_direct, c->x, c->w, c->b,
                                                           c->y, c->stride, c->dilate, c->pad, c->pad_end, attr);
    return s == dnnl_success ? pd : NULL;
}

static inline dnnl_primitive_desc_t impls_get(Impls i)
{
    dnnl_primitive_desc_t pd = NULL;
    return dnnl_primitive_desc_clone(&pd, i) == dnnl_success ? pd : NULL;
}

static inline bool impls_next(Impls i)
{
    return dnnl_primitive_desc_next_impl(i) == dnnl_success;
}

static inline void impls_free(Impls i)
{
    dnnl_primitive_desc_destroy(i);
}

#else /* oneDNN 2 */

static inline MemDesc md_copy(ConstMemDesc of)
{
    MemDesc m = of ? mem_alloc(sizeof *m) : NULL;
    if (m) *m = *of;
    return m;
}

static inline MemDesc md_new(int nd, const dnnl_dims_t dims, dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    dnnl_memory_desc_t m;
    return dnnl_memory_desc_init_by_tag(&m, nd, dims, type, tag) == dnnl_success ? md_copy(&m) : NULL;
}

static inline void md_free(MemDesc *m)
{
    mem_free(*m);
    *m = NULL;
}

static inline bool md_layout(ConstMemDesc m, Layout *l)
{
    const dnnl_blocking_desc_t *b = &m->format_desc.blocking;
    *l = (Layout) { 0 };
    if (m->format_kind != dnnl_blocked || m->extra.flags || m->offset0) return false;
    l->type = m->data_type, l->nd = m->ndims, l->n_inner = b->inner_nblks;
    for (int i = 0; i < l->nd; i++)
        l->padded[i] = m->padded_dims[i], l->stride[i] = b->strides[i];
    for (int i = 0; i < l->n_inner; i++)
        l->inner[i] = b->inner_blks[i], l->inner_dim[i] = b->inner_idxs[i];
    return true;
}

static inline bool append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float alpha)
{
    return dnnl_post_ops_append_eltwise(ops, 1, kind, alpha, 0) == dnnl_success;
}

static inline Impls conv_impls(dnnl_engine_t e, dnnl_prop_kind_t kind, ConvDescs *c, dnnl_primitive_attr_t attr,
                               const_dnnl_primitive_desc_t hint)
{
    dnnl_convolution_desc_t *d = &c->made;
    Impls i = NULL;
    dnnl_status_t s;
    if (kind == dnnl_backward_data)
        s = dnnl_dilated_convolution_backward_data_desc_init(d, dnnl_convolution_direct, c->x, c->w, c->y, c->stride,
                                                             c->dilate, c->pad, c->pad_end);
    else if (kind == dnnl_backward_weights)
        s = dnnl_dilated_convolution_backward_weights_desc_init(d, dnnl_convolution_direct, c->x, c->w, c->b, c->y,
                                                                c->stride, c->dilate, c->pad, c->pad_end);
    else
        s = dnnl_dilated_convolution_forward_desc_init(d, kind, dnnl_convolution_direct, c->x, c->w, c->b, c->y,
                                                       c->stride, c->dilate, c->pad, c->pad_end);
    return s == dnnl_success && dnnl_primitive_desc_iterator_create(&i, d, attr, e, hint) == dnnl_success ? i : NULL;
}

static inline dnnl_primitive_desc_t impls_get(Impls i)
{
    return dnnl_primitive_desc_iterator_fetch(i);
}

static inline bool impls_next(Impls i)
{
    return dnnl_primitive_desc_iterator_next(i) == dnnl_success;
}

static inline void impls_free(Impls i)
{
    dnnl_primitive_desc_iterator_destroy(i);
}

#endif
#endif
