/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes that begin like a zip are read as a .pt file; all others as the pickle inside one, with storages made of thin
 * air, since the zip's checksums would keep a fuzzer out of it. */
#include "formats/pt_util.h"

#include <stdlib.h>

static volatile double sink; /* so that the reads are not optimised away */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static Status invent(void *user, const PickleStorage *s, size_t bytes, const void **data, Error *err)
{
    if (bytes > 1 << 20) return fail(err, DYN_FORMAT, "too large for a fuzzer");
    *data = arena_alloc(user, bytes);
    return *data ? DYN_OK : fail_nomem(err, bytes);
}

static void read_all(const PtFile *f)
{
    for (size_t i = 0; i < f->blobs.n; i++)
        for (int64_t k = 0; k < blob_count(&f->blobs.blob[i]); k++)
            sink += dtype_load(f->blobs.blob[i].data, f->blobs.blob[i].dtype, k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    Arena *a = arena_new();
    Error err;
    PtFile f;
    PickleValue *root;
    Status s;
    if (!a) return 0;
    if (n && data[0] == 'P') {
        s = pt_parse(a, "fuzz.pt", data, n, &f, &err);
    } else {
        PtStore store = { .read = invent, .user = a, .copy_limit = 1 << 22 };
        s = pickle_parse(a, "fuzz.pt", data, n, &root, &err);
        if (s == DYN_OK) s = pt_walk(a, "fuzz.pt", root, &store, &f, &err);
    }
    if (s == DYN_OK) {
        read_all(&f);
        pt_module(&f, "model.1.cv1.act");
    }
    arena_free(&a);
    return 0;
}
