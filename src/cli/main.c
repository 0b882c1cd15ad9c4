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

/* Words as the shell gave them -> "key=value" words: `a = b`, `a= b`, `a =b` and split lists `[1, 2]` are joined again.
 */
static int join_words(int n, char **in, char **out)
{
    int k = 0, depth = 0;
    for (int i = 0; i < n; i++) {
        char *w = in[i];
        bool join = k > 0 && (depth > 0 || w[0] == '=' || out[k - 1][strlen(out[k - 1]) - 1] == '=');
        if (join) {
            size_t size = strlen(out[k - 1]) + strlen(w) + 1;
            char *both = malloc(size);
            if (!both) return -1;
            snprintf(both, size, "%s%s", out[k - 1], w);
            out[k - 1] = both; /* the words live as long as the process */
        } else {
            out[k++] = w;
        }
        for (; *w; w++)
            depth += (*w == '[') - (*w == ']');
    }
    return k;
}

static int fail_usage(const char *text)
{
    fprintf(stderr, "dynyolo: %s\n", text);
    return 2;
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
    if (n && word[n - 1] == ',') word[--n] = 0;
    char *eq = strchr(word, '=');
    if (eq) *eq = 0;
    DynStatus s = dyn_option_set(o, mode, word, eq ? eq + 1 : "True", &note, err);
    if (s != DYN_OK && !eq) {
        char text[sizeof err->text];
        snprintf(text, sizeof text, "'%.200s' is no mode and no key=value; %.600s", word, err->text);
        memcpy(err->text, text, sizeof text);
    }
    if (s == DYN_OK && note) fprintf(stderr, "WARNING: %s: %s\n", word, note);
    return s;
}

static const Command *take_mode(int *n, char **words)
{
    for (int i = 0; i < *n; i++) {
        const Command *c = strchr(words[i], '=') ? NULL : find(words[i]);
        if (!c) continue;
        memmove(&words[i], &words[i + 1], (size_t)(*n - i - 1) * sizeof *words);
        --*n;
        return c;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    char **words = calloc((size_t)argc + 1, sizeof *words);
    DynOptions options;
    DynError err;
    int n = words ? join_words(argc - 1, argv + 1, words) : -1;
    if (n < 0) return fail_usage("out of memory");
    const char *first = n ? words[0] : "help";
    while (*first == '-')
        first++;
    if (strcmp(first, "version") == 0 || strcmp(first, "v") == 0) return printf("%s\n", dyn_version()) < 0;
    if (n > 0 && strcmp(words[0], "detect") == 0) words++, n--;
    if (strcmp(first, "help") == 0 || strcmp(first, "h") == 0) {
        const Command *c = n > 1 ? find(words[1]) : NULL;
        if (n > 1 && !c) return fail_usage("there is no such mode; dynyolo help lists them");
        if (c)
            help(c);
        else
            usage(stdout);
        return 0;
    }
    const Command *c = take_mode(&n, words);
    if (!c) {
        usage(stderr);
        return fail_usage("which mode? For example: dynyolo predict model=yolov8n.pt source=photo.jpg");
    }
    dyn_options_defaults(&options, c->mode);
    for (int i = 0; i < n; i++)
        if (set_word(&options, c->mode, words[i], &err) != DYN_OK) return fail_usage(err.text);
    DynConfig config = { .log = log_line, .level = getenv("DYN_LOG") ? DYN_LOG_DEBUG : DYN_LOG_INFO };
    if (dyn_open(&config, &running, &err) != DYN_OK) return fail_usage(err.text);
    struct sigaction sa = { .sa_handler = on_signal };
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    DynStatus s = c->run(running, &options, &err);
    dyn_close(&running);
    if (s == DYN_OK) return 0;
    fprintf(stderr, "dynyolo: %s\n", err.text);
    return s == DYN_USAGE ? 2 : s == DYN_STOPPED ? 130 : 1;
}
