/* SPDX-License-Identifier: Apache-2.0
 *
 * backend - from a graph to something that runs.
 *
 *   Backend   a device: memory, and for each node the fastest kernel that accepts it
 *   Kernel    one node's chosen implementation: everything decided at plan time, run() only computes
 *   Program   a graph bound to one size, with a kernel a node, one slab of memory planned ahead, and its constants
 *             folded
 *   Share     what programs of one graph for several sizes hold once: constants, packed weights, the slab
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
    const bool *in_const; /* the input does not change between loads: kernel_packs */
    int threads;
    Backend *backend;
    bool moments_wanted; /* of output 0: Kernel.gives_moments */
} KernelPlan;

typedef struct KernelArgs {
    const Tensor *in; /* void inputs have data NULL */
    Tensor *out;
    void *scratch;            /* Kernel.scratch_bytes, 64-byte aligned, contents undefined */
    void *packed;             /* Kernel.packed_bytes: pack() writes them, run() reads them; NULL when it wants none */
    const double *moments_in; /* of input 0, [2][C]; NULL: nobody gave them */
    double *moments_out;      /* of output 0; NULL: the kernel does not give them */
} KernelArgs;

enum { PACKED_FORM = 192 };

struct Kernel {
    const char *impl;     /* what `benchmark` prints: "onednn brgconv:avx512_core", "cpu avx2", "ref" */
    void *state;          /* the kernel's own; free() releases it */
    size_t scratch_bytes; /* wanted while running */
    /* Bit i: input/output i may be a channel range of a wider image (stride[3] > dim[1]). Elsewhere the program copies.
     */
    uint64_t strided_in, strided_out;
    /* Constant inputs in a form of the kernel's own, set by kernel_packs: the program owns the memory, pack() fills it
     * when the inputs become known (again), before the first run. */
    size_t packed_bytes;
    char packed_form[PACKED_FORM];
    /* Moments: of each channel over batch and space the mean, and the summed squared distance from it. A batchnorm that
     * normalises a batch by its own statistics begins with a walk over memory for them; who writes the image can sum up
     * what it stores while it is in registers. A kernel that was told that they are wanted may say here that run()
     * writes them to moments_out; the batchnorm finds them in moments_in. */
    bool gives_moments;
    Status (*pack)(Kernel *k, const KernelArgs *a, Error *err);
    Status (*run)(Kernel *k, const KernelArgs *a, Error *err);
    void (*free)(Kernel *k);
};

/* For claim(): the kernel wants `bytes` (64-byte aligned) for constant inputs in its own form, made by pack from
 * KernelArgs.in into KernelArgs.packed. The form is a name for that layout: programs for other sizes whose kernel of
 * the same node names the same form get the same bytes and do not pack again. So it must name everything that the bytes
 * depend on besides the values and types of the node's constant inputs: layout, element type, vector width, padding;
 * never anything that it does not depend on, like the size of the image or the number of threads. An empty form, or one
 * that does not fit, is shared with nobody. */
void kernel_packs(Kernel *k, size_t bytes, Status (*pack)(Kernel *, const KernelArgs *, Error *), const char *form, ...)
    PRINTF_LIKE(4, 5);

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

/* ---- what programs have in common --------------------------------------------------------------------------- */

/* Programs of one graph, backend and parameters that are compiled for several input sizes hold once: folded constants,
 * weights packed by kernels (the same node in the same form), and the slab of activations, which is as large as the
 * largest of them wants. So one more size costs its kernels' making and little memory, but only one of the programs is
 * at work at a time: a program's outputs are valid until another program of the share is compiled, loaded or run.
 * Not thread-safe: a share and its programs belong to one thread at a time. Programs hold a count, so that the share
 * and they are freed in any order. */
typedef struct Share Share;
Status share_new(Share **out, Error *err);
void share_free(Share **s); /* gives up the caller's hold */
/* Parameters changed: constants and packed weights are made again by the next program_load of each program, which must
 * come before its next run. */
void share_renew(Share *s);

/* ---- programs ----------------------------------------------------------------------------------------------- */

typedef struct ProgramSpec {
    const Graph *graph; /* must outlive the program */
    Binding bind;
    Backend *backend;   /* must outlive the program */
    const Slab *params; /* parameters and states; must outlive the program */
    const Slab *grads;  /* where outputs "grad:NAME" are written, a slab of the same form; NULL when there are none */
    bool fold;          /* parameters are constant between loads: nodes over them run once, in program_load */
    Share *share;       /* with other programs of the same graph, backend and params; NULL: with nobody */
} ProgramSpec;

/* Chooses kernels, plans memory; computes nothing. Call program_load before the first run. */
Status program_compile(const ProgramSpec *spec, Program **out, Error *err);
void program_free(Program **p);
/* Runs what depends on parameters alone and lets kernels pack their weights. Again after parameters changed
 * (fold=true). A program with a share makes only what the others have not made since share_renew. */
Status program_load(Program *p, Error *err);
/* Another slab of the same form to read parameters from (EMA instead of the model); takes effect at the next load (or
 * run, when not folded). */
void program_set_params(Program *p, const Slab *params);
Status program_run(Program *p, Error *err);
/* Memory of an input to fill before, and of an output to read after, a run (host memory; valid until the program is
 * freed; outputs of a program with a share as said there). data NULL when there is no such name. */
Tensor program_input(const Program *p, const char *name);
Tensor program_output(const Program *p, const char *name);
/* Uses the caller's memory for an input instead (dense, same type), no copy; it must stay valid during runs. */
void program_bind_input(Program *p, const char *name, void *data);

typedef struct ProgramStats {
    size_t slab_bytes;     /* activations, planned */
    size_t const_bytes;    /* folded constants and packed weights, shared ones included */
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
    bool gives_moments;
} StepInfo;
int program_n_steps(const Program *p);
StepInfo program_step(const Program *p, int i);
/* Like program_run, and remembers the time of every step. */
Status program_run_timed(Program *p, Error *err);

#endif
