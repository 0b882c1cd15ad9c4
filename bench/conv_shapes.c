/* SPDX-License-Identifier: Apache-2.0
 *
 * Times every CPU kernel of conv2d on the convolutions of a YOLOv8 model at 640x640, batch 1: all kernels in turn,
 * round after round in one process, and prints the best time of each with its GFLOP/s. Minima, and with one thread its
 * own processor time, so that a busy machine disturbs little. build/bench/conv_shapes [n|s] [f32|bf16] [rounds]
 * [threads] */
#include "backend/cpu/cpu.h"
#include "ops/ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

extern const CpuKernel cpu_conv_winograd, cpu_conv_direct, cpu_onednn_conv;
static const CpuKernel *const kernels[] = { &cpu_conv_winograd, &cpu_conv_direct, &cpu_onednn_conv };
enum { N_KERNEL = COUNT_OF(kernels) };

/* yolov8n's convolutions: C H O k stride, how often, residual. `s` doubles the channels, but for the image, the 64 box
 * bins and the classes. */
static const struct Shape_ {
    int c, h, o, k, stride, times, res;
} shapes[] = {
    { 3, 640, 16, 3, 2, 1, 0 },   { 16, 320, 32, 3, 2, 1, 0 },  { 32, 160, 32, 1, 1, 1, 0 },
    { 16, 160, 16, 3, 1, 2, 1 },  { 48, 160, 32, 1, 1, 1, 0 },  { 32, 160, 64, 3, 2, 1, 0 },
    { 64, 80, 64, 1, 1, 1, 0 },   { 32, 80, 32, 3, 1, 6, 1 },   { 128, 80, 64, 1, 1, 1, 0 },
    { 64, 80, 128, 3, 2, 1, 0 },  { 128, 40, 128, 1, 1, 1, 0 }, { 64, 40, 64, 3, 1, 9, 1 },
    { 256, 40, 128, 1, 1, 1, 0 }, { 128, 40, 256, 3, 2, 1, 0 }, { 256, 20, 256, 1, 1, 1, 0 },
    { 128, 20, 128, 3, 1, 4, 1 }, { 384, 20, 256, 1, 1, 2, 0 }, { 256, 20, 128, 1, 1, 1, 0 },
    { 512, 20, 256, 1, 1, 1, 0 }, { 384, 40, 128, 1, 1, 1, 0 }, { 192, 40, 128, 1, 1, 2, 0 },
    { 192, 80, 64, 1, 1, 1, 0 },  { 96, 80, 64, 1, 1, 1, 0 },   { 64, 80, 64, 3, 2, 1, 0 },
    { 128, 40, 128, 3, 2, 1, 0 }, { 64, 80, 64, 3, 1, 2, 0 },   { 64, 80, 80, 3, 1, 1, 0 },
    { 80, 80, 80, 3, 1, 1, 0 },   { 128, 40, 64, 3, 1, 1, 0 },  { 128, 40, 80, 3, 1, 1, 0 },
    { 80, 40, 80, 3, 1, 1, 0 },   { 256, 20, 64, 3, 1, 1, 0 },  { 64, 20, 64, 3, 1, 1, 0 },
    { 256, 20, 80, 3, 1, 1, 0 },  { 80, 20, 80, 3, 1, 1, 0 },   { 80, 80, 80, 1, 1, 1, 0 },
    { 64, 20, 64, 1, 1, 1, 0 },
};

