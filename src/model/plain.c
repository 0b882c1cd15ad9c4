/* SPDX-License-Identifier: Apache-2.0
 *
 * What modules declare about plain layers that they stand in for. */
#include "model/transfer.h"

static void declare(Builder *b, const char *here, const char *plain, double gain, bool sum)
{
    Model *m = b->model;
    Error err;
    if (!m || graph_status(b->g, &err) != DYN_OK) return;
    const char *scope = graph_scope(b->g), *own = arena_printf(m->a, "%s.%s", scope, here);
    size_t len = own ? strlen(own) : 0;
    for (int i = 0; own && i < graph_n_params(b->g); i++) {
        const char *name = graph_param_spec(b->g, i)->name;
        if (!str_starts(name, own)) continue;
        const char *rest = name + len;
        if (*rest && *rest != '.') continue;
        const char *source = arena_printf(m->a, "%s.%s%s", scope, plain, gain ? rest : "");
        if (source && arena_grow(m->a, &m->plain, m->n_plain, &m->cap_plain, sizeof *m->plain))
            m->plain[m->n_plain++] = (PlainSpec) { i, source, gain, sum };
        else
            own = NULL;
    }
    if (!own) graph_fail(b->g, DYN_NOMEM, "out of memory");
}

void build_plain(Builder *b, const char *here, const char *plain, double gain)
{
    declare(b, here, plain, gain, false);
}

void build_plain_gated(Builder *b, const char *here, const char *plain, int64_t experts)
{
    declare(b, here, plain, 2 / (double)experts, true);
}

void build_plain_zero(Builder *b, const char *here, const char *plain)
{
    declare(b, here, plain, 0, false);
}

const PlainSpec *plain_of(const Model *m, int i)
{
    for (size_t k = 0; k < m->n_plain; k++)
        if (m->plain[k].param == i) return &m->plain[k];
    return NULL;
}
