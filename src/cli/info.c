/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <stdio.h>
#include <string.h>

static DynStatus run(DynContext *ctx, const DynOptions *o, DynError *err)
{
    DynModel *model;
    const char *text;
    if (!o->model) {
        err->status = DYN_USAGE;
        strcpy(err->text, "which model? For example: dynyolo info model=yolov8n.yaml");
        return DYN_USAGE;
    }
    DynStatus s = dyn_model_open(ctx, o->model, o, &model, err);
    if (s != DYN_OK) return s;
    s = dyn_model_info(model, o, &text, err);
    if (s == DYN_OK) puts(text);
    dyn_model_free(&model);
    return s;
}

const Command command_info = {
    .name = "info",
    .mode = DYN_INFO,
    .summary = "layers, parameters, true and profiler GFLOPs, memory",
    .example = "  dynyolo info model=yolov8s.yaml\n  dynyolo info model=best.safetensors imgsz=320 verbose=False",
    .run = run
};
