/* SPDX-License-Identifier: Apache-2.0
 *
 * What a kernel for every sample costs over one for all: dynconv2d and its two gradients beside conv2d and its, on the
 * five stride-2 convolutions that recipes make dynamic (spec H.1), 640x640. Both in turn, round after round in one
 * process; prints the best CPU time of each, which a busy machine disturbs little. `scaled` adds ODConv's scales; K is
 * the number of kernels in the bank. build/bench/dynconv_train [n|s] [f32|bf16] [batch] [K] [plain|scaled] [rounds]
 * [threads] */
#include "backend/backend.h"
#include "ops/ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const struct Row {
    int c, h, o;
} rows[] = { { 32, 160, 64 }, { 64, 80, 128 }, { 128, 40, 256 }, { 64, 80, 64 }, { 128, 40, 128 } };

typedef struct Setting {
    Backend *b;
    int64_t wide, batch, kernels;
    DType t;
    bool scaled;
    int rounds;
} Setting;

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static Tensor tensor(const Type *t)
{
    Tensor x = tensor_view(mem_alloc(type_bytes(t)), t);
    if (!x.data) exit(1);
    for (int64_t i = 0; i < tensor_count(&x); i++)
        dtype_store(x.data, t->dtype, i, (double)(i * 2654435761u % 1000) / 5000 + 0.1);
    return x;
}

typedef struct Job {
    Graph *g;
    const Node *n;
    Kernel k;
    KernelArgs args;
    Tensor in[16], out[16];
    double best;
} Job;

static bool is_param(const Type *t)
{
    return t->rowmajor || t->shape.rank == 5;
}

/* Tensors and a kernel for a node; `inference`: parameters are constants. */
static void prepare(const Setting *s, Job *j, bool inference)
{
    Error err;
    Type in[16], out[16];
    bool constant[16] = { false };
    char why[256] = "";
    for (int i = 0; i < j->n->n_in; i++) {
        in[i] = j->n->in[i].id ? *value_type(j->g, j->n->in[i]) : (Type) { .shape.rank = -1 };
        constant[i] = inference && is_param(&in[i]);
        j->in[i] = j->n->in[i].id ? tensor(&in[i]) : (Tensor) { .rank = -1 };
    }
    for (int i = 0; i < j->n->n_out; i++) {
        out[i] = *value_type(j->g, value_at(j->n->out, i));
        j->out[i] = tensor(&out[i]);
    }
    KernelPlan plan = {
        .node = j->n, .in = in, .out = out, .in_const = constant, .threads = s->b->threads, .backend = s->b
    };
    if (!s->b->def->claim(s->b, &plan, &j->k, why, sizeof why)) {
        fprintf(stderr, "no kernel for %s: %s\n", j->n->op->name, why);
        exit(1);
    }
    j->args = (KernelArgs) {
        .in = j->in, .out = j->out, .scratch = mem_alloc(j->k.scratch_bytes), .packed = mem_alloc(j->k.packed_bytes)
    };
    if (j->k.pack && j->k.pack(&j->k, &j->args, &err) != DYN_OK) exit(1);
    j->best = 1e9;
}

static void release(Job *j)
{
    for (int i = 0; i < j->n->n_in; i++)
        mem_free(j->in[i].data);
    for (int i = 0; i < j->n->n_out; i++)
        mem_free(j->out[i].data);
    mem_free(j->args.scratch);
    mem_free(j->args.packed);
    if (j->k.free) j->k.free(&j->k);
}

/* Nodes of the operator on inputs `in`: itself, and the two gradients that it emits for images and for parameters. */
static Graph *nodes(const OpDef *op, const Type *in, int n_in, const Node **node)
{
    Error err;
    Graph *g;
    Value v[9] = { 0 }, dx[9] = { 0 };
    bool need[9];
    Attr attr[] = { A_INT("stride", 2), A_INT("pad", 1) };
    if (graph_new(&g, &err) != DYN_OK) exit(1);
    for (int i = 0; i < n_in; i++) {
        if (in[i].shape.rank >= 0) v[i] = graph_input(g, "in", in[i]);
        need[i] = v[i].id != 0;
    }
    Value y = graph_emit(g, op, v, n_in, attr, 2), dy = graph_input(g, "dy", *value_type(g, y));
    node[0] = value_node(g, y);
    op->grad(&(Grad) { .g = g, .n = node[0], .in = v, .out = &y, .dy = &dy, .dx = dx, .need = need });
    if (graph_status(g, &err) != DYN_OK) exit(1);
    node[1] = value_node(g, dx[0]);
    node[2] = value_node(g, dx[1]);
    return g;
}

