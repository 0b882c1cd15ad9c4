/* SPDX-License-Identifier: Apache-2.0
 *
 * compare_text - a comparison as a Markdown table that can be read as it is, and as CSV. Differences are to the first
 * model: of accuracy over the seeds that both have done, of everything else in per cent. */
#include "report/report.h"

#include <math.h>
#include <string.h>

/* ---- figures ------------------------------------------------------------------------------------------------- */

Status compare_run_read(Arena *a, const char *csv, FitnessRule rule, CompareRun *run, Error *err)
{
    static const char *const names[] = { "epoch", "metrics/mAP50(B)", "metrics/mAP50-95(B)", "val/box_loss",
                                         "metrics/precision(B)" };
    ResultsTable t = { 0 };
    int column[COUNT_OF(names)];
    double best = -1;
    run->n = 0;
    run->best_map50 = run->best_map = NAN;
    if (!file_exists(csv)) return DYN_OK;
    TRY(results_read(a, csv, &t, err));
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if ((column[i] = results_column(&t, names[i])) < 0)
            return fail(err, DYN_FORMAT, "'%s' has no column '%s'", csv, names[i]);
    run->epoch = ARENA_ARRAY(a, double, t.n_rows + 1);
    run->map50 = ARENA_ARRAY(a, double, t.n_rows + 1);
    run->map = ARENA_ARRAY(a, double, t.n_rows + 1);
    if (!run->epoch || !run->map50 || !run->map) return fail_nomem(err, t.n_rows * sizeof(double));
    for (size_t i = 0; i < t.n_rows; i++) {
        const double *row = t.value + i * t.n_columns;
        double map50 = row[column[1]], map = row[column[2]], fitness;
        bool validated = row[column[3]] != 0 || row[column[4]] != 0; /* an epoch that was not has zeros */
        fitness = eval_fitness(&(EvalResult) { .map50 = map50, .map = map }, rule);
        run->epoch[i] = row[column[0]];
        run->map50[i] = validated ? map50 : NAN;
        run->map[i] = validated ? map : NAN;
        if (validated && fitness > best) best = fitness, run->best_map50 = map50, run->best_map = map;
    }
    run->n = t.n_rows;
    return DYN_OK;
}

typedef struct Spread {
    size_t n;
    double mean, sd; /* sd: of a sample; NaN below two */
} Spread;

static Spread spread_of(const double *v, size_t n)
{
    Spread s = { .n = n, .mean = NAN, .sd = NAN };
    double sum = 0, square = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i];
    if (n) s.mean = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        square += (v[i] - s.mean) * (v[i] - s.mean);
    if (n > 1) s.sd = sqrt(square / (double)(n - 1));
    return s;
}

typedef enum Metric { MAP50, MAP } Metric;

static double metric(const CompareRun *r, Metric m)
{
    return m == MAP50 ? r->best_map50 : r->best_map;
}

/* Of the runs that are done. With a base: of the differences to it, over the seeds that both have done. */
static Spread accuracy(const Comparison *c, const CompareModel *model, const CompareModel *base, Metric m)
{
    double v[COMPARE_MOST_SEEDS];
    size_t n = 0;
    for (size_t i = 0; i < c->n_seeds && n < COMPARE_MOST_SEEDS; i++) {
        const CompareRun *r = &model->run[i], *b = base ? &base->run[i] : NULL;
        if (!r->done || (b && !b->done)) continue;
        double x = metric(r, m) - (b ? metric(b, m) : 0);
        if (isfinite(x)) v[n++] = x;
    }
    return spread_of(v, n);
}

/* Costs with the form of their cells. */
typedef struct Figure {
    const char *title, *csv, *form;
    size_t at;
    double unit;
} Figure;
#define FIGURE(field) offsetof(CompareModel, field)
static const Figure figures[] = {
    { "params (M)", "params", "%.3f", FIGURE(params), 1e6 },
    { "true GFLOPs", "true_gflops", "%.3f", FIGURE(gflops), 1 },
    { "profiler GFLOPs", "profiler_gflops", "%.3f", FIGURE(profiler), 1 },
    { "f32 ms", "f32_ms", "%.2f", FIGURE(f32_ms), 1 },
    { "bf16 ms", "bf16_ms", "%.2f", FIGURE(bf16_ms), 1 },
    { "train ms/image", "train_ms_per_image", "%.2f", FIGURE(train_ms), 1 },
    { "peak MB", "peak_mb", "%.0f", FIGURE(peak_mb), 1 },
    { "planned MB", "planned_mb", "%.0f", FIGURE(planned_mb), 1 },
};
enum { STATIC_FIGURES = 3, N_FIGURES = COUNT_OF(figures), N_COLUMNS = 1 + N_FIGURES + 2 };

