/* SPDX-License-Identifier: Apache-2.0
 *
 * dynyolo [detect] MODE key=value ... : the grammar that users of YOLO know (spec 12.1). */
#include "cli.h"
#include "words.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define X(name) extern const Command command_##name;
#include <cli.gen.h>
#undef X

static const Command *const commands[] = {
#define X(name) &command_##name,
#include <cli.gen.h>
#undef X
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static DynContext *running;

static void on_signal(int sig)
{
    static volatile sig_atomic_t asked;
    if (asked++) _exit(128 + sig); /* the second time means now */
    dyn_stop(running);
}

static const Command *find(const char *name)
{
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    return NULL;
}

static const Command *of_mode(int mode)
{
    for (int i = 0; i < N_COMMANDS; i++)
        if ((int)commands[i]->mode == mode) return commands[i];
    return NULL;
}

static void warn_line(const char *line)
{
    fprintf(stderr, "WARNING: %s\n", line);
}

static void log_line(void *user, DynLogLevel level, const char *line)
{
    fprintf(stderr, "%s%s\n", level == DYN_LOG_WARN ? "WARNING: " : "", line);
}

static void usage(FILE *f)
{
    fprintf(f, "dynyolo %s: YOLOv8 with dynamic modules\n\nusage: dynyolo [detect] MODE key=value ...\n\nmodes\n",
            dyn_version());
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(f, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(f, "\ndynyolo help MODE lists the options of a mode; dynyolo version prints the version.\n");
}

static void help(const Command *c)
{
    static const char *const types[] = { "bool", "int", "float", "0..1", "text", "size" };
    size_t n;
    int without_effect = 0;
    const DynOptionRow *row = dyn_option_rows(&n);
    printf("dynyolo %s: %s\n\n%s\n\noptions (key=value)\n", c->name, c->summary, c->example);
    for (size_t i = 0; i < n; i++) {
        if (!(row[i].modes >> c->mode & 1) || row[i].offset == (size_t)-1) continue;
        printf("  %-15s %-6s %-9s %s\n", row[i].key, types[row[i].type], row[i].def ? row[i].def : "-", row[i].help);
    }
    for (size_t i = 0; i < n; i++)
        if ((row[i].modes >> c->mode & 1) && row[i].offset == (size_t)-1)
            printf("%s %s", without_effect++ ? "" : "\nfor compatibility, without effect:", row[i].key);
    if (without_effect) printf("\n");
}

static int fail_usage(const char *text)
{
    fprintf(stderr, "dynyolo: %s\n", text);
    return 2;
}

static bool is_word(const char *word, const char *name)
{
    while (*word == '-')
        word++;
    return strcmp(word, name) == 0;
}

/* help [MODE], MODE help, --help and the like; version. */
static bool special(int n, char **words, int *status)
{
    const Command *c = NULL;
    bool help_asked = n == 0;
    *status = 0;
    for (int i = 0; i < n; i++) {
        help_asked |= is_word(words[i], "help") || (words[i][0] == '-' && is_word(words[i], "h"));
        if (!c) c = find(words[i]);
    }
    if (n && (is_word(words[0], "version") || (words[0][0] == '-' && is_word(words[0], "v")))) {
        printf("%s\n", dyn_version());
        return true;
    }
    if (!help_asked) return false;
    if (c)
        help(c);
    else if (n > 1)
        *status = fail_usage("there is no such mode; dynyolo help lists them");
    else
        usage(stdout);
    return true;
}

static int command(int n, char **words)
{
    DynOptions options;
    DynError err;
    int status;
    if (n > 0 && strcmp(words[0], "detect") == 0) words++, n--;
    if (special(n, words, &status)) return status;
    const Command *c = of_mode(words_mode(&n, words, warn_line));
    if (!c) {
        usage(stderr);
        return fail_usage("which mode? For example: dynyolo predict model=yolov8n.pt source=photo.jpg");
    }
    DynConfig config = { .log = log_line, .level = getenv("DYN_LOG") ? DYN_LOG_DEBUG : DYN_LOG_INFO };
    if (dyn_open(&config, &running, &err) != DYN_OK) return fail_usage(err.text);
    DynStatus s = words_options(running, &options, c->mode, n, words, warn_line, &err);
    if (s == DYN_OK) {
        struct sigaction sa = { .sa_handler = on_signal };
        sigaction(SIGINT, &sa, NULL);
        sigaction(SIGTERM, &sa, NULL);
        signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is a failed write, which is told */
        s = c->run(running, &options, &err);
    }
    dyn_close(&running);
    if (s == DYN_OK) return 0;
    fprintf(stderr, "dynyolo: %s\n", err.text);
    return s == DYN_USAGE ? 2 : s == DYN_STOPPED ? 130 : 1;
}

/* Compute threads that spin long at barriers take the cores from the threads that load pictures, and from everybody
 * else: on a machine with something else to do a step took three to ten times as long; threads that sleep at once cost
 * 10 % when it is idle. The OpenMP runtime reads its setting before main() begins, so the command starts itself once
 * more with a short spin (about 0.1 ms). Whoever set one of the two variables has decided already. */
static void wait_without_spinning(char **argv)
{
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT") || setenv("GOMP_SPINCOUNT", "10000", 1) != 0) return;
    execv("/proc/self/exe", argv); /* comes back only when it cannot be done: then it goes on as it is */
}

int main(int argc, char **argv)
{
    wait_without_spinning(argv);
    size_t size = 1;
    for (int i = 1; i < argc; i++)
        size += strlen(argv[i]) + 1;
    char **words = calloc((size_t)argc + 1, sizeof *words), *text = malloc(size);
    int status =
        words && text ? command(words_join(argc - 1, argv + 1, text, words), words) : fail_usage("out of memory");
    free(text);
    free(words);
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == 0) { /* results that nobody got are no success */
        fprintf(stderr, "dynyolo: cannot write to standard output\n");
        status = 1;
    }
    return status;
}
