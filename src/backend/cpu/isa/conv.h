/* SPDX-License-Identifier: Apache-2.0
 *
 * What a convolution is to the vector code of conv.c: an image, packed weights, an epilogue. */
#ifndef ISA_CONV_H
#define ISA_CONV_H

/* How a level takes the weights for images of a type: one panel after another, panel p holding the vectors of outputs
 * that conv_panel(p) names; a panel is [kh][kw][steps][vectors * lanes], a step one input channel as f32, or a pair of
 * them as bf16. Missing outputs and the missing half of an odd pair are zero. */
typedef struct ConvForm {
    int lanes, vectors; /* floats in a vector, vectors in a panel at most */
    bool pairs, tiles;  /* tiles: summed by AMX */
} ConvForm;
typedef struct ConvJob {
    const char *x, *w; /* element (0,0,0,0) of the images; the packed weights */
    const char *zeros; /* C elements of x's type: what lies outside the image */
    DType type;        /* of x */
    int64_t C, H, W, Ho, Wo, O;
    int64_t x_pixel, y_pixel, res_pixel; /* elements from pixel to pixel; rows and images follow densely */
    int64_t kh, kw, stride, pad_h, pad_w, dilation;
    /* Where pixel (h,w) of the result lies: (y_top + h y_every, y_left + w y_every) of an image of y_high x y_wide
     * pixels. Tiles only; elsewhere images are dense. */
    int64_t y_top, y_left, y_every, y_high, y_wide;
    const float *bias; /* NULL: none */
    const char *res;   /* type of y; NULL: none */
    char *y;
    DType y_type;
    Act act;
    /* NULL: none. Tiles only, for results in bf16 without activation and residual: [2][O], mean and m2 of what is
     * stored. */
    double *moments;
} ConvJob;

enum { CONV_MAX_TAPS = 64 };

/* Outputs are cut into panels as evenly as they go. */
static inline int64_t conv_vectors(int64_t O, ConvForm f)
{
    return (O + f.lanes - 1) / f.lanes;
}
static inline int64_t conv_panels(int64_t O, ConvForm f)
{
    return (conv_vectors(O, f) + f.vectors - 1) / f.vectors;
}
/* The first vector of panel p; panel p + 1 begins where p ends. */
static inline int64_t conv_panel(int64_t O, ConvForm f, int64_t p)
{
    return conv_vectors(O, f) * p / conv_panels(O, f);
}

/* With tiles, equal parts of as many steps as one holds: the steps of what lies in a row must divide well. */
enum { CONV_TILE_STEPS = 16 };
static inline int64_t conv_tile_steps(int64_t run)
{
    int64_t k = run < CONV_TILE_STEPS ? run : CONV_TILE_STEPS;
    while (run % k)
        k--;
    return k;
}

/* Winograd: a block of tiles is transformed, multiplied and transformed back in the second-level cache. Weights are
 * packed like a kernel of 16 taps, a panel being [16][C][vectors * lanes]. */
static inline int64_t winograd_tiles(int64_t C)
{
    int64_t fit = (600 << 10) / (16 * 4 * (C + 64));
    return fit < 24 ? 24 : fit > 192 ? 192 : fit / 24 * 24;
}

#endif
