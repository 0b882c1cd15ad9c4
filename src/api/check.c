/* SPDX-License-Identifier: Apache-2.0
 *
 * dyn_check: what is wrong with a data set, told as it is found, and what is in it. */
#include "api/setup.h"
#include "report/report.h"

typedef struct CheckJob {
    DynEventFn *event;
    void *user;
    Arena *a; /* emptied after each problem */
    bool json, out_of_memory;
} CheckJob;

static void say(const CheckJob *j, const char *text)
{
    DynEventKind kind = j->json ? DYN_EVENT_JSON : DYN_EVENT_TABLE;
    if (j->event) j->event(j->user, &(DynEvent) { .kind = kind, .text = text });
}

static void on_problem(void *user, const DataProblem *p)
{
    CheckJob *j = user;
    ArenaMark mark = arena_mark(j->a);
    const char *text = j->json ? check_problem_json(j->a, p) : check_problem_text(j->a, p);
    j->out_of_memory |= !text;
    if (text) say(j, text);
    arena_release(j->a, mark);
}

static void on_progress(void *user, const char *split, int64_t done, int64_t total)
{
    const CheckJob *j = user;
    char text[80];
    snprintf(text, sizeof text, "checking %s %lld/%lld", split, (long long)done, (long long)total);
    if (j->event)
        j->event(j->user, &(DynEvent) { .kind = DYN_EVENT_BATCH, .text = text, .done = done, .total = total });
}

/* Errors, or in strict mode anything, make the check fail. */
static Status verdict(const DynOptions *o, const DataConfig *config, const DataReport *r, Error *err)
{
    if (!r->errors && !(o->strict && r->warnings)) return DYN_OK;
    return fail(err, DYN_FORMAT, "'%s': %lld errors, %lld warnings", config->file, (long long)r->errors,
                (long long)r->warnings);
}

static Status check_job(DynContext *ctx, const DynOptions *o, CheckJob *j, Error *err)
{
    DataConfig config;
    DataReport report;
    if (o->format && !str_eq(o->format, "json")) return fail(err, DYN_USAGE, "format=%s: check knows json", o->format);
    TRY(setup_config(o, ctx->job, &config, err));
    DataCheck check = { .split = o->split,
                        .threads = (int)o->workers,
                        .problem = on_problem,
                        .progress = on_progress,
                        .user = j,
                        .stop = &ctx->stop };
    TRY(data_check(ctx->job, &config, &check, &report, err));
    const char *text =
        j->json ? check_report_json(ctx->job, &config, &report) : check_report_text(ctx->job, &config, &report);
    if (!text || j->out_of_memory) return fail_nomem(err, 1);
    if (report.n_splits || j->json) say(j, text);
    TRY(verdict(o, &config, &report, err));
    log_info(&ctx->log, "'%s': no errors, %lld warnings", config.file, (long long)report.warnings);
    return DYN_OK;
}

DynStatus dyn_check(DynContext *ctx, const DynOptions *o, DynEventFn *event, void *user, DynError *err)
{
    TRY(job_begin(ctx, o, DYN_CHECK, err));
    CheckJob j = { .event = event, .user = user, .a = arena_new(), .json = o->format != NULL };
    if (!j.a) return fail_nomem(err, 1);
    Status s = check_job(ctx, o, &j, err);
    arena_free(&j.a);
    return s;
}
