/* SPDX-License-Identifier: Apache-2.0
 *
 * backend_ref - runs every operator's plain reference on the host. Slow, and the oracle of all other backends; they
 * also fall back to its kernel for nodes that nothing faster takes. */
#include "backend/ref.h"

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    const Node *n = k->state;
    n->op->ref(&(RefCall) { .n = n, .in = a->in, .out = a->out });
    return DYN_OK;
}

void ref_kernel(const KernelPlan *p, Kernel *k)
{
    *k = (Kernel) {
        .impl = "ref", .state = (void *)p->node, .run = run, .strided_in = ~(uint64_t)0, .strided_out = ~(uint64_t)0
    };
}

static bool claim(Backend *b, const KernelPlan *p, Kernel *k, char *why, size_t why_size)
{
    ref_kernel(p, k);
    return true;
}

static Status open_ref(Backend *b, Error *err)
{
    return DYN_OK;
}

static void close_ref(Backend *b)
{
}

void *host_alloc(Backend *b, size_t bytes)
{
    return mem_alloc(bytes);
}

void host_release(Backend *b, void *p)
{
    mem_free(p);
}

void host_copy(Backend *b, void *to, const void *from, size_t bytes)
{
    memcpy(to, from, bytes);
}

static Status sync_host(Backend *b, Error *err)
{
    return DYN_OK;
}

const BackendDef backend_ref = { .name = "ref",
                                 .open = open_ref,
                                 .close = close_ref,
                                 .alloc = host_alloc,
                                 .release = host_release,
                                 .upload = host_copy,
                                 .download = host_copy,
                                 .claim = claim,
                                 .sync = sync_host };
