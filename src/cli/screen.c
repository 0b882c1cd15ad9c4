/* SPDX-License-Identifier: Apache-2.0
 *
 * What events look like: a status line that is overwritten on a terminal, plain lines elsewhere, JSON lines when asked
 * for. */
#include "cli.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void screen_begin(Screen *s, const DynOptions *o)
{
    *s = (Screen) { .terminal = isatty(STDERR_FILENO),
                    .json = o->format && strcmp(o->format, "json") == 0,
                    .percent = -1 };
}

static void clear_status(Screen *s)
{
    if (s->status_shown) fprintf(stderr, "\r\033[K");
    s->status_shown = false;
}

/* Results go to standard output unless JSON owns it; status lines always to standard error. */
static void say(const Screen *s, const char *text)
{
    FILE *f = s->json ? stderr : stdout;
    fprintf(f, "%s\n", text);
    fflush(f);
}

void screen_event(void *screen, const DynEvent *e)
{
    Screen *s = screen;
    long long percent = e->total > 0 ? e->done * 100 / e->total : 0;
    switch (e->kind) {
    case DYN_EVENT_BATCH:
        if (s->terminal) {
            fprintf(stderr, "\r%s\033[K", e->text);
            fflush(stderr);
            s->status_shown = true;
        } else if (percent / 25 != s->percent / 25 && percent < 100 && percent >= 25) {
            fprintf(stderr, "%s\n", e->text); /* a plain line at each quarter */
        }
        s->percent = percent;
        break;
    case DYN_EVENT_EPOCH:
        clear_status(s);
        s->percent = -1;
        say(s, e->text);
        break;
    case DYN_EVENT_RESULT:
        clear_status(s);
        if (e->json)
            printf("%s\n", e->json), fflush(stdout);
        else if (e->text)
            say(s, e->text);
        break;
    case DYN_EVENT_TABLE:
        clear_status(s);
        say(s, e->text);
        break;
    case DYN_EVENT_JSON: printf("%s\n", e->text); break;
    }
}

void screen_end(Screen *s)
{
    clear_status(s);
    fflush(stdout);
}
