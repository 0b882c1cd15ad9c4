/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api.h"
#include "data/data.h"

DynStatus dyn_synth(DynContext *ctx, const DynOptions *o, DynError *err)
{
    SynthOptions s = SYNTH_OPTIONS;
    TRY(job_begin(ctx, o, DYN_SYNTH, err));
    if (!o->out) return fail(err, DYN_USAGE, "where to? For example: dynyolo synth out=shapes");
    s.n = (int)o->n;
    s.classes = (int)o->n_classes;
    s.imgsz = (int)o->imgsz[0];
    s.seed = (uint64_t)o->seed;
    s.threads = (int)o->workers;
    s.stop = &ctx->stop;
    return synth_write(o->out, &s, &ctx->log, err);
}
