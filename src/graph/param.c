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

/* Element k of n. */
static double subpixel(int64_t k, int64_t n, int64_t side)
{
    int64_t part = k < n / 2 ? k % side : k / side % side;
    return ((double)part - 0.5 * (double)(side - 1)) / (double)side;
}

static float initial(const Init *init, int64_t k, int64_t n, Rng *r)
{
    switch (init->kind) {
    case INIT_UNIFORM: return (float)rng_uniform(r, -init->a, init->a);
    case INIT_NORMAL: return (float)(rng_normal(r) * init->a);
    case INIT_ARANGE: return (float)k;
    case INIT_SUBPIXEL: return (float)subpixel(k, n, (int64_t)init->a);
    default: return (float)init->a;
    }
}

static bool is_drawn(const Init *init)
{
    return init->kind == INIT_UNIFORM || init->kind == INIT_NORMAL;
}

static void fill(const Graph *g, Slab *s, uint64_t seed, bool drawn)
{
    for (size_t i = 0; i < g->n_param; i++) {
        const ParamSpec *p = g->param[i];
        if (p->offset < 0 || (is_drawn(&p->init) && !drawn)) continue;
        float *w = s->data + p->offset;
        int64_t n = shape_count(&p->shape);
        Rng r = rng_at(seed, 0, 0, rng_key(p->name));
        for (int64_t k = 0; k < n; k++)
            w[k] = initial(&p->init, k, n, &r);
    }
}

void slab_init(const Graph *g, Slab *s, uint64_t seed)
{
    fill(g, s, seed, true);
}

void slab_init_known(const Graph *g, Slab *s)
{
    fill(g, s, 0, false);
}