static clockid_t measured = CLOCK_MONOTONIC;

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(measured, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static Tensor tensor(const Type *t, double scale)
{
    Tensor x = tensor_view(mem_alloc(type_bytes(t)), t);
    if (!x.data) exit(1);
    for (int64_t i = 0; i < tensor_count(&x); i++) {
        float v = (float)(scale * ((double)(i * 2654435761u % 1000) / 500 - 1));
        if (t->dtype == F32)
            ((float *)x.data)[i] = v;
        else
            ((uint16_t *)x.data)[i] = f32_to_bf16(v);
    }
    return x;
}

static int scaled(int c, int wide)
{
    return wide && c != 3 && c != 80 ? 2 * c : c;
}

typedef struct Total {
    double ms[N_KERNEL], best, gflop;
} Total;

static void time_shape(Backend *b, const struct Shape_ *q, int wide, DType t, int rounds, Total *total)
{
    Error err;
    Graph *g;
    int C = scaled(q->c, wide), O = scaled(q->o, wide);
    if (graph_new(&g, &err) != DYN_OK) exit(1);
    int64_t ho = (q->h + 2 * (q->k / 2) - q->k) / q->stride + 1;
    Type type[5] = { { .dtype = t, .shape = SHAPE(1, C, q->h, q->h) },
                     { .dtype = F32, .shape = SHAPE(O, C, q->k, q->k), .rowmajor = true },
                     { .dtype = F32, .shape = SHAPE(O) },
                     { .dtype = t, .shape = SHAPE(1, O, ho, ho) } };
    Value in[4];
    for (int i = 0; i < 4; i++)
        in[i] = graph_input(g, (const char *[]) { "x", "w", "b", "res" }[i], type[i]);
    Attr attr[] = { A_INT("stride", q->stride), A_INT("pad", q->k / 2), A_TEXT("act", "silu") };
    int n_in = q->res ? 4 : 3;
    Value y = graph_emit(g, &op_conv2d, in, n_in, attr, 3);
    type[4] = type[3];
    Tensor x[4], out = tensor(&type[4], 0);
    for (int i = 0; i < 4; i++)
        x[i] = tensor(&type[i], i == 1 ? 0.1 : 1);
    bool constant[4] = { false, true, true, false };
    KernelPlan plan = {
        .node = value_node(g, y), .in = type, .out = &type[4], .in_const = constant, .threads = b->threads, .backend = b
    };
    Kernel k[N_KERNEL];
    KernelArgs args[N_KERNEL];
    double best[N_KERNEL];
    char why[200];
    for (int i = 0; i < N_KERNEL; i++) {
        k[i] = (Kernel) { 0 };
        best[i] = 1e9;
        if (!kernels[i]->claim(b->impl, &plan, &k[i], why, sizeof why)) continue;
        args[i] = (KernelArgs) {
            .in = x, .out = &out, .scratch = mem_alloc(k[i].scratch_bytes), .packed = mem_alloc(k[i].packed_bytes)
        };
        if (k[i].pack && k[i].pack(&k[i], &args[i], &err) != DYN_OK) exit(1);
    }
    for (int r = 0; r < rounds; r++)
        for (int i = 0; i < N_KERNEL; i++) {
            if (!k[i].run) continue;
            double t0 = now_ms();
            if (k[i].run(&k[i], &args[i], &err) != DYN_OK) exit(1);
            best[i] = MIN(best[i], now_ms() - t0);
        }
    double gflop = 2e-9 * (double)(ho * ho * O * C * q->k * q->k), fastest = 1e9;
    printf("%4d %4d -> %4d  %dx%d/%d x%d ", C, q->h, O, q->k, q->k, q->stride, q->times);
    for (int i = 0; i < N_KERNEL; i++) {
        if (k[i].run)
            printf("  %8.3f ms %6.0f", best[i], gflop / best[i] * 1e3);
        else
            printf("%18s -", "");
        fastest = MIN(fastest, best[i]);
    }
    for (int i = 0; i < N_KERNEL; i++) {
        total->ms[i] += q->times * (k[i].run ? best[i] : fastest);
        if (k[i].run) mem_free(args[i].scratch), mem_free(args[i].packed);
        if (k[i].free) k[i].free(&k[i]);
    }
    printf("\n");
    fflush(stdout);
    total->best += q->times * fastest;
    total->gflop += q->times * gflop;
    for (int i = 0; i < 4; i++)
        mem_free(x[i].data);
    mem_free(out.data);
    graph_free(&g);
}

int main(int argc, char **argv)
{
    Backend *b;
    Error err;
    Total total = { 0 };
    int wide = argc > 1 && str_eq(argv[1], "s"), rounds = argc > 3 ? atoi(argv[3]) : 30;
    DType t = argc > 2 && str_eq(argv[2], "bf16") ? BF16 : F32;
    if (argc > 4 && atoi(argv[4]) == 1) measured = CLOCK_THREAD_CPUTIME_ID;
    if (backend_open("cpu", argc > 4 ? atoi(argv[4]) : 0, NULL, &b, &err) != DYN_OK) return 1;
    printf("   C    H       O                ");
    for (int i = 0; i < N_KERNEL; i++)
        printf("%20s", kernels[i]->name);
    printf("\n");
    for (size_t i = 0; i < COUNT_OF(shapes); i++)
        time_shape(b, &shapes[i], wide, t, rounds, &total);
    printf("all, ms:");
    for (int i = 0; i < N_KERNEL; i++)
        printf("  %s %.2f", kernels[i]->name, total.ms[i]);
    printf("  fastest of each %.2f; %.2f GFLOP\n", total.best, total.gflop);
    backend_close(&b);
    return 0;
}
