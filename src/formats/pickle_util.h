/* SPDX-License-Identifier: Apache-2.0
 *
 * pickle_util - how values come into being, shared by the machine (pickle.c) and by what it may build
 * (pickle_reduce.c). Private to the room. */
#ifndef FORMATS_PICKLE_UTIL_H
#define FORMATS_PICKLE_UTIL_H

#include "formats/pickle.h"

typedef struct PickleMaker {
    Arena *a;
    size_t n; /* values made */
    Error *err;
} PickleMaker;

/* Each fills *v and fails with DYN_NOMEM, or with DYN_FORMAT and a text without the place. */
Status pickle_new(PickleMaker *m, PickleKind kind, PickleValue **v);
/* STRING when asked for and possible, else BYTES; copied. */
Status pickle_text(PickleMaker *m, const char *s, size_t n, bool text, PickleValue **v);
Status pickle_global(PickleMaker *m, const char *module, size_t n_module, const char *name, size_t n_name,
                     PickleValue **v);
Status pickle_append(PickleMaker *m, PickleValue *list, PickleValue *item);
/* What calling (REDUCE) or making (NEWOBJ) would give. */
Status pickle_reduce(PickleMaker *m, PickleValue *callable, PickleValue *args, PickleValue **v);
/* A persistent id: ("storage", class, key, location, elements). */
Status pickle_storage(PickleMaker *m, const PickleValue *id, PickleValue **v);

#endif
