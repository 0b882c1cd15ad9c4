/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

static DynStatus run(DynContext *ctx, const DynOptions *o, DynError *err)
{
    return dyn_synth(ctx, o, err);
}

const Command command_synth = {
    .name = "synth",
    .mode = DYN_SYNTH,
    .summary = "draw a detection data set of textured shapes",
    .example = "  dynyolo synth out=shapes\n  dynyolo synth out=shapes n=1000 classes=6 imgsz=320 seed=1",
    .run = run
};
