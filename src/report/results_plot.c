/* SPDX-License-Identifier: Apache-2.0
 *
 * results_plot - results.png, spec 9.7: ten columns of results.csv over epochs, smoothed by a Gaussian of 3 epochs
 * whose ends are mirrored. */
#include "report/canvas.h"

#include <math.h>

typedef struct Panel {
    const char *column, *title;
} Panel;

static const Panel panels[] = {
    { "train/box_loss", "train/box_loss" }, { "train/cls_loss", "train/cls_loss" },
    { "train/dfl_loss", "train/dfl_loss" }, { "metrics/precision(B)", "precision" },
    { "metrics/recall(B)", "recall" },      { "val/box_loss", "val/box_loss" },
    { "val/cls_loss", "val/cls_loss" },     { "val/dfl_loss", "val/dfl_loss" },
    { "metrics/mAP50(B)", "mAP50" },        { "metrics/mAP50-95(B)", "mAP50-95" },
};

static void smooth(const double *y, double *to, size_t n)
{
    enum { REACH = 12 };
    for (size_t i = 0; i < n; i++) {
        double sum = 0, weight = 0;
        for (int64_t d = -REACH; d <= REACH; d++) {
            int64_t period = 2 * (int64_t)n, j = (((int64_t)i + d) % period + period) % period;
            double v = y[j < (int64_t)n ? j : period - 1 - j], w = exp(-0.5 * (double)(d * d) / 9);
            if (isfinite(v)) sum += w * v, weight += w;
        }
        to[i] = weight > 0 ? sum / weight : NAN;
    }
}

static Status fill_panel(Chart *chart, const ResultsTable *t, const Panel *panel, const double *epoch, Arena *a,
                         Error *err)
{
    int column = results_column(t, panel->column);
    if (column < 0) return fail(err, DYN_FORMAT, "results have no column '%s'", panel->column);
    double *y = ARENA_ARRAY(a, double, t->n_rows), *soft = ARENA_ARRAY(a, double, t->n_rows);
    Series *series = ARENA_ARRAY(a, Series, 2);
    if (!y || !soft || !series) return fail_nomem(err, t->n_rows * 16);
    for (size_t i = 0; i < t->n_rows; i++)
        y[i] = t->value[i * t->n_columns + (size_t)column];
    smooth(y, soft, t->n_rows);
    Rgb pale = { 0.66, 0.77, 0.93 };
    bool alone = t->n_rows == 1; /* one epoch is a point, not a line */
    series[0] = (Series) {
        .x = epoch, .y = y, .n = t->n_rows, .color = pale, .width = 1.2, .dot = t->n_rows <= 60 ? 2.4 : 1.2
    };
    series[1] = (Series) {
        .x = epoch, .y = soft, .n = t->n_rows, .color = palette_line(0), .width = alone ? 0 : 2.4, .dot = alone ? 4 : 0
    };
    *chart = (Chart) { .title = panel->title, .x = { .whole = true }, .series = series, .n = 2 };
    return DYN_OK;
}

static Status draw_results(const char *path, const ResultsTable *t, Arena *a, Error *err)
{
    Chart chart[COUNT_OF(panels)];
    int column = results_column(t, "epoch");
    if (column < 0) return fail(err, DYN_FORMAT, "results have no column 'epoch'");
    if (t->n_rows == 0) return fail(err, DYN_FORMAT, "results have no row yet");
    double *epoch = ARENA_ARRAY(a, double, t->n_rows);
    if (!epoch) return fail_nomem(err, t->n_rows * sizeof *epoch);
    for (size_t i = 0; i < t->n_rows; i++)
        epoch[i] = t->value[i * t->n_columns + (size_t)column];
    for (size_t i = 0; i < COUNT_OF(panels); i++)
        TRY(fill_panel(&chart[i], t, &panels[i], epoch, a, err));
    return report_charts(path, 1800, 760, "Training, by epoch (line: smoothed)", chart, COUNT_OF(panels), 5, err);
}

Status report_results(const char *path, const ResultsTable *t, Error *err)
{
    Arena *a = arena_new();
    if (!a) return fail_nomem(err, 1);
    Status s = draw_results(path, t, a, err);
    arena_free(&a);
    return s;
}