static double figure(const CompareModel *m, const Figure *f)
{
    double v;
    memcpy(&v, (const char *)m + f->at, sizeof v);
    return v;
}

/* ---- Markdown ------------------------------------------------------------------------------------------------ */

static char *cost_cell(Arena *a, const CompareModel *m, const CompareModel *base, const Figure *f)
{
    double v = figure(m, f), b = figure(base, f);
    char number[64];
    if (!isfinite(v)) return arena_strdup(a, "-");
    snprintf(number, sizeof number, f->form, v / f->unit);
    if (m == base || !isfinite(b) || b <= 0) return arena_strdup(a, number);
    return arena_printf(a, "%s (%+.1f%%)", number, 100 * (v / b - 1));
}

static char *accuracy_cell(Arena *a, const Comparison *c, const CompareModel *m, Metric what)
{
    Spread s = accuracy(c, m, NULL, what), d = accuracy(c, m, &c->model[0], what);
    if (!s.n) return arena_strdup(a, m->failed ? "failed" : "-");
    char *text = s.n > 1 ? arena_printf(a, "%.3f ± %.3f", s.mean, s.sd) : arena_printf(a, "%.3f", s.mean);
    if (text && m != c->model && d.n) text = arena_printf(a, "%s (%+.3f)", text, d.mean);
    return text;
}

/* Row -1 is the header. */
static Status fill_row(Arena *a, const Comparison *c, int64_t row, char **cell, Error *err)
{
    const CompareModel *m = row < 0 ? NULL : &c->model[row];
    size_t k = 0;
    cell[k++] = arena_strdup(a, m ? m->name : "model");
    for (size_t i = 0; i < N_FIGURES; i++) {
        if (i == STATIC_FIGURES) {
            cell[k++] = m ? accuracy_cell(a, c, m, MAP50) : arena_strdup(a, "mAP50");
            cell[k++] = m ? accuracy_cell(a, c, m, MAP) : arena_strdup(a, "mAP50-95");
        }
        cell[k++] = m ? cost_cell(a, m, c->model, &figures[i]) : arena_strdup(a, figures[i].title);
    }
    for (size_t i = 0; i < N_COLUMNS; i++)
        if (!cell[i]) return fail_nomem(err, 1);
    return DYN_OK;
}

/* Characters, not bytes. */
static int width_of(const char *s)
{
    int n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xC0) != 0x80;
    return n;
}

/* Names to the left, numbers to the right. */
static void add_row(Text *t, char **cell, const int *width)
{
    text_add(t, "| %s%*s", cell[0], width[0] - width_of(cell[0]), "");
    for (size_t k = 1; k < N_COLUMNS; k++)
        text_add(t, " | %*s%s", width[k] - width_of(cell[k]), "", cell[k]);
    text_add(t, " |\n");
}

static Status add_table(Text *t, const Comparison *c, Error *err)
{
    int width[N_COLUMNS] = { 0 };
    char **cell = ARENA_ARRAY(t->a, char *, (c->n + 1) * N_COLUMNS);
    if (!cell) return fail_nomem(err, c->n * N_COLUMNS * sizeof *cell);
    for (size_t r = 0; r <= c->n; r++) {
        TRY(fill_row(t->a, c, (int64_t)r - 1, cell + r * N_COLUMNS, err));
        for (size_t k = 0; k < N_COLUMNS; k++)
            width[k] = MAX(width[k], width_of(cell[r * N_COLUMNS + k]));
    }
    add_row(t, cell, width);
    for (size_t k = 0; k < N_COLUMNS; k++) {
        text_add(t, k ? " | " : "| ");
        for (int i = k > 0; i < width[k]; i++)
            text_add(t, "-");
        if (k) text_add(t, ":");
    }
    text_add(t, " |\n");
    for (size_t r = 1; r <= c->n; r++)
        add_row(t, cell + r * N_COLUMNS, width);
    return DYN_OK;
}

