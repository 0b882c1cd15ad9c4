/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights for a model whose description is not the file's: rows are aligned, tensors of one name and shape are copied,
 * and a dynamic layer begins as the plain one whose place it takes.
 *
 * Every kernel of a bank begins as the plain kernel, and the last layer of what chooses among them at zero, so that the
 * mix is even and the layer is the plain one for every picture. Were the kernels alike to the bit, choosing would have
 * no gradient (it is the difference that a choice makes) and they would never part. So each gets noise: normal,
 * BANK_NOISE of the plain kernel's root mean square, less its mean over the bank. Without that mean the even mix stays
 * the plain kernel whatever the noise's size, so it costs no accuracy, and a tenth is enough for a gradient at once and
 * little enough that a kernel taken alone would still be the layer that it came from. */
#include "model/transfer.h"

#include <math.h>

void fill_bank(float *w, int64_t step, const float *plain, int64_t n_kernel, int64_t n, double gain, double noise,
               Rng *r)
{
    double square = 0;
    for (int64_t i = 0; i < n; i++)
        square += (double)plain[i] * plain[i];
    noise *= n_kernel > 1 ? sqrt(square / (double)n) : 0;
    for (int64_t i = 0; i < n; i++) {
        double mean = 0;
        for (int64_t k = 0; k < n_kernel; k++) {
            double e = noise ? rng_normal(r) * noise : 0;
            w[k * step + i] = (float)e;
            mean += e / (double)n_kernel;
        }
        for (int64_t k = 0; k < n_kernel; k++)
            w[k * step + i] = (float)(gain * ((double)plain[i] + (double)w[k * step + i] - mean));
    }
}

Rng noise_for(const AdaptOptions *o, const char *name)
{
    char purpose[512];
    snprintf(purpose, sizeof purpose, "%s noise", name);
    return rng_at(o->seed, 0, 0, rng_key(purpose));
}

static Status adapt_bank(Model *m, int i, const Blob *b, double gain, const AdaptOptions *o, Error *err)
{
    const ParamSpec *p = graph_param_spec(m->g, i);
    int64_t n = blob_count(b);
    float *plain = mem_alloc((size_t)n * sizeof *plain);
    if (!plain) return fail_nomem(err, (size_t)n * sizeof *plain);
    Rng r = noise_for(o, p->name);
    blob_to_f32(b, plain);
    fill_bank(m->w.data + p->offset, n, plain, p->shape.dim[0], n, gain, o->noise, &r);
    mem_free(plain);
    return DYN_OK;
}

/* From the plain layer's tensor, whose name in the file is given. */
static Status adapt_param(Model *m, const BlobIndex *x, const PlainSpec *s, const char *name, const AdaptOptions *o,
                          Taken *taken, Error *err)
{
    const ParamSpec *p = graph_param_spec(m->g, s->param);
    const Blob *b = index_find(x, name);
    if (!b) return DYN_OK;
    if (!s->gain) {
        memset(m->w.data + p->offset, 0, (size_t)shape_count(&p->shape) * sizeof(float));
        *taken = TAKEN_ADAPTED;
    } else if (p->kind == PARAM_COUNT || (blob_fits(b, p) && s->gain == 1)) {
        *taken = param_take(m, x, s->param, name);
    } else if (blob_fits_bank(b, p)) {
        TRY(adapt_bank(m, s->param, b, s->gain, o, err));
        *taken = TAKEN_ADAPTED;
    }
    return DYN_OK;
}

static Status take(Model *m, const BlobIndex *x, int i, const int *row, const AdaptOptions *o, Taken *taken, Error *err)
{
    const ParamSpec *p = graph_param_spec(m->g, i);
    const PlainSpec *plain = plain_of(m, i);
    const char *rest;
    char buf[512];
    int at = row_of_name(p->name, &rest);
    bool aligned = at < 0 || at >= m->n_row || row[at] >= 0;
    int source = at >= 0 && at < m->n_row ? row[at] : at;
    *taken = p->kind == PARAM_SCHEDULE || p->kind == PARAM_BUFFER ? TAKEN_NOT_COUNTED : TAKEN_NOT;
    if (!aligned) return DYN_OK;
    *taken = param_take(m, x, i, name_in_row(p->name, source, buf, sizeof buf));
    if (*taken != TAKEN_NOT || !plain) return DYN_OK;
    TRY(adapt_experts(m, x, plain, source, o, taken, err));
    if (*taken != TAKEN_NOT) return DYN_OK;
    return adapt_param(m, x, plain, name_in_row(plain->name, source, buf, sizeof buf), o, taken, err);
}

static Status add(Model *m, const BlobIndex *x, int i, const AdaptOptions *o, Arena *a, Transfer *t, Error *err)
{
    Taken taken;
    TRY(take(m, x, i, t->row, o, &taken, err));
    const char *name = arena_strdup(a, graph_param_spec(m->g, i)->name);
    if (!name) return fail_nomem(err, 1);
    t->copied += taken == TAKEN_COPIED;
    t->total -= taken == TAKEN_NOT_COUNTED;
    if (taken == TAKEN_ADAPTED) t->changed[t->n_changed++] = name;
    if (taken == TAKEN_RESIZED) t->resized[t->n_resized++] = name;
    if (taken == TAKEN_NOT) t->missing[t->n_missing++] = name;
    return DYN_OK;
}

Status model_adapt(Model *m, const BlobFile *src, const AdaptOptions *o, Arena *a, Transfer *t, Error *err)
{
    BlobIndex x;
    int n = graph_n_params(m->g), *row = ARENA_ARRAY(a, int, m->n_row + 1);
    *t = (Transfer) { .total = n, .row = row };
    t->missing = ARENA_ARRAY(a, const char *, n + 1);
    t->changed = ARENA_ARRAY(a, const char *, n + 1);
    t->resized = ARENA_ARRAY(a, const char *, n + 1);
    if (!row || !t->missing || !t->changed || !t->resized) return fail_nomem(err, (size_t)n * sizeof *t->missing);
    TRY(blob_index(src, a, &x, err));
    TRY(align_rows(m, &x, o->description, a, row, err));
    for (int others = 0; others < 2; others++) /* temperatures first: adapt_experts reads them */
        for (int i = 0; i < n; i++)
            if ((graph_param_spec(m->g, i)->kind != PARAM_SCHEDULE) == others) TRY(add(m, &x, i, o, a, t, err));
    return DYN_OK;
}
