/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as safetensors; every byte of every tensor that is handed out is read. */
#include "formats/blob.h"

#include <stdlib.h>

static volatile double sink; /* so that the reads are not optimised away */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    Arena *a = arena_new();
    Error err;
    BlobFile f;
    if (!a) return 0;
    if (safetensors_parse(a, "fuzz", data, n, &f, &err) == DYN_OK) {
        for (size_t i = 0; i < f.n; i++)
            for (int64_t k = 0; k < blob_count(&f.blob[i]); k++)
                sink += dtype_load(f.blob[i].data, f.blob[i].dtype, k);
        if (blob_check_names(a, &f, "fuzz", &err) != DYN_OK) abort();
    }
    arena_free(&a);
    return 0;
}
