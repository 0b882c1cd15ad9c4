/* SPDX-License-Identifier: Apache-2.0
 *
 * cli - the command. Speaks to the library through dynyolo.h alone. One file per mode: NAME.c exports command_NAME. */
#ifndef CLI_H
#define CLI_H

#include <dynyolo.h>

typedef struct Command {
    const char *name;
    DynMode mode;
    const char *summary; /* one line of help */
    const char *example; /* lines of help, each a command */
    DynStatus (*run)(DynContext *ctx, const DynOptions *o, DynError *err);
} Command;

/* Results go to standard output, status lines to standard error; with format=json standard output has JSON lines alone,
 * and everything else goes to standard error. */
typedef struct Screen {
    bool terminal;     /* status lines may be overwritten */
    bool json;         /* results as JSON lines on standard output */
    bool status_shown; /* a status line is on the screen, without newline */
    long long percent; /* last progress printed where there is no terminal */
} Screen;
void screen_begin(Screen *s, const DynOptions *o);
void screen_event(void *screen, const DynEvent *e); /* a DynEventFn */
void screen_end(Screen *s);

#endif
