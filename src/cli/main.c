/* SPDX-License-Identifier: Apache-2.0
 *
 * dynyolo [detect] MODE key=value ... : the grammar that users of YOLO know (spec 12.1). */
#include "cli.h"

#include <ctype.h>
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

/* What the mode begins with, which may differ from the row's default; numbers as the row writes them. */
static const char *default_text(const DynOptions *o, const DynOptionRow *r, char *buf, size_t n)
{
    const char *at = (const char *)o + r->offset;
    bool b;
    int64_t i;
    if (!r->def) return "-";
    if (r->type == DYN_BOOL) return memcpy(&b, at, sizeof b), b ? "True" : "False";
    if (r->type != DYN_INT) return r->def;
    memcpy(&i, at, sizeof i);
    snprintf(buf, n, "%lld", (long long)i);
    return buf;
}

static void help(const Command *c)
{
    static const char *const types[] = { "bool", "int", "float", "0..1", "text", "size" };
    char def[32];
    size_t n;
    const DynOptionRow *row = dyn_option_rows(&n);
    DynOptions o;
    dyn_options_defaults(&o, c->mode);
    printf("dynyolo %s: %s\n\n%s\n\noptions (key=value)\n", c->name, c->summary, c->example);
    for (size_t i = 0; i < n; i++) {
        if (!(row[i].modes >> c->mode & 1) || row[i].offset == (size_t)-1) continue;
        printf("  %-15s %-6s %-9s %s\n", row[i].key, types[row[i].type], default_text(&o, &row[i], def, sizeof def),
               row[i].help);
    }
    printf("\nfor compatibility, without effect:");
    for (size_t i = 0; i < n; i++)
        if ((row[i].modes >> c->mode & 1) && row[i].offset == (size_t)-1) printf(" %s", row[i].key);
    printf("\n");
}

/* The words that the shell made of `key = value`, `key= value`, `key =value` and `key=[1, 2]` are joined again. */
static bool continues(const char *before, const char *w)
{
    const char *eq = strchr(before, '='), *list = eq ? strchr(eq, '[') : NULL;
    size_t name = strspn(w, "abcdefghijklmnopqrstuvwxyz0123456789_");
    if (list == eq + 1 && list && !strchr(list, ']')) return true;
    if (w[0] == '=') return !eq;
    return eq && !eq[1] && (!name || w[name] != '='); /* `model= source=x` leaves model empty */
}

/* The words lie one after another in text, so that joining two is leaving out the zero byte between them. */
static int join_words(int n, char **in, char *text, char **out)
{
    int k = 0;
    for (int i = 0; i < n; i++) {
        if (!k || !continues(out[k - 1], in[i]))
            out[k++] = text;
        else
            text--;
        size_t size = strlen(in[i]) + 1;
        memcpy(text, in[i], size);
        text += size;
    }
    return k;
}

static int fail_usage(const char *text)
{
    fprintf(stderr, "dynyolo: %s\n", text);
    return 2;
}

/* Does the option read True and False? Only those may stand without a value. */
static bool is_switch(DynMode mode, const char *key)
{
    size_t n;
    const DynOptionRow *row = dyn_option_rows(&n);
    for (size_t i = 0; i < n; i++)
        if (row[i].modes >> mode & 1 && strcmp(row[i].key, key) == 0)
            return row[i].type == DYN_BOOL || row[i].offset == (size_t)-1 ||
                   (row[i].def && (strcmp(row[i].def, "True") == 0 || strcmp(row[i].def, "False") == 0));
    return true; /* unknown: told by dyn_option_set */
}

static DynStatus usage_error(DynError *err, const char *fmt, const char *word, const char *more)
{
    err->status = DYN_USAGE;
    snprintf(err->text, sizeof err->text, fmt, word, more);
    return DYN_USAGE;
}

/* --key=value, trailing commas: tolerated with a warning. A bare key is key=True. */
static DynStatus set_word(DynOptions *o, DynMode mode, char *word, DynError *err)
{
    const char *note;
    size_t n = strlen(word);
    if (strncmp(word, "--", 2) == 0) {
        fprintf(stderr, "WARNING: '%s': options are written without dashes, key=value\n", word);
        word += 2, n -= 2;
    }
    if (n && word[n - 1] == ',') {
        fprintf(stderr, "WARNING: '%s': the comma at its end is dropped\n", word);
        word[n - 1] = 0;
    }
    char *eq = strchr(word, '=');
    if (eq) *eq = 0;
    if (eq && strcmp(word, "cfg") == 0) return dyn_options_load(running, o, mode, eq + 1, err);
    if (!eq && !is_switch(mode, word)) return usage_error(err, "'%.200s' needs a value: %.200s=...", word, word);
    DynStatus s = dyn_option_set(o, mode, word, eq ? eq + 1 : "True", &note, err);
    if (s != DYN_OK && !eq) {
        char why[sizeof err->text];
        memcpy(why, err->text, sizeof why);
        usage_error(err, "'%.200s' is no mode and no key=value; %.600s", word, why);
    }
    if (s == DYN_OK && note) fprintf(stderr, "WARNING: %s: %s\n", word, note);
    return s;
}

static const Command *take_word(int *n, char **words, int i, const char *name)
{
    const Command *c = find(name);
    if (!c) return NULL;
    memmove(&words[i], &words[i + 1], (size_t)(*n - i - 1) * sizeof *words);
    --*n;
    return c;
}

/* The mode is the first word that names one, or mode=NAME; options without any mean train (spec 12.1). */
static const Command *take_mode(int *n, char **words)
{
    const Command *c = NULL;
    bool options = false;
    for (int i = 0; i < *n && !c; i++)
        if (!strchr(words[i], '=')) c = take_word(n, words, i, words[i]);
    for (int i = 0; i < *n && !c; i++) {
        options |= strchr(words[i], '=') != NULL;
        if (strncmp(words[i], "mode=", 5) == 0) c = take_word(n, words, i, words[i] + 5);
    }
    if (c || !options) return c;
    fprintf(stderr, "WARNING: no mode is given: train\n");
    return find("train");
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

static DynStatus set_words(DynOptions *o, DynMode mode, int n, char **words, DynError *err)
{
    DynStatus s = DYN_OK;
    dyn_options_defaults(o, mode);
    for (int i = 0; i < n && s == DYN_OK; i++)
        s = set_word(o, mode, words[i], err);
    return s;
}

static int command(int n, char **words)
{
    DynOptions options;
    DynError err;
    int status;
    if (n > 0 && strcmp(words[0], "detect") == 0) words++, n--;
    if (special(n, words, &status)) return status;
    const Command *c = take_mode(&n, words);
    if (!c) {
        usage(stderr);
        return fail_usage("which mode? For example: dynyolo predict model=yolov8n.pt source=photo.jpg");
    }
    DynConfig config = { .log = log_line, .level = getenv("DYN_LOG") ? DYN_LOG_DEBUG : DYN_LOG_INFO };
    if (dyn_open(&config, &running, &err) != DYN_OK) return fail_usage(err.text);
    DynStatus s = set_words(&options, c->mode, n, words, &err);
    if (s == DYN_OK) {
        struct sigaction sa = { .sa_handler = on_signal };
        sigaction(SIGINT, &sa, NULL);
        sigaction(SIGTERM, &sa, NULL);
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
        words && text ? command(join_words(argc - 1, argv + 1, text, words), words) : fail_usage("out of memory");
    free(text);
    free(words);
    return status;
}
