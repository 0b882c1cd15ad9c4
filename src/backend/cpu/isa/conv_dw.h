/* SPDX-License-Identifier: Apache-2.0
 *
 * The weights' gradient of a convolution of bf16 images as a product of matrices over pixels:
 * dw[o][c,a,b] = sum over output pixels of dy[pixel][o] * x[where tap a,b reads for that pixel][c].
 *
 * It goes in blocks of output rows that fit the second-level cache together. Of a block, dy is turned into a row of
 * pixels for each output, and x into pairs of pixels: the forms in which tiles want the two factors. Both lie in grids
 * of one pitch, with zeros for padding, so that from one tap to the next it is a fixed number of pixels, the shift, for
 * the whole block, and one copy serves all taps. Where outputs are stride pixels apart, x falls into up to stride *
 * stride grids, its phases. An odd shift would cut through pairs of x, so one pixel of it is taken from dy's side.
 *
 * Where a kernel's row of kw pixels has no more channels than a tile has columns (the three of a picture), it is taken
 * for one pixel of kw * C channels: they lie side by side, and a kernel of kh x 1 taps is left. */
#ifndef ISA_CONV_DW_H
#define ISA_CONV_DW_H

typedef struct ConvDw {
    ConvJob conv; /* geometry, and at each run x, y (dy) and their pixels */
    int64_t N;
    /* A block is up to `runs` times up to `rows` successive output rows of an image. */
    int64_t rows, runs;
    int64_t joined, cols; /* pixels taken for one, taps side by side that are left: 1 and kw, or kw and 1 */
    /* Outputs are cut into o_blocks of o_rows, the last may have fewer; joined * C channels into c_blocks of 16. */
    int64_t o_blocks, o_rows, channels, c_blocks;
    int64_t pitch, halo;        /* of grids: width, rows of x beyond those of dy */
    int64_t planes, plane_cols; /* phases, and how many of them side by side */
    int64_t reach;              /* the largest shift */
    /* Bytes: a row of dy turned, all of them; a block of channels of a phase, all of x, for one run of rows. */
    int64_t dy_row, dy_bytes, x_block, x_bytes;
    int64_t zero_bytes; /* what padding is read from */
} ConvDw;

/* Sums are [o_blocks][kh][cols][c_blocks][16][16]. */
enum { CONV_DW_TILE = 16, CONV_DW_SUMS = 256, CONV_DW_RUNS = 32 };

/* How many phases below `end` are read by any of n successive taps of one dimension: tap a reads phase a * dilation
 * modulo stride, and only those that are read have a plane. */
static inline int64_t conv_dw_phases(const ConvJob *c, int64_t n, int64_t end)
{
    int64_t read = 0;
    for (int64_t p = 0; p < end; p++) {
        int64_t a = 0;
        while (a < n && a * c->dilation % c->stride != p)
            a++;
        read += a < n;
    }
    return read;
}

#endif
