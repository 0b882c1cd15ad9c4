/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights between a model and named tensors. A name and a shape decide (spec 2.11); both are PyTorch's, the shape the
 * one that a parameter has in files.
 */
#include "model/transfer.h"

#include <math.h>
#include <stdlib.h>

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const Blob *const *)a)->name, (*(const Blob *const *)b)->name);
}

static const Blob *look_up(const BlobIndex *x, const char *name)
{
    Blob key = { .name = name };
    const Blob *k = &key;
    const Blob *const *hit = x->n ? bsearch(&k, x->sorted, x->n, sizeof *x->sorted, by_name) : NULL;
    return hit ? *hit : NULL;
}

Status blob_index(const BlobFile *f, Arena *a, BlobIndex *out, Error *err)
{
    *out = (BlobIndex) { ARENA_ARRAY(a, const Blob *, f->n + 1), f->n };
    if (!out->sorted) return fail_nomem(err, f->n * sizeof *out->sorted);
    for (size_t i = 0; i < f->n; i++)
        out->sorted[i] = &f->blob[i];
    qsort(out->sorted, f->n, sizeof *out->sorted, by_name);
    return DYN_OK;
}

/* What a part of a name is called elsewhere: tried where the file lacks our own name. */
static const struct {
    const char *ours, *theirs;
} RENAMED[] = { { ".attention.fc.conv.", ".attention.fc." }, /* ODConv2d in its authors' checkpoints */
                { ".attention.fc.bn.", ".attention.bn." } };

/* NULL when the file has neither the name nor another one for it. */
const Blob *index_find(const BlobIndex *x, const char *name)
{
    const Blob *b = look_up(x, name);
    for (size_t i = 0; !b && i < COUNT_OF(RENAMED); i++) {
        char other[512];
        const char *part = strstr(name, RENAMED[i].ours);
        if (!part) continue;
        snprintf(other, sizeof other, "%.*s%s%s", (int)(part - name), name, RENAMED[i].theirs,
                 part + strlen(RENAMED[i].ours));
        b = look_up(x, other);
    }
    return b;
}

/* The file has tensors of the layer that a parameter belongs to: "model.3.attention." of its name begins theirs. */
static bool has_layer_of(const BlobIndex *x, const char *name)
{
    const char *dot = strrchr(name, '.');
    size_t len = dot ? (size_t)(dot - name) + 1 : 0, lo = 0, hi = x->n;
    while (lo < hi) { /* the first name that is not before the prefix */
        size_t mid = lo + (hi - lo) / 2;
        if (strncmp(x->sorted[mid]->name, name, len) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return len && lo < x->n && strncmp(x->sorted[lo]->name, name, len) == 0;
}

/* The blob has shape s from its dimension `from` on. */
static bool same_shape(const Blob *b, const Shape *s, int from)
{
    if (b->rank != s->rank - from) return false;
    for (int d = 0; d < b->rank; d++)
        if (b->dim[d] != s->dim[from + d]) return false;
    return true;
}

bool blob_fits(const Blob *b, const ParamSpec *p)
{
    return same_shape(b, &p->file_shape, 0);
}

bool blob_fits_bank(const Blob *b, const ParamSpec *p)
{
    return same_shape(b, &p->shape, 1);
}

void blob_to_f32(const Blob *b, float *out)
{
    int64_t n = blob_count(b);
    if (b->dtype == F32)
        memcpy(out, b->data, (size_t)n * sizeof *out);
    else if (b->dtype == F16)
        for (int64_t i = 0; i < n; i++)
            out[i] = f16_to_f32(((const uint16_t *)b->data)[i]);
    else
        for (int64_t i = 0; i < n; i++)
            out[i] = (float)dtype_load(b->data, b->dtype, i);
}

/* What never changes is part of a layer's meaning: only a file that has the same values, be it as half floats, agrees
 * with it. */
static bool is_same(const Blob *b, const float *w)
{
    for (int64_t i = 0; i < blob_count(b); i++)
        if (!(fabs(dtype_load(b->data, b->dtype, i) - (double)w[i]) <= 1e-3)) return false;
    return true;
}

static bool copy_param(Model *m, int i, const Blob *b)
{
    const ParamSpec *p = graph_param_spec(m->g, i);
    if (p->kind == PARAM_COUNT) {
        if (b->rank || b->dtype == F32) return false;
        m->count[i] = (int64_t)dtype_load(b->data, b->dtype, 0);
        return true;
    }
    float *w = m->w.data + p->offset;
    if (p->kind == PARAM_FIXED || p->kind == PARAM_BUFFER) return blob_fits(b, p) && is_same(b, w);
    bool fits =
        p->kind == PARAM_SCHEDULE ? blob_count(b) == 1 && dtype_load(b->data, b->dtype, 0) > 0 : blob_fits(b, p);
    if (!fits) return false;
    blob_to_f32(b, w);
    return true;
}

Taken param_take(Model *m, const BlobIndex *x, int i, const char *name)
{
    const ParamSpec *p = graph_param_spec(m->g, i);
    const Blob *b = index_find(x, name);
    if (b) return copy_param(m, i, b) ? TAKEN_COPIED : TAKEN_NOT;
    if (p->kind == PARAM_SCHEDULE && has_layer_of(x, name)) /* the reference keeps temperatures in no file */
        m->w.data[p->offset] = (float)p->schedule.published;
    /* a buffer holds what it was initialised to */
    return p->kind == PARAM_SCHEDULE || p->kind == PARAM_BUFFER ? TAKEN_NOT_COUNTED : TAKEN_NOT;
}

Status model_transfer(Model *m, const BlobFile *src, Arena *a, Transfer *t, Error *err)
{
    BlobIndex x;
    *t = (Transfer) { .total = graph_n_params(m->g) };
    t->missing = ARENA_ARRAY(a, const char *, t->total + 1);
    if (!t->missing) return fail_nomem(err, src->n * sizeof *t->missing);
    TRY(blob_index(src, a, &x, err));
    for (int i = 0; i < graph_n_params(m->g); i++) {
        const char *name = graph_param_spec(m->g, i)->name;
        Taken taken = param_take(m, &x, i, name);
        t->copied += taken == TAKEN_COPIED;
        t->total -= taken == TAKEN_NOT_COUNTED;
        if (taken == TAKEN_NOT && !(t->missing[t->n_missing++] = arena_strdup(a, name)))
            return fail_nomem(err, strlen(name) + 1);
    }
    return DYN_OK;
}

Status model_blobs(const Model *m, const Slab *w, Arena *a, BlobFile *out, Error *err)
{
    int n = graph_n_params(m->g);
    *out = (BlobFile) { .blob = ARENA_ARRAY(a, Blob, n + 1), .n = (size_t)n };
    if (!out->blob) return fail_nomem(err, (size_t)n * sizeof(Blob));
    for (int i = 0; i < n; i++) {
        const ParamSpec *p = graph_param_spec(m->g, i);
        Blob *b = &out->blob[i];
        *b = (Blob) { .name = p->name, .dtype = p->kind == PARAM_COUNT ? I64 : F32 };
        b->data = p->kind == PARAM_COUNT ? (const void *)&m->count[i] : (const void *)(w->data + p->offset);
        b->rank = p->kind == PARAM_COUNT ? 0 : p->file_shape.rank;
        for (int d = 0; d < b->rank; d++)
            b->dim[d] = p->file_shape.dim[d];
        if (!blob_set_bytes(b)) return fail(err, DYN_SHAPE, "parameter '%s' is too large", p->name);
    }
    return DYN_OK;
}
