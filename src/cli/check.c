/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

static DynStatus run(DynContext *ctx, const DynOptions *o, DynError *err)
{
    Screen screen;
    screen_begin(&screen, o);
    DynStatus s = dyn_check(ctx, o, screen_event, &screen, err);
    screen_end(&screen);
    return s;
}

const Command command_check = { .name = "check",
                                .mode = DYN_CHECK,
                                .summary = "list everything that is wrong with a data set, and what is in it",
                                .example = "  dynyolo check data=bccd.yaml\n"
                                           "  dynyolo check data=shapes split=train strict=True\n"
                                           "  dynyolo check data=bccd.yaml format=json >problems.jsonl",
                                .run = run };
