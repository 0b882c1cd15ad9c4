/* SPDX-License-Identifier: Apache-2.0
 *
 * A bank that has another number of kernels in the file. Where the model has more, the file's kernels stand in it again
 * and again, and so do the rows of what chooses among them; where it has fewer, its kernel k stands for the file's k,
 * k + K, k + 2K, .. at once. So that the layer stays what it was:
 *   gates, which add kernels up   copies share their kernel's size, kernels that fall together are summed
 *   softmax, which weighs them    copies are whole, kernels that fall together give their mean; a bias makes up for
 *                                 some having more copies than others: T log(copies) less, or more
 * More kernels are then the same function, but where a softmax without bias has copies of some alone; fewer are it as
 * far as those that fall together were alike. Copies get the noise of adapt.c, or they would never part. */
#include "model/transfer.h"

#include <math.h>

/* The bank that a parameter belongs to: itself, or for what chooses among kernels the one with the same plain tensor.
 */
static const PlainSpec *bank_of(const Model *m, const PlainSpec *s)
{
    for (size_t k = 0; k < m->n_plain; k++)
        if (m->plain[k].gain && str_eq(m->plain[k].name, s->name) &&
            graph_param_spec(m->g, m->plain[k].param)->shape.rank > 1)
            return &m->plain[k];
    return NULL;
}

/* The tensor is the parameter's but for the number of kernels. */
static bool other_count(const Blob *b, const ParamSpec *p)
{
    const Shape *s = &p->file_shape;
    if (b->rank != s->rank || b->rank < 1 || b->dim[0] < 1 || b->dim[0] == s->dim[0]) return false;
    for (int d = 1; d < b->rank; d++)
        if (b->dim[d] != s->dim[d]) return false;
    return true;
}

/* Of the layer whose attention a bias belongs to: A.fc2.bias and A.temperature. */
static double temperature_of(const Model *m, const char *name)
{
    char path[512];
    int n = snprintf(path, sizeof path, "%s", name);
    for (int dots = 0; n > 0 && n < (int)sizeof path && dots < 2; dots += path[n] == '.')
        n--;
    snprintf(path + MAX(n, 0), sizeof path - (size_t)MAX(n, 0), ".temperature");
    int i = graph_find_param(m->g, path);
    return i >= 0 ? (double)m->w.data[graph_param_spec(m->g, i)->offset] : 1;
}

typedef struct Counts {
    int64_t file, model, each; /* kernels, and elements of one (or of one row of what chooses) */
} Counts;

/* How many stand for one: copies of the file's i where the model has more, else the file's that fall on the model's i.
 */
static int64_t crowd(const Counts *c, int64_t i)
{
    int64_t few = MIN(c->file, c->model), many = MAX(c->file, c->model);
    return (many - i + few - 1) / few;
}

static void resize_bank(float *w, const float *file, const Counts *c, bool sum, double noise, Rng *r)
{
    for (int64_t i = 0; i < MIN(c->file, c->model); i++) {
        int64_t n = crowd(c, i);
        if (c->model > c->file) {
            fill_bank(w + i * c->each, c->file * c->each, file + i * c->each, n, c->each, sum ? 1 / (double)n : 1,
                      noise, r);
            continue;
        }
        for (int64_t e = 0; e < c->each; e++) {
            double all = 0;
            for (int64_t k = i; k < c->file; k += c->model)
                all += (double)file[k * c->each + e];
            w[i * c->each + e] = (float)(sum ? all : all / (double)n);
        }
    }
}

/* weigh: of each row, what makes up for its crowd. */
static void resize_rows(float *w, const float *file, const Counts *c, double weigh)
{
    for (int64_t i = 0; i < c->model; i++) {
        int64_t n = crowd(c, i % MIN(c->file, c->model));
        double by = weigh * log((double)n);
        for (int64_t e = 0; e < c->each; e++) {
            double all = 0;
            int64_t rows = 0;
            for (int64_t k = i % c->file; k<c->file; k += c->model> c->file ? c->file : c->model, rows++)
                all += (double)file[k * c->each + e];
            w[i * c->each + e] = (float)(all / (double)rows + (c->model > c->file ? -by : by));
        }
    }
}

static Status resize(Model *m, const PlainSpec *s, const PlainSpec *bank, const Blob *b, const AdaptOptions *o,
                     Error *err)
{
    const ParamSpec *p = graph_param_spec(m->g, s->param);
    Counts c = { b->dim[0], p->file_shape.dim[0], blob_count(b) / b->dim[0] };
    float *file = mem_alloc((size_t)blob_count(b) * sizeof *file), *w = m->w.data + p->offset;
    if (!file) return fail_nomem(err, (size_t)blob_count(b) * sizeof *file);
    blob_to_f32(b, file);
    if (s->gain) {
        Rng r = noise_for(o, p->name);
        resize_bank(w, file, &c, bank->sum, o->noise, &r);
    } else {
        bool shifts = !bank->sum && p->kind == PARAM_BIAS;
        resize_rows(w, file, &c, shifts ? temperature_of(m, p->name) : 0);
    }
    mem_free(file);
    return DYN_OK;
}

Status adapt_experts(Model *m, const BlobIndex *x, const PlainSpec *s, int source, const AdaptOptions *o, Taken *taken,
                     Error *err)
{
    char buf[512];
    const PlainSpec *bank = bank_of(m, s);
    if (!bank) return DYN_OK;
    const ParamSpec *p = graph_param_spec(m->g, s->param), *of = graph_param_spec(m->g, bank->param);
    const Blob *kernels = index_find(x, name_in_row(of->name, source, buf, sizeof buf));
    if (!kernels || !other_count(kernels, of)) return DYN_OK;
    const Blob *b = index_find(x, name_in_row(p->name, source, buf, sizeof buf));
    *taken = TAKEN_RESIZED;
    if (b && other_count(b, p)) return resize(m, s, bank, b, o, err);
    if (s->gain)
        *taken = TAKEN_NOT;
    else /* nothing to choose by that fits: an even mix */
        memset(m->w.data + p->offset, 0, (size_t)shape_count(&p->shape) * sizeof(float));
    return DYN_OK;
}
