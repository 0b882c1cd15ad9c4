/* SPDX-License-Identifier: Apache-2.0
 *
 * What one more input shape costs a detector: the first time of each of twelve shapes (compile, fold, pack), in
 * milliseconds. The first shape pays for all that the others share. Minimum and median of the rest are what a folder
 * of pictures in many aspect ratios feels. build/bench/new_shape MODEL [f32|bf16] [threads] */
#include "detect/detector.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void check(Status s, const Error *err)
{
    if (s == DYN_OK) return;
    fprintf(stderr, "new_shape: %s\n", err->text);
    exit(1);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The process's processor time: what a busy machine disturbs least, and with one thread what a quiet one would take. */
static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void print(const char *clock, double *ms, int n)
{
    qsort(ms + 1, (size_t)n - 1, sizeof *ms, by_value);
    printf("%s: first %.2f ms, then min %.2f, median %.2f\n", clock, ms[0], ms[1], ms[n / 2]);
}

int main(int argc, char **argv)
{
    static const int size[][2] = { { 640, 640 }, { 480, 640 }, { 640, 480 }, { 448, 640 }, { 640, 448 }, { 384, 640 },
                                   { 512, 640 }, { 640, 512 }, { 416, 640 }, { 544, 640 }, { 640, 384 }, { 320, 640 } };
    enum { N = COUNT_OF(size) };
    Error err;
    Model *m;
    Backend *b;
    Detector *d;
    double wall[N], cpu[N];
    check(model_load(argc > 1 ? argv[1] : "yolov8n.yaml", &(ModelOptions) { 0 }, &m, &err), &err);
    check(backend_open("cpu", argc > 3 ? atoi(argv[3]) : 0, NULL, &b, &err), &err);
    DetectorSpec spec = { m->g, &m->w, b, argc > 2 && str_eq(argv[2], "bf16") ? BF16 : F32, true };
    check(detector_new(&spec, &d, &err), &err);
    for (int i = 0; i < N; i++) {
        Program *p;
        double start = clock_ms(), start_cpu = cpu_ms();
        check(detector_program(d, 1, size[i][0], size[i][1], &p, &err), &err);
        wall[i] = clock_ms() - start;
        cpu[i] = cpu_ms() - start_cpu;
    }
    print("wall", wall, N);
    print("cpu ", cpu, N);
    detector_free(&d);
    model_free(&m);
    backend_close(&b);
    return 0;
}
