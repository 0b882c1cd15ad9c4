/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as the header of the state of a training, NAME.state.safetensors: options, numbers, weights, moments. From
 * a state that is accepted the next step can be planned. */
#include "api/resume.h"
#include "fuzz_header.h"
#include "ops/ops.h"
#include "train/trainer.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char graph[] = "nominal 1 4 32 32 F32\n"
                            "param w weight [2,4,1,1] uniform=0.5\n"
                            "param b bias [2] const=0.0\n"
                            "x: input F32[N,4,H,W] -> %1\n"
                            "w: param -> %2\n"
                            "y: conv2d %1 %2 -> %3\n"
                            "output y %3\n";
static char weights[sizeof fuzz_path];
static TrainJob job;
static Trainer trainer;

/* A trainer as trainer_open makes it, as far as a checkpoint is concerned. Lives as long as the process. */
static void setup(void)
{
    Error err;
    Trainer *t = &trainer;
    snprintf(weights, sizeof weights, "%s/last.safetensors", fuzz_folder);
    job.opt = train_defaults();
    job.opt.resume = weights;
    t->job = &job;
    static Model m;
    t->m = &m;
    if (graph_parse("fuzz.txt", graph, sizeof graph - 1, ops_find, &m.g, &err) != DYN_OK ||
        slab_new(m.g, &m.w, &err) != DYN_OK ||
        optim_new(optims_find("AdamW"), t->m->g, 0.0005, &t->optim, &err) != DYN_OK ||
        slab_new(t->m->g, &t->ema, &err) != DYN_OK || slab_new(t->m->g, &t->sum, &err) != DYN_OK)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    Arena *a = arena_new();
    Error err = { 0 };
    const char *args;
    DynOptions given, o;
    const Log quiet = { 0 };
    fuzz_safetensors("last.state.safetensors", data, n);
    if (!trainer.job) setup();
    dyn_options_defaults(&given, DYN_TRAIN);
    if (train_resume_args(weights, a, &args, &err) == DYN_OK) resume_options(&given, args, a, &quiet, &o, &err);
    trainer.at = (TrainState) { .last_step = -1 };
    Status s = checkpoint_load(&trainer, &err);
    if (s != DYN_OK && strlen(err.text) < 10) abort();
    if (s == DYN_OK) {
        const TrainState *at = &trainer.at;
        if (isnan(at->seconds) || !isfinite(trainer.optim->product)) abort();
        if (schedule_at(
                &(Schedule) { .epochs = (double)trainer.epochs, .batches = 1000, .batch = 16, .nominal_batch = 64 },
                at->epoch, at->epoch * 1000 + at->batch)
                .accumulate < 1)
            abort();
    }
    arena_free(&a);
    return 0;
}
