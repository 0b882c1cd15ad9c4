/* SPDX-License-Identifier: Apache-2.0
 *
 * How the work of isa/conv_dw.c is cut: into blocks for the cache, and among threads. Sums of threads are added in
 * order: the same number of threads gives the same bits. */
#include "backend/cpu/conv_dw_util.h"

/* What a block may take of a second-level cache, beside the sums and what is still being read. */
enum { BLOCK_BYTES = 768 << 10, LINE = 64, CHUNK = 32 };

static int64_t blocks(int64_t count, int64_t size)
{
    return (count + size - 1) / size;
}

/* Sizes of a block of `rows` output rows. */
static void size_block(ConvDw *j, int64_t rows)
{
    int64_t pixels = blocks(rows * j->pitch + (j->reach > 0), CHUNK) * CHUNK;
    j->rows = rows;
    /* A line of zeros ahead, and an odd number of lines, so that a tile's rows are not all in the same few sets of a
     * cache. */
    j->dy_row = (blocks(2 * pixels, LINE) + 1) / 2 * 2 * LINE + LINE;
    j->dy_bytes = j->o_blocks * j->o_rows * j->dy_row;
    j->x_block = blocks(pixels + j->reach, CHUNK) * CHUNK * CONV_DW_TILE * 2;
    j->x_bytes = j->planes * j->c_blocks * j->x_block;
}

/* As many rows as the cache holds, in equal parts of an image; or several images. */
static void choose_block(ConvDw *j)
{
    const ConvJob *c = &j->conv;
    int64_t row = j->pitch * 2 * (j->o_blocks * j->o_rows + j->planes * j->c_blocks * CONV_DW_TILE);
    int64_t rows = CLAMP(BLOCK_BYTES / row - j->halo, 1, c->Ho);
    size_block(j, blocks(c->Ho, blocks(c->Ho, rows)));
    int64_t fit = BLOCK_BYTES / (j->dy_bytes + j->x_bytes);
    j->runs = j->rows < c->Ho ? 1 : CLAMP(fit, 1, MIN(j->N, CONV_DW_RUNS));
}

/* What a thread of `along` x `across` does, in cycles: turning its dy and all x of its rows, products of tiles, and its
 * share of adding the sums up. */
static double cost_of(const ConvDw *j, int64_t along, int64_t across)
{
    const ConvJob *c = &j->conv;
    double pixels = (double)(blocks(j->N * c->Ho, along) * j->pitch), mine = (double)blocks(j->o_blocks, across);
    double taps = (double)(c->kh * c->kw), tiles = (double)(c->kh * j->cols * j->c_blocks);
    double copies = mine * CONV_DW_TILE + (double)(j->planes * j->c_blocks * CONV_DW_TILE);
    double sums = (double)(c->O * c->C * along) * taps / (double)(along * across);
    return pixels * (copies / 2 + mine * tiles) + sums;
}

static void divide(ConvDwCore *s, int threads)
{
    double best = 0;
    for (int across = 1; across <= threads && across <= s->job.o_blocks; across++) {
        int along = (int)MIN(threads / across, s->job.N * s->job.conv.Ho);
        double cost = cost_of(&s->job, along, across);
        if (across > 1 && cost >= best) continue;
        best = cost, s->along = along, s->across = across;
    }
}

bool conv_dw_core(const Cpu *cpu, const DnnConv *c, int threads, ConvDwCore *s, char *why, size_t n)
{
    ConvCore core;
    *s = (ConvDwCore) { .isa = cpu->isa };
    if (c->x != BF16 || c->y != BF16) return decline(why, n, "not bf16");
    if (!cpu->isa->conv_dw_here()) return decline(why, n, "no tiles at level %s", cpu->isa->name);
    if (!conv_core(cpu, c, threads, &core, why, n)) return false;
    ConvDw *j = &s->job;
    *j = (ConvDw) { .conv = core.job, .N = c->n };
    bool join = c->kw > 1 && c->kw * c->c <= CONV_DW_TILE && c->dilation == 1;
    j->joined = join ? c->kw : 1, j->cols = join ? 1 : c->kw, j->channels = c->c * j->joined;
    int64_t right = (j->cols - 1) * c->dilation / c->stride;
    j->pitch = c->wo + right;
    j->halo = (c->kh - 1) * c->dilation / c->stride;
    j->reach = j->halo * j->pitch + right;
    j->plane_cols = conv_dw_phases(&j->conv, j->cols, c->stride);
    j->planes = conv_dw_phases(&j->conv, c->kh, c->stride) * j->plane_cols;
    j->o_blocks = blocks(c->o, CONV_DW_TILE);
    j->o_rows = blocks(c->o, j->o_blocks);
    j->c_blocks = blocks(j->channels, CONV_DW_TILE);
    j->zero_bytes = blocks(2 * MAX(j->channels, c->o), LINE) * LINE;
    choose_block(j);
    divide(s, core.threads);
    s->thread_bytes = (size_t)(j->zero_bytes + j->runs * (j->dy_bytes + j->x_bytes));
    s->sum_bytes = (size_t)(j->o_blocks * c->kh * j->cols * j->c_blocks * CONV_DW_SUMS) * sizeof(float);
    s->scratch_bytes = (size_t)s->along * s->sum_bytes + (size_t)(s->along * s->across) * s->thread_bytes;
    return true;
}

void conv_dw_compute(const ConvDwCore *s, const void *dy, int64_t dy_pixel, const void *x, int64_t x_pixel, float *dw,
                     void *scratch)
{
    ConvDw j = s->job;
    int threads = s->along * s->across;
    char *sums = scratch, *own = sums + (size_t)s->along * s->sum_bytes;
    j.conv.x = x, j.conv.x_pixel = x_pixel;
    j.conv.y = (char *)dy, j.conv.y_pixel = dy_pixel;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int i = 0; i < threads; i++) {
        int64_t lo, hi, o0, o1;
        share(j.N * j.conv.Ho, 1, i / s->across, s->along, &lo, &hi);
        share(j.o_blocks, 1, i % s->across, s->across, &o0, &o1);
        float *sum = (float *)(sums + (size_t)(i / s->across) * s->sum_bytes);
        s->isa->conv_dw(&j, lo, hi, o0, o1, sum, own + (size_t)i * s->thread_bytes);
    }
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int i = 0; i < threads; i++) {
        int64_t lo, hi, apart = (int64_t)(s->sum_bytes / sizeof(float));
        share(j.conv.O, 1, i, threads, &lo, &hi);
        s->isa->conv_dw_add(&j, (const float *)sums, s->along, apart, lo, hi, dw);
    }
}
