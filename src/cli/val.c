/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

static DynStatus run(DynContext *ctx, const DynOptions *o, DynError *err)
{
    Screen screen;
    screen_begin(&screen, o);
    DynStatus s = dyn_validate(ctx, o, screen_event, &screen, NULL, err);
    screen_end(&screen);
    return s;
}

const Command command_val = { .name = "val",
                              .mode = DYN_VAL,
                              .summary = "measure a model on labelled pictures: precision, recall, mAP",
                              .example =
                                  "  dynyolo val model=yolov8n.pt data=coco128.yaml\n"
                                  "  dynyolo val model=best.safetensors data=shapes/data.yaml imgsz=320 save_json=True",
                              .run = run };
