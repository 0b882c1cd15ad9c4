/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of a Program. A place says where a value's bytes are; tensors are views computed from places whenever a base
 * address changes (link). */
#ifndef PROGRAM_IMPL_H
#define PROGRAM_IMPL_H

#include "backend/backend.h"
#include "backend/plan.h"

typedef enum Base {
    BASE_NONE,
    BASE_SLAB,  /* index: buffer */
    BASE_CONST, /* index: constant; memory that lives as long as the program */
    BASE_PARAM, /* index: parameter */
    BASE_GRAD,  /* index: parameter */
    BASE_INPUT  /* index: program input */
} Base;

typedef struct Place {
    Base base;
    int index;
    int64_t channel;  /* first channel within the image that lies there */
    int64_t channels; /* channels of that image; 0: the value is dense by itself */
} Place;

typedef struct Port {
    Place place;
    Type type;
} Port;

typedef struct Step {
    const Node *node;  /* what computes; a private copy node for copies */
    const Node *cause; /* the graph's node that it is for */
    bool inserted;     /* a copy that the graph does not have */
    bool constant;     /* runs in program_load only */
    Kernel kernel;
    bool *in_const;
    Port *in, *out;
    Tensor *tin, *tout;
    int scratch; /* buffer, -1 when none */
    double ms;
} Step;

typedef struct Constant {
    size_t bytes;
    const void *given; /* NODE_CONST: row-major bytes to copy from; else computed by a step */
    void *data;
} Constant;

typedef struct ProgramInput {
    const char *name;
    Type type;
    void *own, *bound;
} ProgramInput;

struct Program {
    Arena *a;
    ProgramSpec spec;
    Type *types;  /* by value id */
    Place *place; /* by value id */
    Step *step;
    size_t n_step, cap_step;
    PlanBuffer *buffer;
    size_t n_buffer, cap_buffer;
    Constant *constant;
    size_t n_constant, cap_constant;
    ProgramInput *input;
    size_t n_input, cap_input;
    char *slab;
    PlanResult plan;
    bool linked;
};

/* layout.c: fills place[] so that channel ranges share memory with the whole where that is possible; is_const by value
 * id. */
Status program_layout(Program *p, const bool *is_const, Error *err);
int program_new_buffer(Program *p, size_t bytes); /* -1 when out of memory */
/* Addresses from places; after a base moved. */
void program_link(Program *p);

#endif
