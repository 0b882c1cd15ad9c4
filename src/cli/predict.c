/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

static DynStatus run(DynContext *ctx, const DynOptions *o, DynError *err)
{
    Screen screen;
    screen_begin(&screen, o);
    DynStatus s = dyn_predict(ctx, o, screen_event, &screen, err);
    screen_end(&screen);
    return s;
}

const Command command_predict = { .name = "predict",
                                  .mode = DYN_PREDICT,
                                  .summary = "find objects in pictures",
                                  .example =
                                      "  dynyolo predict model=yolov8n.pt source=photos/\n"
                                      "  dynyolo predict model=best.safetensors source='*.jpg' conf=0.4 save_txt=True\n"
                                      "  dynyolo predict model=yolov8n.pt source=photo.jpg format=json save=False",
                                  .run = run };
