/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

static DynStatus run(DynContext *ctx, const DynOptions *o, DynError *err)
{
    Screen screen;
    screen_begin(&screen, o);
    DynStatus s = dyn_compare(ctx, o, screen_event, &screen, err);
    screen_end(&screen);
    return s;
}

const Command command_compare = {
    .name = "compare",
    .mode = DYN_COMPARE,
    .summary = "train models alike and show accuracy and cost side by side",
    .example =
        "  dynyolo compare models=yolov8n.yaml,yolov8n-p2.yaml data=bccd.yaml epochs=60 imgsz=320 seeds=0,1\n"
        "  dynyolo compare models=yolov8n.yaml,mine.yaml data=bccd.yaml pretrained=yolov8n.pt epochs=30\n"
        "  dynyolo compare resume=True                       # the last one, after an interruption\n"
        "  dynyolo compare resume=runs/detect/compare models=yolov8n.yaml,mine.yaml,other.yaml  # one more model",
    .run = run
};
