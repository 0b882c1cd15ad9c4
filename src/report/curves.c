/* SPDX-License-Identifier: Apache-2.0
 *
 * curves - precision over recall, and precision, recall and F1 over confidence, at IoU 0.5 (spec 8.11). */
#include "report/canvas.h"

enum { NAMED_CLASSES = 20 }; /* with more, classes are unnamed grey lines behind the mean */

typedef struct CurveKind {
    const char *file, *title, *x, *y;
} CurveKind;

static const CurveKind kinds[] = {
    { "BoxP_curve.png", "Precision over confidence", "Confidence", "Precision" },
    { "BoxR_curve.png", "Recall over confidence", "Confidence", "Recall" },
    { "BoxF1_curve.png", "F1 over confidence", "Confidence", "F1" },
    { "BoxPR_curve.png", "Precision over recall", "Recall", "Precision" },
};
enum { P_CURVE, R_CURVE, F1_CURVE, PR_CURVE };

static const double *curve_of(const ClassResult *c, size_t kind)
{
    const double *curve[] = { c->p_curve, c->r_curve, c->f1_curve, c->pr_curve };
    return curve[kind];
}

/* "all classes, 0.62 mAP@0.5", "all classes, 0.71 at 0.43". */
static const char *mean_name(Arena *a, const EvalResult *r, size_t kind, const double *mean)
{
    size_t best = 0;
    if (kind == PR_CURVE) return arena_printf(a, "all classes %.3f mAP50", r->map50);
    for (size_t i = 1; i < N_GRID; i++)
        if (mean[i] > mean[best]) best = i;
    return arena_printf(a, "all classes %.2f at %.3f", mean[best], (double)best / (N_GRID - 1));
}

static Status draw_kind(const char *dir, const EvalResult *r, const char *const *names, size_t kind, const double *x,
                        Arena *a, Error *err)
{
    const CurveKind *k = &kinds[kind];
    bool named = r->n_rows <= NAMED_CLASSES;
    Series *series = ARENA_ARRAY(a, Series, r->n_rows + 1);
    double *mean = ARENA_ARRAY(a, double, N_GRID);
    char *path = path_join(a, dir, k->file);
    if (!series || !mean || !path) return fail_nomem(err, r->n_rows * sizeof *series);
    for (size_t c = 0; c < r->n_rows; c++) {
        const ClassResult *row = &r->row[r->n_rows - 1 - c]; /* the legend lists the last series first */
        const double *y = curve_of(row, kind);
        for (int i = 0; i < N_GRID; i++)
            mean[i] += y[i] / (double)r->n_rows;
        series[c] = (Series) { .x = x, .y = y, .n = N_GRID, .width = 1.3, .color = palette_line(r->n_rows - 1 - c) };
        if (!named)
            series[c].color = (Rgb) { 0.78, 0.81, 0.86 }, series[c].width = 0.8;
        else if (kind == PR_CURVE)
            series[c].name = arena_printf(a, "%s %.3f", names[row->cls], row->ap[0]);
        else
            series[c].name = names[row->cls];
    }
    series[r->n_rows] = (Series) { .name = mean_name(a, r, kind, mean),
                                   .x = x,
                                   .y = mean,
                                   .n = N_GRID,
                                   .color = named ? INK : palette_line(0),
                                   .width = 3 };
    Chart chart = { k->title, { k->x, 0, 1, false }, { k->y, 0, 1, false }, series, r->n_rows + 1, true };
    return report_chart(path, 1000, 640, &chart, err);
}

Status report_curves(const char *dir, const EvalResult *r, const char *const *names, Error *err)
{
    Arena *a = arena_new();
    double *x = a ? ARENA_ARRAY(a, double, N_GRID) : NULL;
    Status s = x ? DYN_OK : fail_nomem(err, N_GRID * sizeof *x);
    for (int i = 0; i < N_GRID && x; i++)
        x[i] = i / (double)(N_GRID - 1);
    for (size_t k = 0; k < COUNT_OF(kinds) && s == DYN_OK; k++)
        s = draw_kind(dir, r, names, k, x, a, err);
    if (a) arena_free(&a);
    return s;
}
