/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a data YAML. What is accepted has a name for every class. */
#include "data/data.h"
#include "fuzz_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    Error err;
    DataConfig c;
    Arena *a = arena_new();
    if (data_config_read(a, fuzz_file("data.yaml", bytes, n), &c, &err) == DYN_OK) {
        if (c.nc < 1 || !c.train.n || !c.val.n) abort();
        for (int i = 0; i < c.nc; i++)
            if (!c.names[i]) abort();
    }
    arena_free(&a);
    return 0;
}