static void time_row(const Setting *s, const struct Row *r, double total[2][3])
{
    int64_t C = r->c * s->wide, O = r->o * s->wide, N = s->batch, K = s->kernels;
    Type none = { .shape.rank = -1 }, x = { .dtype = s->t, .shape = SHAPE(N, C, r->h, r->h) };
    Type plain[] = { x, { .dtype = F32, .rowmajor = true, .shape = SHAPE(O, C, 3, 3) } };
    Type dynamic[] = { x, { .dtype = F32, .shape = SHAPE(K, O, C, 3, 3) }, none, none, none, none, none };
    if (K > 1) dynamic[2] = (Type) { .dtype = F32, .shape = SHAPE(N, K, 1, 1) };
    if (s->scaled) {
        dynamic[4] = (Type) { .dtype = F32, .shape = SHAPE(N, C, 1, 1) };
        dynamic[5] = (Type) { .dtype = F32, .shape = SHAPE(N, O, 1, 1) };
        dynamic[6] = (Type) { .dtype = F32, .shape = SHAPE(N, 9, 1, 1) };
    }
    Error err;
    Job job[2][3] = { 0 };
    const Node *node[2][3];
    Graph *g[2] = { nodes(&op_conv2d, plain, 2, node[0]), nodes(&op_dynconv2d, dynamic, 7, node[1]) };
    for (int d = 0; d < 2; d++)
        for (int i = 0; i < 3; i++) {
            job[d][i].g = g[d], job[d][i].n = node[d][i];
            prepare(s, &job[d][i], N == 1);
        }
    for (int round = 0; round < s->rounds; round++)
        for (int i = 0; i < 3; i++)
            for (int d = 0; d < 2; d++) {
                Job *j = &job[d][i];
                double t0 = now_ms();
                if (j->k.run(&j->k, &j->args, &err) != DYN_OK) exit(1);
                j->best = MIN(j->best, now_ms() - t0);
            }
    printf("%4lld -> %4lld  %3d", (long long)C, (long long)O, r->h);
    for (int i = 0; i < 3; i++) {
        printf("   %8.3f %8.3f %5.2f", job[0][i].best, job[1][i].best, job[1][i].best / job[0][i].best);
        for (int d = 0; d < 2; d++)
            total[d][i] += job[d][i].best;
    }
    printf("   %.1f MB scratch; %s, %s\n", (double)job[1][2].k.scratch_bytes * 1e-6, job[1][0].k.impl,
           job[1][2].k.impl);
    for (int i = 0; i < 6; i++)
        release(&job[i / 3][i % 3]);
    graph_free(&g[0]);
    graph_free(&g[1]);
}

int main(int argc, char **argv)
{
    const char *arg[] = { "n", "bf16", "16", "4", "plain", "10", "1" };
    Error err;
    double total[2][3] = { { 0 } };
    for (int i = 1; i < argc && i <= (int)COUNT_OF(arg); i++)
        arg[i - 1] = argv[i];
    Setting s = { .wide = str_eq(arg[0], "s") ? 2 : 1,
                  .t = str_eq(arg[1], "bf16") ? BF16 : F32,
                  .batch = atoi(arg[2]),
                  .kernels = atoi(arg[3]),
                  .scaled = str_eq(arg[4], "scaled"),
                  .rounds = atoi(arg[5]) };
    if (backend_open("cpu", atoi(arg[6]), NULL, &s.b, &err) != DYN_OK) return 1;
    printf("ms of conv2d, of dynconv2d, ratio     forward              gradient of x              gradients of "
           "parameters\n");
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        time_row(&s, &rows[i], total);
    printf("all             ");
    for (int i = 0; i < 3; i++)
        printf("   %8.3f %8.3f %5.2f", total[0][i], total[1][i], total[1][i] / total[0][i]);
    printf("\n");
    backend_close(&s.b);
    return 0;
}
