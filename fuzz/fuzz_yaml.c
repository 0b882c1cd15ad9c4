/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as YAML; what is read must also be written, and read back with as many nodes. */
#include "formats/yaml.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    Arena *a = arena_new();
    Error err;
    const Yaml *y, *back;
    char *text;
    size_t n_text;
    if (!a) return 0;
    if (yaml_parse(a, "fuzz.yaml", (const char *)data, n, &y, &err) == DYN_OK &&
        yaml_write(a, y, &text, &n_text, &err) == DYN_OK) {
        if (yaml_parse(a, "written.yaml", text, n_text, &back, &err) != DYN_OK) abort();
        if (back->weight != y->weight) abort();
    }
    arena_free(&a);
    return 0;
}
