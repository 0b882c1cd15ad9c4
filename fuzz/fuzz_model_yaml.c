/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a model description, up to the graph; weights are not allocated: their size is the description's to say.
 * A description that is accepted must also bind to another input size or say why not. */
#include "model/build.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static Status describe(Arena *a, Model *m, const char *text, size_t n, Error *err)
{
    static const ModelOptions none = { 0 };
    const Yaml *y;
    Description d;
    Type *types;
    TRY(yaml_parse(a, m->file, text, n, &y, err));
    TRY(description_read(a, m->file, y, &none, &d, err));
    TRY(graph_new(&m->g, err));
    TRY(model_build_graph(m, &d, &none, err));
    return graph_bind(m->g, &(Binding) { .batch = 3, .height = 96, .width = 224, .act = F32 }, a, &types, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    Arena *a = arena_new();
    Model m = { .a = a, .file = "yolov8n.yaml" };
    Error err;
    if (!a) return 0;
    describe(a, &m, (const char *)data, n, &err);
    graph_free(&m.g);
    arena_free(&a);
    return 0;
}
