/* SPDX-License-Identifier: Apache-2.0
 *
 * Planes of a band and stacks of results: see conv_planes.h. */
#include "backend/cpu/isa/conv_planes.h"
#include "backend/cpu/isa/conv_band.h"

#if defined(__AMX_BF16__)

enum { PLANES_BYTES = 384 << 10 };

static int64_t parts(int64_t n, int64_t of)
{
    return (n + of - 1) / of;
}

static int64_t tiles_of(const ConvJob *j, int64_t quads, int64_t across, bool flat)
{
    return STACK * (flat ? parts((quads - 1) * across + j->Wo, TILE_ROWS) : quads * parts(j->Wo, TILE_ROWS));
}

bool conv_planes(const ConvJob *j, Planes *q)
{
    const int64_t of_pixel = conv_pixel_steps(j);
    if (j->stride != 1 || j->dilation != 1 || j->kh < 2 || j->kh > 3 || j->kw < 2) return false;
    *q = (Planes) { .across = j->Wo + j->kw - 1, .pixel = of_pixel * 4 };
    q->row = q->across * q->pixel;
    /* Bands of equal height. Rows of a kernel less one are in two planes twice. */
    const int64_t quads = parts(j->Ho, STACK), fit = (PLANES_BYTES / q->row - (j->kh - 1)) / STACK;
    const int64_t bands = parts(quads, fit < 1 ? 1 : fit), each = parts(quads, bands);
    q->rows = each * STACK;
    q->flat = tiles_of(j, each, q->across, true) < tiles_of(j, each, q->across, false);
    /* An odd number of lines: rows below each other in different sets of the first-level cache. */
    q->plane = ((each + 1) * q->row / 128 * 2 + 3) * 64;
    for (int64_t i = 0; i < STACK - 1 + j->kh; i++)
        q->seen[i] = i % STACK * q->plane + i / STACK * q->row;
    /* Where the channels of a pixel do not fill tiles, those of a kernel's row may. */
    const bool joined = of_pixel % CONV_TILE_STEPS != 0;
    const int64_t length = joined ? of_pixel * j->kw : of_pixel;
    q->steps = conv_tile_steps(length), q->outer = length / q->steps, q->inner = joined ? 1 : j->kw;
    /* Few channels: results take longer than products, and those of two vectors at once less than one by one. */
    int64_t mine = tiles_of(j, each, q->across, q->flat) * bands, theirs = j->Ho * parts(j->Wo, TILE_ROWS);
    return j->C > 32 ? mine * 10 <= theirs * 11 : mine * 10 <= theirs * 9;
}

int64_t conv_planes_bytes(const Planes *q)
{
    return STACK * q->plane;
}

void conv_planes_copy(const ConvJob *j, const Planes *q, int64_t row, int64_t end, char *to)
{
    const int64_t image = row / j->Ho, top = row % j->Ho - j->pad_h;
    for (int64_t i = 0; i < end - row + j->kh - 1; i++)
        conv_band_row(j, q->pixel, q->across, image, top + i, to + i % STACK * q->plane + i / STACK * q->row);
}

int conv_planes_results(const ConvJob *j, const Planes *q, int64_t row, int64_t end, int64_t line, int64_t begin,
                        int64_t at, int64_t M, int64_t lo, int64_t hi, Piece *p)
{
    const int64_t wide = j->Wo, image = row / j->Ho;
    int n = 0;
    for (int64_t i = at, run; i < begin + M; i += run) {
        const int64_t quad = q->flat ? i / q->across : line, col = i - (q->flat ? quad * q->across : 0);
        run = q->across - col;
        for (int64_t k = 0; k < STACK && col < wide; k++) {
            const int64_t of = row + quad * STACK + k, first = of * wide + col;
            int64_t from = first < lo ? lo : first, to = of * wide + wide;
            if (to > first + begin + M - i) to = first + begin + M - i;
            if (to > hi) to = hi;
            if (of >= end || from >= to) continue;
            p[n++] = (Piece) { .pixel = conv_result_row(j, image, of % j->Ho) + (from - of * wide) * j->y_every,
                               .skip = k * M + i - begin + from - first,
                               .count = to - from };
        }
    }
    return n;
}

#endif
