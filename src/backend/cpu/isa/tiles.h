/* SPDX-License-Identifier: Apache-2.0
 *
 * AMX tiles, at the level amx alone. A tile is up to 16 rows of up to 64 bytes; sum [M][16] f32 += a [M][2k] bf16 times
 * b [k][16] pairs of bf16, as panels of packed weights hold them. The shapes are a register of the thread: oneDNN sets
 * its own whenever one of its kernels begins, and so must each share of work here; what a kernel leaves is nobody's. */
#ifndef TILES_H
#define TILES_H

#include "backend/cpu/isa/vec.h"

#if defined(__AMX_BF16__)

enum { TILE_ROWS = 16, TILE_BYTES = 64, N_TILE = 8 };

typedef struct TileShapes {
    uint8_t palette, start_row, unused[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} TileShapes;

INLINE void tile_shape(TileShapes *s, int tile, int rows, int row_bytes)
{
    s->palette = 1;
    s->rows[tile] = (uint8_t)rows, s->row_bytes[tile] = (uint16_t)row_bytes;
}

/* The compilers do not see that a tile load reads memory: what was written before must be there. */
INLINE void tiles_fence(void)
{
    __asm__ volatile("" ::: "memory");
}

/* Tiles are zero afterwards. gcc takes the first eight bytes for all that the instruction reads. */
INLINE void tiles_begin(const TileShapes *s)
{
    __asm__ volatile("" ::"r"(s) : "memory");
    _tile_loadconfig(s);
}

/* Back to no state at all, which spares the kernel saving 8 KB at every switch of threads. */
INLINE void tiles_end(void)
{
    _tile_release();
}

#endif
#endif
