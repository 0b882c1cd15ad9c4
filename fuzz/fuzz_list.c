/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a text file that lists pictures: source= of predict, and train, val or test of a data YAML. What is
 * found has a path, and a label file of its own. */
#include "data/data_impl.h"
#include "detect/source.h"
#include "fuzz_file.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(Arena *a, char **path, size_t n, Status s, const Error *err)
{
    if (s != DYN_OK && strlen(err->text) < 10) abort();
    if (s == DYN_OK && n == 0) abort();
    for (size_t i = 0; s == DYN_OK && i < n; i++) {
        const char *labels = data_label_path(a, path[i]);
        if (!*path[i] || !labels || !str_ends(labels, ".txt")) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    Arena *a = arena_new();
    Error err;
    const char *file = fuzz_file("list.txt", data, n);
    const DataSources from = { &file, 1 };
    char **path;
    size_t count = 0;
    Status s = source_list(a, file, &path, &count, &err);
    check(a, path, count, s, &err);
    s = data_discover(a, &from, &path, &count, &err);
    check(a, path, count, s, &err);
    arena_free(&a);
    return 0;
}
