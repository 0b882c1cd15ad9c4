/* SPDX-License-Identifier: Apache-2.0
 *
 * For readers that want a path: the bytes as a file in a folder of this process, which goes when it ends. */
#ifndef FUZZ_FILE_H
#define FUZZ_FILE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char fuzz_folder[] = "/tmp/dynyolo-fuzz-XXXXXX", fuzz_path[sizeof fuzz_folder + 64];

static void fuzz_file_remove(void)
{
    unlink(fuzz_path);
    rmdir(fuzz_folder);
}

/* Path of the file, the same in each call. */
static const char *fuzz_file(const char *name, const uint8_t *bytes, size_t n)
{
    if (!*fuzz_path) {
        if (!mkdtemp(fuzz_folder)) abort();
        snprintf(fuzz_path, sizeof fuzz_path, "%s/%s", fuzz_folder, name);
        atexit(fuzz_file_remove);
    }
    FILE *f = fopen(fuzz_path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f) != 0) abort();
    return fuzz_path;
}

#endif
