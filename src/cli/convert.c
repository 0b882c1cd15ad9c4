/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

static DynStatus run(DynContext *ctx, const DynOptions *o, DynError *err)
{
    return dyn_convert(ctx, o, err);
}

const Command command_convert = { .name = "convert",
                                  .mode = DYN_CONVERT,
                                  .summary = "weights from one file format to another",
                                  .example = "  dynyolo convert in=yolov8n.pt out=yolov8n.safetensors\n"
                                             "  dynyolo convert in=best.safetensors out=best.pt",
                                  .run = run };
