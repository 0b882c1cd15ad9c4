/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes as the JSON header of a safetensors file; the data that it promises follows as zeros, so that a fuzzer
 * spends its mutations on what is read, and seeds stay small. */
#ifndef FUZZ_HEADER_H
#define FUZZ_HEADER_H

#include "fuzz_file.h"

#include <jansson.h>
#include <string.h>

enum { FUZZ_MAX_DATA = 1 << 20 };

/* The largest end of a tensor, 0 when there is none or it is absurd. */
static size_t fuzz_data_bytes(const uint8_t *json, size_t n)
{
    json_t *root = json_loadb((const char *)json, n, 0, NULL), *tensor;
    const char *name;
    json_int_t end = 0;
    json_object_foreach(root, name, tensor)
    {
        json_int_t e = json_integer_value(json_array_get(json_object_get(tensor, "data_offsets"), 1));
        if (e > end) end = e;
    }
    json_decref(root);
    return end <= FUZZ_MAX_DATA ? (size_t)end : 0;
}

static const char *fuzz_safetensors(const char *name, const uint8_t *json, size_t n)
{
    size_t data = fuzz_data_bytes(json, n), all = 8 + n + data;
    uint8_t *file = calloc(1, all);
    if (!file) abort();
    for (int i = 0; i < 8; i++)
        file[i] = (uint8_t)((uint64_t)n >> 8 * i);
    memcpy(file + 8, json, n);
    const char *path = fuzz_file(name, file, all);
    free(file);
    return path;
}

#endif
