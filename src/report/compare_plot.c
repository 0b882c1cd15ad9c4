/* SPDX-License-Identifier: Apache-2.0
 *
 * compare_plot - compare.png: the curves of all models laid over each other, accuracy over epochs. The baseline is the
 * dark line; around a mean over seeds lies the range from the lowest to the highest. */
#include "report/canvas.h"

#include <math.h>

typedef struct Curve {
    double *x, *mean, *lo, *hi;
    size_t n;
} Curve;

static const double *values(const CompareRun *r, bool strict)
{
    return strict ? r->map : r->map50;
}

/* Over the runs that have not failed; an epoch counts where all that have begun have been measured. */
static Status curve_of(const Comparison *c, const CompareModel *m, bool strict, Arena *a, Curve *out, Error *err)
{
    size_t longest = 0;
    for (size_t k = 0; k < c->n_seeds; k++)
        if (!m->run[k].failed) longest = MAX(longest, m->run[k].n);
    double *at = ARENA_ARRAY(a, double, 4 * (longest + 1));
    if (!at) return fail_nomem(err, 4 * longest * sizeof *at);
    *out = (Curve) { at, at + longest + 1, at + 2 * (longest + 1), at + 3 * (longest + 1), longest };
    for (size_t i = 0; i < longest; i++) {
        double sum = 0, lo = INFINITY, hi = -INFINITY, runs = 0;
        out->x[i] = (double)i + 1;
        for (size_t k = 0; k < c->n_seeds; k++) {
            const CompareRun *r = &m->run[k];
            if (r->failed || !r->n) continue;
            double v = i < r->n ? values(r, strict)[i] : NAN;
            out->x[i] = i < r->n ? r->epoch[i] : out->x[i];
            sum += v, runs++;
            lo = MIN(lo, v), hi = MAX(hi, v);
        }
        bool known = runs > 0 && isfinite(sum);
        out->mean[i] = known ? sum / runs : NAN;
        out->lo[i] = known && runs > 1 ? lo : NAN;
        out->hi[i] = known && runs > 1 ? hi : NAN;
    }
    return DYN_OK;
}

static size_t points(const Curve *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        n += isfinite(c->mean[i]) != 0;
    return n;
}

static Status fill_chart(const Comparison *c, bool strict, Arena *a, Chart *chart, Error *err)
{
    Series *series = ARENA_ARRAY(a, Series, c->n);
    if (!series) return fail_nomem(err, c->n * sizeof *series);
    for (size_t i = 0; i < c->n; i++) {
        Curve curve = { 0 };
        TRY(curve_of(c, &c->model[i], strict, a, &curve, err));
        bool few = points(&curve) <= 3; /* points alone would be lines too short to see, or none */
        series[c->n - 1 - i] = (Series) { .name = c->model[i].name, /* the legend lists the last series first */
                                          .x = curve.x,
                                          .y = curve.mean,
                                          .n = curve.n,
                                          .lo = curve.lo,
                                          .hi = curve.hi,
                                          .color = i ? palette_line(i - 1) : INK,
                                          .width = i ? 1.8 : 2.5,
                                          .dot = few ? 4 : 0 };
    }
    *chart = (Chart) { .title = strict ? "mAP50-95" : "mAP50",
                       .x = { .label = "Epoch", .whole = true },
                       .series = series,
                       .n = c->n,
                       .legend = !strict };
    return DYN_OK;
}

Status report_comparison(const char *path, const Comparison *c, Error *err)
{
    Chart chart[2];
    const char *title = c->n_seeds > 1 ? "Accuracy by epoch (mean over seeds, lowest to highest)" : "Accuracy by epoch";
    Arena *a = arena_new();
    if (!a) return fail_nomem(err, 1);
    Status s = fill_chart(c, true, a, &chart[0], err);
    if (s == DYN_OK) s = fill_chart(c, false, a, &chart[1], err);
    if (s == DYN_OK) s = report_charts(path, 1640, 640, title, chart, 2, 2, err);
    arena_free(&a);
    return s;
}
