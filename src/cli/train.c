/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

static DynStatus run(DynContext *ctx, const DynOptions *o, DynError *err)
{
    Screen screen;
    screen_begin(&screen, o);
    DynStatus s = dyn_train(ctx, o, screen_event, &screen, NULL, err);
    screen_end(&screen);
    return s;
}

const Command command_train = { .name = "train",
                                .mode = DYN_TRAIN,
                                .summary = "train a model on a data set",
                                .example =
                                    "  dynyolo train model=yolov8n.pt data=bccd.yaml epochs=30 imgsz=320\n"
                                    "  dynyolo train model=yolov8s.yaml data=shapes/data.yaml batch=8\n"
                                    "  dynyolo train model=runs/detect/train/weights/last.safetensors resume=True",
                                .run = run };
