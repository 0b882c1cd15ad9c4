/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a YAML of options (an args.yaml, cfg=FILE), or as the options that a checkpoint remembers; the first
 * says which, and the mode. What is accepted lies in range. */
#include "api/options.h"
#include "api/resume.h"
#include "fuzz_file.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    Arena *a = arena_new();
    DynContext *ctx;
    DynOptions o, given;
    DynError err = { 0 };
    Status s;
    if (n < 1) return arena_free(&a), 0;
    DynMode mode = (DynMode)(data[0] % 8);
    if (dyn_open(NULL, &ctx, &err) != DYN_OK) abort();
    if (data[0] >= 'A') {
        const Log quiet = { 0 };
        mode = DYN_TRAIN;
        dyn_options_defaults(&given, mode);
        s = resume_options(&given, arena_strndup(a, (const char *)data + 1, n - 1), a, &quiet, &o, &err);
    } else {
        s = dyn_options_load(ctx, &o, mode, fuzz_file("args.yaml", data + 1, n - 1), &err);
    }
    if (s == DYN_OK && options_check(&o, mode, &err) != DYN_OK && o.imgsz[0] == o.imgsz[1]) abort();
    if (s != DYN_OK && strlen(err.text) < 10) abort();
    dyn_close(&ctx);
    arena_free(&a);
    return 0;
}
