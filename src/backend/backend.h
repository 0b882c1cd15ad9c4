/* SPDX-License-Identifier: Apache-2.0
 *
 * backend - from a graph to something that runs.
 *
 *   Backend   a device: memory, and for each node the fastest kernel that accepts it
 *   Kernel    one node's chosen implementation: everything decided at plan time, run() only computes
 *   Program   a graph bound to one size, with a kernel a node, one slab of memory planned ahead, and its constants
 * folded
 *
 * Ops, passes and models know nothing of backends. A CUDA backend is one more BackendDef. */
#ifndef BACKEND_H
#define BACKEND_H

#include "graph/graph.h"

typedef struct Backend Backend;
typedef struct Kernel Kernel;
typedef struct Program Program;

enum { MAX_PORTS = 64 };

/* What a kernel is told when it is asked whether it takes a node. Types are bound; images are channels-last. */
typedef struct KernelPlan {
    const Node *node;
    const Type *in, *out; /* void inputs have rank -1 */
    const bool *in_const; /* the input does not change between loads: pack it in load() */
    int threads;
    Backend *backend;
} KernelPlan;

typedef struct KernelArgs {
    const Tensor *in; /* void inputs have data NULL */
    Tensor *out;
    void *scratch; /* Kernel.scratch_bytes, 64-byte aligned, contents undefined */
} KernelArgs;

struct Kernel {
    const char *impl;     /* what `benchmark` prints: "onednn brgconv:avx512_core", "cpu avx2", "ref" */
    void *state;          /* the kernel's own; free() releases it */
    size_t scratch_bytes; /* wanted while running */
    /* Bit i: input/output i may be a channel range of a wider image (stride[3] > dim[1]). Elsewhere the program copies.
     */
    uint64_t strided_in, strided_out;
    /* Constant inputs are known (again): pack weights. May be NULL. */
    Status (*load)(Kernel *k, const KernelArgs *a, Error *err);
    Status (*run)(Kernel *k, const KernelArgs *a, Error *err);
    void (*free)(Kernel *k);
};

/* The device. claim() fills a kernel (zeroed by the caller) and returns true, or declines with a reason (one line, may
 * be left empty); a node that nobody claims is run by `ref` on the host, slowly, and says so once. */
typedef struct BackendDef {
    const char *name;
    Status (*open)(Backend *b, Error *err); /* sets b->impl */
    void (*close)(Backend *b);
    void *(*alloc)(Backend *b, size_t bytes); /* 64-byte aligned device memory, NULL when there is none */
    void (*release)(Backend *b, void *p);
    void (*upload)(Backend *b, void *device, const void *host, size_t bytes);
    void (*download)(Backend *b, void *host, const void *device, size_t bytes);
    bool (*claim)(Backend *b, const KernelPlan *p, Kernel *k, char *why, size_t why_size);
    Status (*sync)(Backend *b, Error *err); /* waits for what run() started */
    bool bf16;                              /* set by open: bf16 is faster than f32 here */
} BackendDef;

struct Backend {
    const BackendDef *def;
    void *impl;
    int threads;
    bool fast_bf16; /* set by open: `precision=auto` takes bf16 */
    const Log *log;
};

extern const BackendDef backend_cpu, backend_ref;

/* name "cpu" or "ref"; threads 0: all cores. */
Status backend_open(const char *name, int threads, const Log *log, Backend **out, Error *err);
void backend_close(Backend **b);

/* ---- programs ----------------------------------------------------------------------------------------------- */

typedef struct ProgramSpec {
    const Graph *graph; /* must outlive the program */
    Binding bind;
    Backend *backend;   /* must outlive the program */
    const Slab *params; /* parameters and states; must outlive the program */
    const Slab *grads;  /* where outputs "grad:NAME" are written, a slab of the same form; NULL when there are none */
    bool fold;          /* parameters are constant between loads: nodes over them run once, in program_load */
} ProgramSpec;

/* Chooses kernels, plans memory; computes nothing. Call program_load before the first run. */
Status program_compile(const ProgramSpec *spec, Program **out, Error *err);
void program_free(Program **p);
/* Runs what depends on parameters alone and lets kernels pack their weights. Again after parameters changed
 * (fold=true). */
Status program_load(Program *p, Error *err);
/* Another slab of the same form to read parameters from (EMA instead of the model); takes effect at the next load (or
 * run, when not folded). */
void program_set_params(Program *p, const Slab *params);
Status program_run(Program *p, Error *err);
/* Memory of an input to fill before, and of an output to read after, a run (host memory; valid until the program is
 * freed). data NULL when there is no such name. */
Tensor program_input(const Program *p, const char *name);
Tensor program_output(const Program *p, const char *name);
/* Uses the caller's memory for an input instead (dense, same type), no copy; it must stay valid during runs. */
void program_bind_input(Program *p, const char *name, void *data);

typedef struct ProgramStats {
    size_t slab_bytes;     /* activations, planned */
    size_t const_bytes;    /* folded constants */
    size_t unshared_bytes; /* what activations would take without sharing memory */
    int n_steps;
    int peak_step; /* index of the step at which the slab is fullest */
    const char *peak_node;
} ProgramStats;
ProgramStats program_stats(const Program *p);

typedef struct StepInfo {
    const Node *node; /* NULL: a copy that the program inserted */
    const char *impl;
    Cost cost;
    size_t bytes_in, bytes_out;
    double ms; /* of the last timed run */
} StepInfo;
int program_n_steps(const Program *p);
StepInfo program_step(const Program *p, int i);
/* Like program_run, and remembers the time of every step. */
Status program_run_timed(Program *p, Error *err);

#endif
