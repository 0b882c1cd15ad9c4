/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as the text of a graph. Operators see every attribute and shape that a text can say; what is accepted is
 * written, and read back to the same text. */
#include "graph/graph.h"
#include "ops/ops.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    Arena *a = arena_new();
    Error err;
    Graph *g, *back;
    if (!a) return 0;
    if (graph_parse("fuzz.txt", (const char *)data, n, ops_find, &g, &err) == DYN_OK) {
        const char *text = graph_text(g, NULL, a), *second;
        if (!text || graph_parse("written.txt", text, strlen(text), ops_find, &back, &err) != DYN_OK) abort();
        if (!(second = graph_text(back, NULL, a)) || !str_eq(text, second)) abort();
        graph_free(&back);
        graph_free(&g);
    }
    arena_free(&a);
    return 0;
}
