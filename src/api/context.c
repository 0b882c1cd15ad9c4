/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api.h"
#include "api/options.h"

#include <string.h>

DynStatus dyn_open(const DynConfig *config, DynContext **out, DynError *err)
{
    DynContext *ctx = mem_alloc(sizeof *ctx);
    if (!ctx) return fail_nomem(err, sizeof *ctx);
    *ctx = (DynContext) { 0 };
    if (config) ctx->log = (Log) { config->log, config->log_user, config->level };
    ctx->job = arena_new();
    ctx->loaded = arena_new();
    if (!ctx->job || !ctx->loaded) {
        dyn_close(&ctx);
        return fail_nomem(err, 1);
    }
    *out = ctx;
    return DYN_OK;
}

void dyn_close(DynContext **ctx)
{
    if (!*ctx) return;
    arena_free(&(*ctx)->job);
    arena_free(&(*ctx)->loaded);
    mem_free(*ctx);
    *ctx = NULL;
}

void dyn_stop(DynContext *ctx)
{
    ctx->stop = true;
}

const char *dyn_version(void)
{
    return DYN_VERSION;
}

Status job_begin(DynContext *ctx, const DynOptions *o, DynMode mode, Error *err)
{
    ctx->stop = false;
    TRY(options_check(o, mode, err));
    arena_free(&ctx->job);
    if (!(ctx->job = arena_new())) return fail_nomem(err, 1);
    return DYN_OK;
}

Status parse_ids(const char *text, const char *key, Arena *a, int32_t **ids, size_t *n, Error *err)
{
    size_t cap = 0;
    *ids = NULL;
    *n = 0;
    for (const char *s = text ? text : ""; *s;) {
        size_t len = strcspn(s, "[], ");
        if (len) {
            char word[16];
            int64_t id;
            snprintf(word, sizeof word, "%.*s", (int)MIN(len, sizeof word - 1), s);
            if (len >= sizeof word || !str_to_int(word, &id) || id < 0 || id > INT32_MAX)
                return fail(err, DYN_USAGE, "%s=%s: wants a number or a list of numbers such as [0, 2]", key, text);
            if (!arena_grow(a, ids, *n, &cap, sizeof **ids)) return fail_nomem(err, cap);
            (*ids)[(*n)++] = (int32_t)id;
        }
        s += len;
        s += strspn(s, "[], ");
    }
    return DYN_OK;
}

Status run_folder(const DynOptions *o, DynMode mode, Arena *a, char **dir, Error *err)
{
    const char *project = o->project ? o->project : "runs/detect", *name = o->name ? o->name : dyn_mode_name(mode);
    bool made;
    for (int k = 1; k < 1000000; k++) {
        *dir = k == 1 ? path_join(a, project, name) : arena_printf(a, "%s/%s%d", project, name, k);
        if (!*dir) return fail_nomem(err, 1);
        if (!o->exist_ok && dir_exists(*dir)) continue;
        TRY(dir_make_new(*dir, &made, err));
        if (o->exist_ok || made) return DYN_OK; /* else another run was faster */
    }
    return fail(err, DYN_IO, "no free run folder below '%s'", project);
}

Status write_args(const char *dir, const DynOptions *o, DynMode mode, Error *err)
{
    size_t n;
    const DynOptionRow *row = dyn_option_rows(&n);
    Arena *a = arena_new();
    if (!a) return fail_nomem(err, 1);
    Text text = { .a = a };
    text_add(&text, "task: detect\nmode: %s\n", dyn_mode_name(mode));
    for (size_t i = 0; i < n; i++) {
        if (!(row[i].modes >> mode & 1) || row[i].offset == (size_t)-1) continue;
        char *value = options_text(o, &row[i], a);
        text_add(&text, "%s: %s\n", row[i].key, value ? value : "");
    }
    char *path = path_join(a, dir, "args.yaml"), *all = text_done(&text);
    Status s = path && all ? file_write(path, all, strlen(all), err) : fail_nomem(err, 1);
    arena_free(&a);
    return s;
}

void round_imgsz(const DynContext *ctx, const DynOptions *o, int64_t stride, int64_t out[2])
{
    for (int k = 0; k < 2; k++)
        out[k] = (o->imgsz[k] + stride - 1) / stride * stride;
    if (out[0] != o->imgsz[0] || out[1] != o->imgsz[1])
        log_warn(&ctx->log, "imgsz=[%lld, %lld] is no multiple of the stride %lld: [%lld, %lld] is used",
                 (long long)o->imgsz[0], (long long)o->imgsz[1], (long long)stride, (long long)out[0],
                 (long long)out[1]);
}
