/* SPDX-License-Identifier: Apache-2.0
 *
 * command - for tests of the command: runs $B/dynyolo in a folder of its own and keeps what it printed. */
#ifndef COMMAND_H
#define COMMAND_H

#include "test.h"

#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT_MAX = 1 << 20 };

static Error err;
static Arena *arena;
static char home[] = "/tmp/dynyolo-cli-XXXXXX", command_path[4096];
static char out[TEXT_MAX], errs[TEXT_MAX];

static void slurp(const char *path, char *text)
{
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, TEXT_MAX - 1, f) : 0;
    text[n] = 0;
    if (f) fclose(f);
}

/* `dynyolo ARGS` through the shell, in `home`; out and errs receive what it printed. Gives its status. */
PRINTF_LIKE(1, 2) static int run(const char *fmt, ...)
{
    char args[8192], line[16384];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(args, sizeof args, fmt, ap);
    va_end(ap);
    snprintf(line, sizeof line, "cd %s && %s %s >out.txt 2>err.txt", home, command_path, args);
    int status = system(line);
    slurp("out.txt", out);
    slurp("err.txt", errs);
    if (!WIFEXITED(status)) fail_msg("dynyolo %s: died of signal %d", args, WTERMSIG(status));
    return WEXITSTATUS(status);
}

/* `dynyolo MODE WORD...` without waiting for its end; it prints into out.txt and err.txt. */
static inline pid_t start(const char *mode, const char *const *word)
{
    const char *argv[32] = { "dynyolo", mode };
    int n = 2;
    while (*word)
        argv[n++] = *word++;
    pid_t pid = fork();
    if (pid == 0) {
        if (!freopen("out.txt", "w", stdout) || !freopen("err.txt", "w", stderr)) _exit(99);
        execv(command_path, (char *const *)argv);
        _exit(98);
    }
    assert_true(pid > 0);
    return pid;
}

/* Waits for its end; errs receives what it said, out what it printed. Gives its status. */
static inline int ended(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    slurp("out.txt", out);
    slurp("err.txt", errs);
    if (!WIFEXITED(status)) fail_msg("died of signal %d: %s", WTERMSIG(status), errs);
    return WEXITSTATUS(status);
}

static inline int count(const char *text, const char *what)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, what)); at += strlen(what))
        n++;
    return n;
}

#define assert_runs(...)                                                                                               \
    do {                                                                                                               \
        int rc_ = run(__VA_ARGS__);                                                                                    \
        if (rc_) fail_msg("status %d: %s", rc_, errs);                                                                 \
    } while (0)
/* The command must end with this status and one line on standard error that has the words. */
#define assert_refuses(status, words, ...)                                                                             \
    do {                                                                                                               \
        int rc_ = run(__VA_ARGS__);                                                                                    \
        if (rc_ != (status)) fail_msg("status %d: %s", rc_, errs);                                                     \
        if (!strstr(errs, words)) fail_msg("'%s' does not say '%s'", errs, words);                                     \
        if (count(errs, "\n") != 1) fail_msg("more than a line: '%s'", errs);                                          \
    } while (0)
#define assert_says(text, words)                                                                                       \
    do {                                                                                                               \
        if (!strstr(text, words)) fail_msg("'%s' does not say '%s'", text, words);                                     \
    } while (0)

static inline int lines_in(const char *path)
{
    static char text[TEXT_MAX];
    slurp(path, text);
    return count(text, "\n");
}

/* Makes the folder and goes there. */
static int command_setup(void **state)
{
    const char *build = getenv("B");
    char path[1024];
    snprintf(path, sizeof path, "%s/dynyolo", build ? build : "build");
    arena = arena_new();
    if (!arena || !realpath(path, command_path) || !mkdtemp(home) || chdir(home) != 0) return -1;
    /* for a command built with the leak sanitizer; see test.h */
    if (file_write("lsan", __lsan_default_suppressions(), strlen(__lsan_default_suppressions()), &err) != DYN_OK)
        return -1;
    return setenv("LSAN_OPTIONS", arena_printf(arena, "suppressions=%s/lsan:print_suppressions=0", home), 1);
}

static int command_teardown(void **state)
{
    char line[64];
    arena_free(&arena);
    snprintf(line, sizeof line, "rm -rf %s", home);
    return chdir("/") == 0 ? system(line) : -1;
}

#endif
