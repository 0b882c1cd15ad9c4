/* SPDX-License-Identifier: Apache-2.0
 *
 * pt_util - the seam between a .pt file's container and its contents. Private to the room; the fuzzer enters here,
 * since a zip's checksums keep it out of the pickle otherwise. */
#ifndef FORMATS_PT_UTIL_H
#define FORMATS_PT_UTIL_H

#include "formats/pt.h"

/* Bytes of a storage. The callee checks that there are exactly `bytes` and gives them for the life of the arena. */
typedef struct PtStore {
    Status (*read)(void *user, const PickleStorage *s, size_t bytes, const void **data, Error *err);
    void *user;
    size_t copy_limit; /* bytes that tensors which are no plain piece of a storage may take in all */
} PtStore;

/* Fills *out from the value at the top of data.pkl. */
Status pt_walk(Arena *a, const char *file, const PickleValue *root, PtStore *store, PtFile *out, Error *err);
/* One tensor as a dense blob (name is left alone): a view into the storage where it can be, a copy where it must. */
Status pt_tensor(Arena *a, PtStore *store, const PickleTensor *t, Blob *b, Error *err);

#endif
