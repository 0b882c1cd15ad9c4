/* SPDX-License-Identifier: Apache-2.0
 *
 * Stacks: four tiles of sums, a row of the result below the other, for convolutions of conv_amx.c at stride 1 whose
 * image is copied. They see the same rows of the image: at 3x3, 12 products need 6 tiles of pixels and 3 of weights,
 * where pairs of pieces and vectors need 12.
 *
 * Row i of a band lies in plane i mod 4. There the pixels of every fourth row of the result are one line: where that
 * saves tiles (`flat`), a tile goes on behind the end of a row, over the padding, whose sums nobody stores, in the next
 * one. Rows of 20 or 40 pixels cost few tiles more than their pixels fill. */
#ifndef CONV_PLANES_H
#define CONV_PLANES_H

#include "backend/cpu/isa/tiles.h"

#if defined(__AMX_BF16__)

enum { STACK = 4, STACK_SEEN = 6, STACK_RESULTS = STACK * (TILE_ROWS / 2 + 1) };

/* M pixels of the result, of which `count` are stored from the `skip`th on, as `pixel` and those behind it. Of a stack,
 * `skip` counts through the sums of all its rows, and tiles begin elsewhere. */
typedef struct Piece {
    const char *a;
    int64_t pixel, skip, count;
} Piece;

/* A product of tiles goes by `steps` steps of weights. They are counted in two loops, so that the pixels that the inner
 * one reads stay in the first-level cache. */
typedef struct Planes {
    bool flat;
    int64_t rows, across;        /* of the result in a band; pixels of a row, with its padding */
    int64_t pixel, row, plane;   /* bytes of each */
    int64_t steps, outer, inner; /* inner: taps, or 1 where a row of the kernel is one run */
    int64_t seen[STACK_SEEN];    /* where the rows of the image lie that a stack sees, in bytes */
} Planes;

/* Where the first row's tile begins; the results, `n` from the first on. */
typedef struct Stack {
    const char *a;
    const Piece *first;
    int n;
} Stack;

/* False: not for this job. */
bool conv_planes(const ConvJob *j, Planes *q);
int64_t conv_planes_bytes(const Planes *q);
/* What the result's rows [row, end), counted through images but all of one, see. */
void conv_planes_copy(const ConvJob *j, const Planes *q, int64_t row, int64_t end, char *to);
/* Lines of a band of `quads` times four rows, and their pixels. */
static inline int64_t planes_lines(const Planes *q, int64_t quads)
{
    return q->flat ? 1 : quads;
}
static inline int64_t planes_line(const ConvJob *j, const Planes *q, int64_t quads)
{
    return q->flat ? (quads - 1) * q->across + j->Wo : j->Wo;
}
/* The results of a stack that begins at pixel `begin` of a line, from pixel `at` on, as far as they are pixels of the
 * result in [lo, hi) and rows of the band [row, end). Returns how many, at most STACK_RESULTS. */
int conv_planes_results(const ConvJob *j, const Planes *q, int64_t row, int64_t end, int64_t line, int64_t begin,
                        int64_t at, int64_t M, int64_t lo, int64_t hi, Piece *p);

/* Tiles 0 to 3 are the sums, 4 to 6 weights of the kernel's rows, 7 a row of the image. */
INLINE void stack_shapes(const Planes *q, int64_t M)
{
    TileShapes s = { 0 };
    for (int i = 0; i < STACK; i++)
        tile_shape(&s, i, (int)M, TILE_BYTES);
    for (int i = STACK; i < 7; i++)
        tile_shape(&s, i, (int)q->steps, TILE_BYTES);
    tile_shape(&s, 7, (int)M, 4 * (int)q->steps);
    tiles_begin(&s);
}

enum { STACK_PARTS = 3 };

/* The products of a tile's steps for all four rows, in parts, between which other work may go on. x: pixels of the
 * first row; w: weights of the kernel's first row, `row` bytes from row to row, `step` from step to step. */
INLINE void stack_multiply(const Planes *q, const char *x, const char *w, int64_t row, int64_t step, const int kh,
                           const int part)
{
#define SEE(i) _tile_loadd(7, x + q->seen[i], q->pixel)
    if (part == 0) {
        _tile_loadd(4, w, step);
        SEE(0);
        _tile_loadd(5, w + row, step);
        _tile_dpbf16ps(0, 7, 4);
        SEE(1);
        if (kh == 3) _tile_loadd(6, w + 2 * row, step);
        _tile_dpbf16ps(0, 7, 5);
        _tile_dpbf16ps(1, 7, 4);
    } else if (part == 1) {
        SEE(2);
        if (kh == 3) _tile_dpbf16ps(0, 7, 6);
        _tile_dpbf16ps(1, 7, 5);
        _tile_dpbf16ps(2, 7, 4);
        SEE(3);
        if (kh == 3) _tile_dpbf16ps(1, 7, 6);
        _tile_dpbf16ps(2, 7, 5);
        _tile_dpbf16ps(3, 7, 4);
    } else {
        SEE(4);
        if (kh == 3) _tile_dpbf16ps(2, 7, 6);
        _tile_dpbf16ps(3, 7, 5);
        if (kh == 3) {
            SEE(5);
            _tile_dpbf16ps(3, 7, 6);
        }
    }
#undef SEE
}

#endif
#endif
