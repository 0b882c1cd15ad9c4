/* SPDX-License-Identifier: Apache-2.0
 *
 * What a kernel for every sample costs: conv2d, and dynconv2d as Dynamic_conv2d, CondConv (4 kernels, a mixed bias) and
 * ODConv (with all scales, 1 and 4 kernels) use it, on the layers of yolov8 that become dynamic, batch 1 at 640x640,
 * all in turn; the best time of each. Caches hold other things when a layer's turn comes, so they are swept before each
 * run. build/bench/dynconv_shapes [n|s] [f32|bf16] [rounds] [threads] */
#include "backend/backend.h"
#include "ops/ops.h"

#include <stdio.h>
#include <stdlib.h>

static const struct Layer {
    int c, h, o, stride;
} layers[] = { { 3, 640, 16, 2 },   { 16, 320, 32, 2 }, { 32, 160, 64, 2 },  { 64, 80, 128, 2 },
               { 128, 40, 256, 2 }, { 64, 80, 64, 2 },  { 128, 40, 128, 2 }, { 16, 160, 16, 1 },
               { 32, 80, 32, 1 },   { 64, 40, 64, 1 },  { 128, 20, 128, 1 } };

/* K 0: conv2d */
static const struct Form {
    const char *name;
    int K;
    bool mix, scaled;
} forms[] = { { "conv2d", 0, false, false },
              { "4 kernels", 4, true, false },
              { "1, scaled", 1, false, true },
              { "4, scaled", 4, true, true } };
enum { N_FORM = COUNT_OF(forms) };

typedef struct Run {
    Kernel k;
    KernelArgs args;
    Tensor in[9], out;
    double best;
} Run;

static Tensor tensor(const Type *t)
{
    Tensor x = tensor_view(mem_alloc(type_bytes(t)), t);
    if (!x.data) exit(1);
    for (int64_t i = 0; i < tensor_count(&x); i++)
        dtype_store(x.data, t->dtype, i, (double)(i * 2654435761u % 1000) / 5000);
    return x;
}

static void prepare(Backend *b, const struct Layer *q, const struct Form *f, int wide, DType t, Run *r)
{
    static const char *const names[] = { "x", "bank", "mix", "bias_bank", "in_scale", "out_scale", "spatial", "b" };
    int C = q->c == 3 ? 3 : q->c << wide, O = q->o << wide;
    int64_t ho = (q->h - 1) / q->stride + 1;
    Type none = { .shape.rank = -1 };
    Type conv[] = { { t, false, SHAPE(1, C, q->h, q->h) }, { F32, true, SHAPE(O, C, 3, 3) }, { F32, false, SHAPE(O) } };
    Type dyn[] = { conv[0],
                   { F32, false, SHAPE(f->K, O, C, 3, 3) },
                   { F32, false, SHAPE(1, f->K, 1, 1) },
                   none,
                   { F32, false, SHAPE(1, C, 1, 1) },
                   { F32, false, SHAPE(1, O, 1, 1) },
                   { F32, false, SHAPE(1, 9, 1, 1) },
                   conv[2] };
    int n = f->K ? 8 : 3;
    Type *in = f->K ? dyn : conv, out = { t, false, SHAPE(1, O, ho, ho) };
    bool constant[8] = { false, true };
    Value v[8] = { { 0 } };
    Graph *g;
    Error err;
    char why[300] = "";
    if (!f->mix) dyn[2] = none;
    if (!f->scaled) dyn[4] = dyn[5] = dyn[6] = none;
    if (graph_new(&g, &err) != DYN_OK) exit(1);
    for (int i = 0; i < n; i++) {
        if (in[i].shape.rank < 0) continue;
        v[i] = graph_input(g, f->K ? names[i] : (const char *[]) { "x", "w", "b" }[i], in[i]);
        r->in[i] = tensor(&in[i]);
    }
    Attr attr[] = { A_INT("stride", q->stride), A_INT("pad", 1), A_TEXT("act", "silu") };
    Value y = graph_emit(g, f->K ? &op_dynconv2d : &op_conv2d, v, n, attr, 3);
    KernelPlan plan = {
        .node = value_node(g, y), .in = in, .out = &out, .in_const = constant, .threads = b->threads, .backend = b
    };
    if (!b->def->claim(b, &plan, &r->k, why, sizeof why)) printf("nobody takes it: %s\n", why), exit(1);
    r->out = tensor(&out), r->best = 1e9;
    r->args = (KernelArgs) { .in = r->in,
                             .out = &r->out,
                             .scratch = mem_alloc(r->k.scratch_bytes + 64),
                             .packed = mem_alloc(r->k.packed_bytes + 64) };
    if (!r->args.scratch || !r->args.packed || (r->k.pack && r->k.pack(&r->k, &r->args, &err) != DYN_OK)) exit(1);
    graph_free(&g);
}

/* Twice the second-level cache of each thread. */
static void sweep(Backend *b)
{
    enum { BYTES = 4 << 20 };
    static char *memory[64];
#pragma omp parallel for num_threads(b->threads)
    for (int i = 0; i < b->threads; i++) {
        if (!memory[i]) memory[i] = mem_alloc(BYTES);
        if (memory[i]) memset(memory[i], i, BYTES);
    }
}

int main(int argc, char **argv)
{
    Backend *b;
    Error err;
    double sum[N_FORM] = { 0 };
    int wide = argc > 1 && str_eq(argv[1], "s"), rounds = argc > 3 ? atoi(argv[3]) : 30;
    DType t = argc > 2 && str_eq(argv[2], "bf16") ? BF16 : F32;
    if (backend_open("cpu", argc > 4 ? atoi(argv[4]) : 0, NULL, &b, &err) != DYN_OK) return 1;
    printf("   C    H       O       ");
    for (int f = 0; f < N_FORM; f++)
        printf("%12s ms", forms[f].name);
    printf("   kernel\n");
    for (size_t i = 0; i < COUNT_OF(layers); i++) {
        Run run[N_FORM] = { 0 };
        for (int f = 0; f < N_FORM; f++)
            prepare(b, &layers[i], &forms[f], wide, t, &run[f]);
        for (int r = 0; r < rounds; r++)
            for (int f = 0; f < N_FORM; f++) {
                sweep(b);
                double start = clock_ms();
                if (run[f].k.run(&run[f].k, &run[f].args, &err) != DYN_OK) exit(1);
                run[f].best = MIN(run[f].best, clock_ms() - start);
            }
        printf("%4lld %4d -> %4lld  3x3/%d ", (long long)run[0].in[0].dim[1], layers[i].h, (long long)run[0].out.dim[1],
               layers[i].stride);
        for (int f = 0; f < N_FORM; f++) {
            Run *r = &run[f];
            printf("%15.3f", r->best);
            sum[f] += r->best;
            for (int k = 0; k < 9; k++)
                mem_free(r->in[k].data);
            mem_free(r->out.data);
            mem_free(r->args.scratch);
            mem_free(r->args.packed);
        }
        printf("   %s, %s\n", run[0].k.impl, run[3].k.impl);
        fflush(stdout);
        for (int f = 0; f < N_FORM; f++)
            if (run[f].k.free) run[f].k.free(&run[f].k);
    }
    printf("all                     ");
    for (int f = 0; f < N_FORM; f++)
        printf("%15.3f", sum[f]);
    printf("\n");
    backend_close(&b);
    return 0;
}
