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

void kernel_packs(Kernel *k, size_t bytes, Status (*pack)(Kernel *, const KernelArgs *, Error *), const char *form, ...)
{
    va_list ap;
    va_start(ap, form);
    int n = vsnprintf(k->packed_form, sizeof k->packed_form, form, ap);
    va_end(ap);
    if (n < 0 || n >= (int)sizeof k->packed_form) *k->packed_form = 0;
    k->packed_bytes = bytes;
    k->pack = pack;
}

void backend_close(Backend **b)
{
    if (!*b) return;
    (*b)->def->close(*b);
    mem_free(*b);
    *b = NULL;
}
