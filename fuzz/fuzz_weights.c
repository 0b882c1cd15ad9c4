/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as the header of a model's file: description, class names and what else its notes say, and the tensors that
 * must fit them. A model that is loaded has a name for each class. */
#include "fuzz_header.h"
#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    Error err = { 0 };
    Model *m = NULL;
    if (model_load(fuzz_safetensors("fuzz.safetensors", data, n), NULL, &m, &err) != DYN_OK) {
        if (m || strlen(err.text) < 10) abort();
        return 0;
    }
    for (int64_t i = 0; i < m->nc; i++)
        if (!m->names[i]) abort();
    model_free(&m);
    return 0;
}
