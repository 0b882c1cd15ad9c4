/* SPDX-License-Identifier: Apache-2.0
 *
 * pickle - Python's object stream as plain values. A restricted machine: it builds values and never looks up, imports
 * or calls anything. What Python would have constructed by calling a class becomes an OBJECT that remembers the class's
 * name, the arguments and the state. */
#ifndef FORMATS_PICKLE_H
#define FORMATS_PICKLE_H

#include "base/dtype.h"

typedef enum PickleKind {
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_FLOAT,
    PICKLE_STRING, /* UTF-8 without a zero byte, so a C string */
    PICKLE_BYTES,  /* bytes, and texts that are no C string */
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_SET,
    PICKLE_DICT, /* dict, OrderedDict, defaultdict: item[2k] key, item[2k+1] value, in order */
    PICKLE_GLOBAL,
    PICKLE_OBJECT,
    PICKLE_STORAGE,
    PICKLE_TENSOR,
} PickleKind;

enum {
    PICKLE_MAX_BYTES = 64 << 20,
    PICKLE_MAX_VALUES = 4000000,
    PICKLE_MAX_RANK = 8,
};

typedef struct PickleValue PickleValue;

/* torch.FloatStorage and its kin: bytes kept outside the stream under a key. */
typedef struct PickleStorage {
    const char *key;
    const char *class_name; /* "HalfStorage" */
    bool known;             /* whether dtype.h has its type */
    DType dtype;
    int64_t n; /* elements */
} PickleStorage;

/* A view of a storage, in elements; offset, sizes and strides were checked against the storage's n. */
typedef struct PickleTensor {
    const PickleStorage *storage;
    int rank;
    int64_t offset, dim[PICKLE_MAX_RANK], stride[PICKLE_MAX_RANK];
} PickleTensor;

struct PickleValue {
    PickleKind kind;
    union {
        bool b;
        int64_t i;
        double f;
        struct {
            const char *s; /* a zero byte follows the n bytes */
            size_t n;
        } text; /* STRING, BYTES; GLOBAL: s is "module.name" */
        struct {
            PickleValue **item;
            size_t n, cap;
        } list; /* TUPLE, LIST, SET, DICT */
        struct {
            const char *path;   /* "ultralytics.nn.modules.block.C2f"; "" when the class was itself computed */
            PickleValue *args;  /* never NULL, a TUPLE unless the file is odd */
            PickleValue *state; /* what BUILD gave, NULL when nothing did */
        } object;
        const PickleStorage *storage;
        const PickleTensor *tensor;
    };
};

/* Values may be shared and, in a hostile file, may contain themselves: whoever walks them limits depth and number.
 *
 * Understands protocol 2 and the forms that protocols 3 to 5 add (spec 10.3). Dicts, sets, torch.Size, pathlib paths,
 * tensors and parameters become values of their own kind. Errors are DYN_FORMAT with "file: byte N of data.pkl: ...".
 */
Status pickle_parse(Arena *a, const char *file, const void *data, size_t n, PickleValue **root, Error *err);

static inline bool pickle_is(const PickleValue *v, PickleKind k)
{
    return v && v->kind == k;
}
/* Value of a text key in a DICT, the last one when there are several; NULL when absent or v is no DICT (or NULL). */
const PickleValue *pickle_get(const PickleValue *v, const char *key);
/* The same in the state of an OBJECT. */
const PickleValue *pickle_attr(const PickleValue *v, const char *name);
/* What Python would call true. */
bool pickle_truthy(const PickleValue *v);

#endif
