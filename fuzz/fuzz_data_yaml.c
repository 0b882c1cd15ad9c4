/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a data YAML. What is accepted has a name for every class. */
#include "data/data.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char path[64];
    Error err;
    DataConfig c;
    int fd = memfd_create("fuzz", 0);
    if (fd < 0 || write(fd, bytes, n) != (ssize_t)n) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    Arena *a = arena_new();
    if (data_config_read(a, path, &c, &err) == DYN_OK) {
        if (c.nc < 1 || !c.train.n || !c.val.n) abort();
        for (int i = 0; i < c.nc; i++)
            if (!c.names[i]) abort();
    }
    arena_free(&a);
    close(fd);
    return 0;
}
