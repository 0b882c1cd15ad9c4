/* SPDX-License-Identifier: Apache-2.0
 *
 * Augmented training pictures per second of one core, cached in memory: make build/bench/bench_data;
 * build/bench/bench_data DATA.yaml [IMGSZ] [EPOCHS].
 * Processor time of the one thread that works, so that neighbours count for less; the best epoch is the figure. */
#include "data/data.h"

#include <stdlib.h>
#include <time.h>

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static Status epoch(Loader *l, int64_t e, int64_t *images, Error *err)
{
    Batch b = { .n = 1 };
    TRY(loader_start(l, e, 0, true, err));
    for (*images = 0; b.n; *images += b.n)
        TRY(loader_next(l, &b, NULL, err));
    return DYN_OK;
}

static Status measure(const char *yaml, int imgsz, int epochs, Arena *a, Error *err)
{
    DataConfig c;
    Dataset *ds;
    Loader *l;
    DatasetOptions d = DATASET_OPTIONS;
    LoaderOptions o = LOADER_OPTIONS;
    int64_t n;
    double best = 0;
    o.imgsz = imgsz, o.train = o.cache = true;
    TRY(data_config_read(a, yaml, &c, err));
    TRY(dataset_open(&ds, &c, &c.train, &d, NULL, err));
    TRY(loader_new(&l, ds, &o, NULL, err));
    for (int e = 0; e <= epochs; e++) { /* the first fills the cache */
        double start = cpu_ms();
        TRY(epoch(l, e, &n, err));
        double rate = (double)n * 1e3 / (cpu_ms() - start);
        if (e && rate > best) best = rate;
    }
    printf("%d x %d, mosaic, affine, HSV, flips, cached: %.0f pictures/s on one core\n", imgsz, imgsz, best);
    loader_free(&l);
    dataset_free(&ds);
    return DYN_OK;
}

int main(int argc, char **argv)
{
    Error err;
    Arena *a = arena_new();
    if (argc < 2 || !a) return 2;
    Status s = measure(argv[1], argc > 2 ? atoi(argv[2]) : 640, argc > 3 ? atoi(argv[3]) : 5, a, &err);
    if (s != DYN_OK) fprintf(stderr, "%s\n", err.text);
    arena_free(&a);
    return s != DYN_OK;
}
