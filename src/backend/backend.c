/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend.h"

#include <unistd.h>

Status backend_open(const char *name, int threads, const Log *log, Backend **out, Error *err)
{
    static const BackendDef *const known[] = { &backend_cpu, &backend_ref };
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (!str_eq(known[i]->name, name)) continue;
        Backend *b = mem_alloc(sizeof *b);
        if (!b) return fail_nomem(err, sizeof *b);
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        *b = (Backend) { .def = known[i], .threads = threads > 0 ? threads : (int)MAX(cores, 1), .log = log };
        Status s = b->def->open(b, err);
        if (s != DYN_OK) {
            mem_free(b);
            return s;
        }
        *out = b;
        return DYN_OK;
    }
    return fail(err, DYN_USAGE, "unknown device '%s': this build has cpu and ref", name);
}

void backend_close(Backend **b)
{
    if (!*b) return;
    (*b)->def->close(*b);
    mem_free(*b);
    *b = NULL;
}
