/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

static DynStatus run(DynContext *ctx, const DynOptions *o, DynError *err)
{
    Screen screen;
    screen_begin(&screen, o);
    DynStatus s = dyn_benchmark(ctx, o, screen_event, &screen, err);
    screen_end(&screen);
    return s;
}

const Command command_benchmark = { .name = "benchmark",
                                    .mode = DYN_BENCHMARK,
                                    .summary = "time per operator with the kernel that ran",
                                    .example = "  dynyolo benchmark model=yolov8n.yaml imgsz=640 precision=bf16\n"
                                               "  dynyolo benchmark model=yolov8n.yaml train=True batch=8\n"
                                               "  dynyolo benchmark model=yolov8n.yaml format=json",
                                    .run = run };
