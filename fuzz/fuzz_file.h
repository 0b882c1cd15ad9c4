/* SPDX-License-Identifier: Apache-2.0
 *
 * For readers that want a path: the bytes as a file in a folder of this process, which goes when it ends. The file lies
 * in memory, a link leads to it. */
#ifndef FUZZ_FILE_H
#define FUZZ_FILE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
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
    static int fd = -1;
    char memory[64];
    if (fd < 0) {
        if ((fd = memfd_create("fuzz", 0)) < 0 || !mkdtemp(fuzz_folder)) abort();
        snprintf(fuzz_path, sizeof fuzz_path, "%s/%s", fuzz_folder, name);
        snprintf(memory, sizeof memory, "/proc/self/fd/%d", fd);
        if (symlink(memory, fuzz_path) != 0) abort();
        atexit(fuzz_file_remove);
    }
    if (ftruncate(fd, 0) != 0 || pwrite(fd, bytes, n, 0) != (ssize_t)n) abort();
    return fuzz_path;
}

#endif
