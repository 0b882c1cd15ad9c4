/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a label file; the first says how many classes there are. What is accepted must be finite and in range.
 */
#include "data/data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    Error err;
    LabelFile f;
    if (n < 1) return 0;
    Arena *a = arena_new();
    int nc = bytes[0] % 4;
    if (label_parse(a, "fuzz", (const char *)bytes + 1, n - 1, nc, &f, &err) == DYN_OK) {
        for (int i = 0; i < f.n; i++) {
            const Label *l = &f.label[i];
            if (!(l->cx >= -0.02f && l->cx <= 1.02f && l->h >= -0.02f && l->h <= 1.04f)) abort();
            if (nc > 0 && !(l->cls < (float)nc)) abort();
            if (f.polygon && f.polygon[i].n < 1) abort();
        }
    } else if (strncmp(err.text, "fuzz:", 5) != 0) {
        abort();
    }
    arena_free(&a);
    return 0;
}
