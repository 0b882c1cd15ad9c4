/* SPDX-License-Identifier: Apache-2.0
 *
 * The slab of parameters and their initial values. */
#include "graph/graph_impl.h"

Status slab_new(const Graph *g, Slab *s, Error *err)
{
    size_t bytes = (size_t)g->slab_n * sizeof(float);
    s->n = g->slab_n;
    if (!(s->data = mem_alloc(bytes))) return fail_nomem(err, bytes);
    memset(s->data, 0, bytes);
    return DYN_OK;
}

void slab_free(Slab *s)
{
    mem_free(s->data);
    *s = (Slab) { 0 };
}

void slab_init(const Graph *g, Slab *s, uint64_t seed)
{
    for (size_t i = 0; i < g->n_param; i++) {
        const ParamSpec *p = g->param[i];
        if (p->offset < 0) continue;
        float *w = s->data + p->offset;
        int64_t n = shape_count(&p->shape);
        Rng r = rng_at(seed, 0, 0, rng_key(p->name));
        for (int64_t k = 0; k < n; k++)
            switch (p->init.kind) {
            case INIT_CONST: w[k] = (float)p->init.a; break;
            case INIT_UNIFORM: w[k] = (float)rng_uniform(&r, -p->init.a, p->init.a); break;
            case INIT_NORMAL: w[k] = (float)(rng_normal(&r) * p->init.a); break;
            case INIT_ARANGE: w[k] = (float)k; break;
            }
    }
}
