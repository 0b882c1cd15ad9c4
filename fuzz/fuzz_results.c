/* SPDX-License-Identifier: Apache-2.0
 *
 * Any text as a results.csv: every value that the table says it has must be there to be read. */
#include "report/report.h"

#include <string.h>

static volatile double sink; /* so that the reads are not optimised away */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    Error err;
    ResultsTable t;
    Arena *a = arena_new();
    char *text = arena_strndup(a, (const char *)data, n);
    if (results_parse(a, text, "fuzz", &t, &err) == DYN_OK) {
        for (size_t i = 0; i < t.n_columns; i++)
            sink += (double)strlen(t.name[i]);
        for (size_t i = 0; i < t.n_rows * t.n_columns; i++)
            sink += t.value[i];
    }
    arena_free(&a);
    return 0;
}
