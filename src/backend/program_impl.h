/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of a Program. A place says where a value's bytes are; tensors are views computed from places whenever a base
 * address changes (link). */
#ifndef PROGRAM_IMPL_H
#define PROGRAM_IMPL_H

#include "backend/backend.h"
#include "backend/plan.h"

/* ---- share.c: constants and packed weights by value and form, and the slab */

typedef struct ShareEntry {
    struct ShareEntry *next;
    int value;  /* id: the constant itself, or output 0 of the node whose weights are packed */
    char *form; /* the type of a constant; a kernel's form and the types that it packs; "": nobody else's */
    size_t bytes;
    void *data;       /* of the backend */
    int users;        /* programs */
    uint64_t version; /* of the parameters that it was made from; 0: not made yet */
} ShareEntry;

struct Share {
    Backend *backend; /* of the first program */
    const Graph *graph;
    int holds; /* the creator's and one for each program */
    uint64_t version;
    ShareEntry *entry;
    char *slab;
    size_t slab_bytes;
};

/* One hold more. Fails when the share belongs to another graph or backend. */
Status share_hold(Share *s, const Graph *g, Backend *b, Error *err);
/* The entry of a value and form, made when there is none. */
Status share_take(Share *s, int value, const char *form, size_t bytes, ShareEntry **out, Error *err);
void share_give_back(Share *s, ShareEntry *e);
/* Room for so many bytes of activations: the slab may move. False when there is no memory (the old one stays). */
bool share_reserve(Share *s, size_t bytes);

static inline bool share_fresh(const Share *s, const ShareEntry *e)
{
    return e->version >= s->version;
}

typedef enum Base {
    BASE_NONE,
    BASE_SLAB,  /* index: buffer */
    BASE_CONST, /* index: constant; memory of the share */
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
    ShareEntry *packed; /* NULL when the kernel packs nothing */
    bool *in_const;
    Port *in, *out;
    Tensor *tin, *tout;
    int scratch;                 /* buffer, -1 when none */
    int moments_in, moments_out; /* likewise */
    double ms;
} Step;

typedef struct Constant {
    int value;         /* id */
    const void *given; /* NODE_CONST: row-major bytes to copy from; else computed by a step */
    ShareEntry *entry;
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
    Share *share;
    bool own_share;
    PlanResult plan;
    const char *linked; /* the slab that the steps' tensors point into; NULL: they must be linked */
};

/* layout.c: fills place[] so that channel ranges share memory with the whole where that is possible; is_const by value
 * id. */
Status program_layout(Program *p, const bool *is_const, Error *err);
int program_new_buffer(Program *p, size_t bytes); /* -1 when out of memory */
/* Addresses from places; after a base moved. */
void program_link(Program *p);

#endif
