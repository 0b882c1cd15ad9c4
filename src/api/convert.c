/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api.h"

DynStatus dyn_convert(DynContext *ctx, const DynOptions *o, DynError *err)
{
    DynModel *model;
    TRY(job_begin(ctx, o, DYN_CONVERT, err));
    if (!o->in || !o->out)
        return fail(err, DYN_USAGE,
                    "convert wants in=FILE and out=FILE, for example in=yolov8n.pt out=yolov8n.safetensors");
    TRY(dyn_model_open(ctx, o->in, NULL, &model, err));
    Status s =
        ctx->stop ? fail(err, DYN_STOPPED, "stopped; '%s' is not written", o->out) : dyn_model_save(model, o->out, err);
    if (s == DYN_OK)
        log_info(&ctx->log, "%s -> %s (%s, %lld classes)", o->in, o->out, model->m->title, (long long)model->m->nc);
    dyn_model_free(&model);
    return s;
}