static void add_explanations(Text *t, const Comparison *c)
{
    long long size = c->imgsz, batch = c->batch;
    text_add(t,
             "\nIn brackets: the difference to %s, over the seeds that both have done. mAP: of the epoch with the best "
             "%s%s.\n",
             c->model[0].name, c->fitness == FITNESS_MAP ? "mAP50-95" : "0.1 mAP50 + 0.9 mAP50-95",
             c->n_seeds > 1 ? ", mean ± standard deviation over seeds" : "; one seed, so nothing tells its spread");
    text_add(t,
             "GFLOPs: one picture of %lldx%lld, 2 per multiply-accumulate; true: mixing of kernels, routing, attention "
             "and sampling included, as info prints it; profiler: what a profiler that hooks layers counts. f32, bf16: "
             "inference, batch 1. train: forward, loss and backward of a "
             "batch of %lld, without loading and optimiser. Times: medians, models in turns.\n",
             size, size, batch);
    text_add(t, "peak: most memory that a training step of that batch added to the process; planned: activations laid "
                "out by the planner and six times the weights (gradients, their sum, optimiser, moving average).\n");
}

static void add_failures(Text *t, const Comparison *c)
{
    size_t done = 0, wanted = 0;
    for (size_t i = 0; i < c->n; i++) {
        const CompareModel *m = &c->model[i];
        if (m->failed) text_add(t, "\n- %s failed: %s\n", m->name, m->failed);
        for (size_t k = 0; k < c->n_seeds && !m->failed; k++) {
            const CompareRun *r = &m->run[k];
            if (r->failed) text_add(t, "\n- %s, seed %lld, failed: %s\n", m->name, (long long)c->seed[k], r->failed);
            done += r->done, wanted += !r->failed;
        }
    }
    if (done < wanted) text_add(t, "\n%zu of %zu trainings are done so far.\n", done, wanted);
}

char *compare_text(Arena *a, const Comparison *c)
{
    Error unused;
    Text t = { .a = a };
    text_add(&t, "%s\n\n", c->facts);
    if (add_table(&t, c, &unused) != DYN_OK) return NULL;
    add_explanations(&t, c);
    add_failures(&t, c);
    return text_done(&t);
}

/* ---- CSV ----------------------------------------------------------------------------------------------------- */

/* ",1.5" with a point whatever the locale says; "," for what is not known. */
static void add_number(Text *t, double v)
{
    char number[64] = "";
    if (isfinite(v)) snprintf(number, sizeof number, "%.9g", v);
    text_add(t, ",%s", str_point(number));
}

static void add_field(Text *t, const char *s)
{
    text_add(t, "\"");
    for (; *s; s++)
        text_add(t, *s == '"' ? "\"\"" : "%c", *s);
    text_add(t, "\"");
}

static void add_csv_header(Text *t, const Comparison *c)
{
    text_add(t, "model,file");
    for (size_t i = 0; i < N_FIGURES; i++)
        text_add(t, ",%s", figures[i].csv);
    text_add(t, ",seeds_done,mAP50,mAP50_sd,mAP50_diff,mAP50-95,mAP50-95_sd,mAP50-95_diff");
    for (size_t i = 0; i < c->n_seeds; i++)
        text_add(t, ",mAP50_seed%lld,mAP50-95_seed%lld", (long long)c->seed[i], (long long)c->seed[i]);
    text_add(t, ",failed\n");
}

static const char *first_failure(const Comparison *c, const CompareModel *m)
{
    for (size_t i = 0; i < c->n_seeds && !m->failed; i++)
        if (m->run[i].failed) return m->run[i].failed;
    return m->failed;
}

static void add_csv_row(Text *t, const Comparison *c, const CompareModel *m)
{
    add_field(t, m->name);
    text_add(t, ",");
    add_field(t, m->file);
    for (size_t i = 0; i < N_FIGURES; i++)
        add_number(t, figure(m, &figures[i]));
    add_number(t, (double)accuracy(c, m, NULL, MAP).n);
    for (Metric k = MAP50; k <= MAP; k++) {
        Spread s = accuracy(c, m, NULL, k);
        add_number(t, s.mean);
        add_number(t, s.sd);
        add_number(t, accuracy(c, m, c->model, k).mean);
    }
    for (size_t i = 0; i < c->n_seeds; i++) {
        add_number(t, m->run[i].done ? metric(&m->run[i], MAP50) : NAN);
        add_number(t, m->run[i].done ? metric(&m->run[i], MAP) : NAN);
    }
    const char *failed = first_failure(c, m);
    text_add(t, ",");
    if (failed) add_field(t, failed);
    text_add(t, "\n");
}

char *compare_csv(Arena *a, const Comparison *c)
{
    Text t = { .a = a };
    add_csv_header(&t, c);
    for (size_t i = 0; i < c->n; i++)
        add_csv_row(&t, c, &c->model[i]);
    return text_done(&t);
}
