/* SPDX-License-Identifier: Apache-2.0
 *
 * share - constants, packed weights and the slab of the programs of one graph, held once and counted. */
#include "backend/program_impl.h"

Status share_new(Share **out, Error *err)
{
    Share *s = mem_alloc(sizeof *s);
    if (!s) return fail_nomem(err, sizeof *s);
    *s = (Share) { .holds = 1, .version = 1 };
    *out = s;
    return DYN_OK;
}

/* Entries have gone with the programs that used them. */
void share_free(Share **ss)
{
    Share *s = *ss;
    *ss = NULL;
    if (!s || --s->holds) return;
    if (s->slab) s->backend->def->release(s->backend, s->slab);
    mem_free(s);
}

void share_renew(Share *s)
{
    s->version++;
}

Status share_hold(Share *s, const Graph *g, Backend *b, Error *err)
{
    if (!s->graph) s->graph = g, s->backend = b;
    if (s->graph != g || s->backend != b)
        return fail(err, DYN_USAGE, "programs of different graphs or devices cannot share their constants");
    s->holds++;
    return DYN_OK;
}

Status share_take(Share *s, int value, const char *form, size_t bytes, ShareEntry **out, Error *err)
{
    for (ShareEntry *e = s->entry; *form && e; e = e->next)
        if (e->value == value && e->bytes == bytes && str_eq(e->form, form)) {
            e->users++;
            *out = e;
            return DYN_OK;
        }
    size_t n = strlen(form) + 1;
    ShareEntry *e = mem_alloc(sizeof *e + n);
    if (!e) return fail_nomem(err, sizeof *e + n);
    *e = (ShareEntry) { .next = s->entry, .value = value, .form = (char *)(e + 1), .bytes = bytes, .users = 1 };
    memcpy(e->form, form, n);
    if (!(e->data = s->backend->def->alloc(s->backend, MAX(bytes, (size_t)1)))) {
        mem_free(e);
        return fail_nomem(err, bytes);
    }
    s->entry = e;
    *out = e;
    return DYN_OK;
}

void share_give_back(Share *s, ShareEntry *e)
{
    if (!e || --e->users) return;
    ShareEntry **at = &s->entry;
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    s->backend->def->release(s->backend, e->data);
    mem_free(e);
}

/* The new slab comes before the old one goes: pages that nobody has touched cost nothing. */
bool share_reserve(Share *s, size_t bytes)
{
    if (s->slab && s->slab_bytes >= bytes) return true;
    char *slab = s->backend->def->alloc(s->backend, MAX(bytes, (size_t)1));
    if (!slab) return false;
    if (s->slab) s->backend->def->release(s->backend, s->slab);
    s->slab = slab;
    s->slab_bytes = bytes;
    return true;
}
