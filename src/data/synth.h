/* SPDX-License-Identifier: Apache-2.0
 *
 * The drawn data set from inside: private to the data room. */
#ifndef DATA_SYNTH_H
#define DATA_SYNTH_H

#include "data/data.h"

#include <cairo.h>

enum { SYNTH_MAX_OBJECTS = 16 };

/* Pixels and labels of a picture; a label is the extent of what is visible of an object. */
typedef struct SynthPicture {
    Image im; /* the caller frees it */
    Label label[SYNTH_MAX_OBJECTS];
    int n_labels;
    int quality; /* of the JPEG */
} SynthPicture;

/* synth_draw.c: picture number index of a split. */
Status synth_draw(const SynthOptions *opt, uint64_t split, int64_t index, SynthPicture *out, Error *err);

/* synth_shape.c: everything is drawn about the origin with radius 1. */
typedef struct Colour {
    double r, g, b;
} Colour;
Colour colour_hsv(double h, double s, double v); /* all 0..1 */
const char *shape_name(int cls);
void shape_path(cairo_t *cr, int cls);
/* Fills the current clip with the texture of a class, in two colours. */
void shape_texture(cairo_t *cr, int cls, Colour a, Colour b, Rng *r);
/* A smooth closed curve that is none of the classes. */
void shape_blob(cairo_t *cr, Rng *r);

#endif
