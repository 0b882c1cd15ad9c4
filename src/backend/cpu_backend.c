/* SPDX-License-Identifier: Apache-2.0
 *
 * backend_cpu - host memory, and the kernels of cpu/ asked by falling priority. The environment variable DYN_CPU caps
 * the vector level for tests: sse2, avx2, avx512, avx512bf16, amx; "ref" lets no kernel claim, so that everything runs
 * by its plain reference. */
#include "backend/cpu/cpu.h"
#include "backend/cpu/onednn_util.h"

#include <stdlib.h>

#define X(name) extern const CpuKernel cpu_##name;
#include <backend_cpu.gen.h>
#undef X

static const CpuKernel *const kernels[] = {
#define X(name) &cpu_##name,
#include <backend_cpu.gen.h>
#undef X
};

static void close_cpu(Backend *b)
{
    Cpu *cpu = b->impl;
    if (!cpu) return;
    dnn_free(&cpu->dnn);
    mem_free(cpu);
    b->impl = NULL;
}

static Status open_cpu(Backend *b, Error *err)
{
    const char *cap = getenv("DYN_CPU");
    Cpu *cpu = mem_alloc(sizeof *cpu);
    if (!cpu) return fail_nomem(err, sizeof *cpu);
    *cpu = (Cpu) { 0 };
    b->impl = cpu;
    if (cap && str_eq(cap, "ref")) return DYN_OK;
    cpu->isa = isa_pick(cap);
    if (cpu->isa) cpu->dnn = dnn_new();
    if (cpu->isa && cpu->dnn) {
        b->fast_bf16 = cpu->isa->conv_form(BF16).pairs;
        return DYN_OK;
    }
    Status s = cpu->isa ? fail_nomem(err, sizeof *cpu)
                        : fail(err, DYN_USAGE, "DYN_CPU=%s: wants ref, sse2, avx2, avx512, avx512bf16 or amx", cap);
    close_cpu(b);
    return s;
}

static void *alloc_host(Backend *b, size_t bytes)
{
    return mem_alloc(bytes);
}

static void release_host(Backend *b, void *p)
{
    mem_free(p);
}

static void copy_host(Backend *b, void *to, const void *from, size_t bytes)
{
    memcpy(to, from, bytes);
}

static bool names_op(const char *list, const char *op)
{
    size_t n = strlen(op);
    for (const char *s = list; (s = strstr(s, op)); s += n)
        if ((s == list || s[-1] == ' ') && (s[n] == ' ' || !s[n])) return true;
    return false;
}

/* The kernel that follows `after` in priority (equal ones in the order of their names); NULL: the first. */
static const CpuKernel *next_kernel(const CpuKernel *after)
{
    const CpuKernel *best = NULL;
    bool seen = !after; /* `after` has been passed in the list */
    for (size_t i = 0; i < COUNT_OF(kernels); i++) {
        const CpuKernel *k = kernels[i];
        bool later = !after || k->priority < after->priority || (k->priority == after->priority && seen && k != after);
        if (after && k == after) seen = true;
        if (later && (!best || k->priority > best->priority)) best = k;
    }
    return best;
}

static bool claim(Backend *b, const KernelPlan *p, Kernel *k, char *why, size_t why_size)
{
    const Cpu *cpu = b->impl;
    size_t at = 0;
    char reason[160];
    if (why_size) *why = 0;
    if (!cpu->isa) return decline(why, why_size, "DYN_CPU=ref");
    for (const CpuKernel *c = next_kernel(NULL); c; c = next_kernel(c)) {
        if (!names_op(c->ops, p->node->op->name)) continue;
        *reason = 0;
        *k = (Kernel) { 0 };
        if (c->claim(cpu, p, k, reason, sizeof reason)) return true;
        if (at < why_size) at += (size_t)snprintf(why + at, why_size - at, "%s%s: %s", at ? "; " : "", c->name, reason);
    }
    *k = (Kernel) { 0 };
    return false;
}

static Status sync_host(Backend *b, Error *err)
{
    return DYN_OK;
}

const BackendDef backend_cpu = { .name = "cpu",
                                 .open = open_cpu,
                                 .close = close_cpu,
                                 .alloc = alloc_host,
                                 .release = release_host,
                                 .upload = copy_host,
                                 .download = copy_host,
                                 .claim = claim,
                                 .sync = sync_host };
