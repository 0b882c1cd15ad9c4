/* SPDX-License-Identifier: Apache-2.0
 *
 * ap - average precision and the confidence curves, spec 8.5 and 8.6. Double throughout, as the reference. */
#include "eval/eval.h"
#include "eval/sort.h"

#include <string.h>

double interp_linear(double x, const double *xp, const double *fp, size_t n, double left)
{
    if (x < xp[0]) return left;
    if (x >= xp[n - 1]) return fp[n - 1];
    size_t lo = 0, hi = n - 1; /* xp[lo] <= x < xp[hi] */
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (xp[mid] <= x)
            lo = mid;
        else
            hi = mid;
    }
    return (fp[hi] - fp[lo]) / (xp[hi] - xp[lo]) * (x - xp[lo]) + fp[lo];
}

double compute_ap(const double *recall, const double *precision, size_t n, ApRule rule, double *knots, size_t *n_knots)
{
    size_t m = n + 2 + (rule == AP_DROP);
    double *r = knots, *p = knots + m, area = 0;
    r[0] = 0, p[0] = 1;
    memcpy(r + 1, recall, n * sizeof *r);
    memcpy(p + 1, precision, n * sizeof *p);
    if (rule == AP_DROP) r[m - 2] = recall[n - 1], p[m - 2] = 0;
    r[m - 1] = 1, p[m - 1] = 0;
    for (size_t i = m - 1; i-- > 0;)
        p[i] = MAX(p[i], p[i + 1]);
    for (int i = 0; i < 100; i++)
        area += (interp_linear(i / 100., r, p, m, 1) + interp_linear((i + 1) / 100., r, p, m, 1)) / 2 * 0.01;
    *n_knots = m;
    return area;
}

/* One class's predictions in falling confidence, and room for what is derived from them. */
typedef struct ClassInput {
    const uint16_t *hit;
    double *minus_conf; /* rising, the way interpolation wants it */
    size_t n;
    double *recall, *precision, *knots;
} ClassInput;

static void recall_and_precision(const ClassInput *in, int level, double n_targets)
{
    double tp = 0;
    for (size_t i = 0; i < in->n; i++) {
        tp += in->hit[i] >> level & 1;
        in->recall[i] = tp / (n_targets + 1e-16);
        in->precision[i] = tp / (double)(i + 1);
    }
}

/* curve: four grids in a row - precision, recall, F1 over confidence, precision over recall - all zero on entry. */
static void fill_class(ClassResult *row, const ClassInput *in, ApRule rule, double *curve)
{
    double *p = curve, *r = curve + N_GRID, *f1 = curve + 2 * N_GRID, *pr = curve + 3 * N_GRID;
    row->p_curve = p, row->r_curve = r, row->f1_curve = f1, row->pr_curve = pr;
    if (in->n == 0) return;
    for (int k = 0; k < N_IOU; k++) {
        size_t n_knots;
        recall_and_precision(in, k, (double)row->instances);
        row->ap[k] = compute_ap(in->recall, in->precision, in->n, rule, in->knots, &n_knots);
        row->map += row->ap[k] / N_IOU;
        if (k > 0) continue;
        for (int i = 0; i < N_GRID; i++) {
            double x = i / (double)(N_GRID - 1);
            r[i] = interp_linear(-x, in->minus_conf, in->recall, in->n, 0);
            p[i] = interp_linear(-x, in->minus_conf, in->precision, in->n, 1);
            f1[i] = 2 * p[i] * r[i] / (p[i] + r[i] + 1e-16);
            pr[i] = interp_linear(x, in->knots, in->knots + n_knots, n_knots, 1);
        }
    }
}

/* Where the class-mean F1, smoothed by a box of 101 points with repeated ends, is highest. */
static int best_index(const EvalResult *r)
{
    enum { HALF = 50 };
    double mean[N_GRID] = { 0 }, best = -1;
    int at = 0;
    for (size_t c = 0; c < r->n_rows; c++)
        for (int i = 0; i < N_GRID; i++)
            mean[i] += r->row[c].f1_curve[i] / (double)r->n_rows;
    for (int i = 0; i < N_GRID; i++) {
        double sum = 0;
        for (int d = -HALF; d <= HALF; d++)
            sum += mean[CLAMP(i + d, 0, N_GRID - 1)] / (2 * HALF + 1);
        if (sum > best) best = sum, at = i;
    }
    return at;
}

static void fill_means(EvalResult *r)
{
    int best = r->n_rows ? best_index(r) : 0;
    double n = (double)MAX(r->n_rows, 1);
    r->best_conf = best / (double)(N_GRID - 1);
    for (size_t c = 0; c < r->n_rows; c++) {
        ClassResult *row = &r->row[c];
        row->p = row->p_curve[best], row->r = row->r_curve[best], row->f1 = row->f1_curve[best];
        r->p += row->p / n, r->r += row->r / n;
        r->map50 += row->ap[0] / n, r->map75 += row->ap[5] / n, r->map += row->map / n;
        r->instances += row->instances;
    }
    for (int32_t c = 0; c < r->nc; c++)
        r->maps[c] = r->map;
    for (size_t c = 0; c < r->n_rows; c++)
        r->maps[r->row[c].cls] = r->row[c].map;
}

/* order [n]: by class, and within a class by falling confidence; start [nc+1] where each class begins. */
static bool order_by_class(const float *conf, const int32_t *cls, size_t n, int32_t nc, uint32_t *order, size_t *start,
                           Arena *a)
{
    uint32_t *by_conf = ARENA_ARRAY(a, uint32_t, MAX(n, 1));
    uint64_t *pair = ARENA_ARRAY(a, uint64_t, 2 * MAX(n, 1));
    size_t *next = ARENA_ARRAY(a, size_t, (size_t)nc + 1);
    if (!by_conf || !pair || !next) return false;
    sort_falling(conf, by_conf, n, pair);
    for (size_t i = 0; i < n; i++)
        start[cls[i] + 1]++;
    for (int32_t c = 0; c < nc; c++) {
        start[c + 1] += start[c];
        next[c] = start[c];
    }
    for (size_t i = 0; i < n; i++)
        order[next[cls[by_conf[i]]]++] = by_conf[i];
    return true;
}

Status ap_per_class(const uint16_t *hit, const float *conf, const int32_t *pred_cls, size_t n,
                    const int32_t *target_cls, size_t n_target, int32_t nc, ApRule rule, Arena *a, EvalResult *r,
                    Error *err)
{
    *r = (EvalResult) { .nc = nc, .maps = ARENA_ARRAY(a, double, nc) };
    if (n > UINT32_MAX) return fail(err, DYN_SHAPE, "%zu predictions are more than can be ranked", n);
    int64_t *instances = ARENA_ARRAY(a, int64_t, nc);
    if (!r->maps || !instances) return fail_nomem(err, (size_t)nc * sizeof(double));
    for (size_t i = 0; i < n_target; i++)
        r->n_rows += instances[target_cls[i]]++ == 0;
    r->row = ARENA_ARRAY(a, ClassResult, MAX(r->n_rows, 1));
    double *curves = ARENA_ARRAY(a, double, MAX(r->n_rows, 1) * 4 * N_GRID);
    if (!r->row || !curves) return fail_nomem(err, r->n_rows * 4 * N_GRID * sizeof(double));

    Arena *scratch = arena_new();
    if (!scratch) return fail_nomem(err, 1);
    uint32_t *order = ARENA_ARRAY(scratch, uint32_t, MAX(n, 1));
    size_t *start = ARENA_ARRAY(scratch, size_t, (size_t)nc + 1);
    uint16_t *sorted = ARENA_ARRAY(scratch, uint16_t, MAX(n, 1));
    double *column = ARENA_ARRAY(scratch, double, 5 * n + 6);
    if (!order || !start || !sorted || !column || !order_by_class(conf, pred_cls, n, nc, order, start, scratch)) {
        arena_free(&scratch);
        return fail_nomem(err, n * 64);
    }
    size_t at = 0;
    for (int32_t c = 0; c < nc; c++) {
        if (!instances[c]) continue;
        ClassInput in = { sorted, column, start[c + 1] - start[c], column + n, column + 2 * n, column + 3 * n };
        for (size_t i = 0; i < in.n; i++) {
            uint32_t from = order[start[c] + i];
            sorted[i] = hit[from];
            in.minus_conf[i] = -(double)conf[from];
        }
        r->row[at] = (ClassResult) { .cls = c, .instances = instances[c] };
        fill_class(&r->row[at], &in, rule, curves + at * 4 * N_GRID);
        at++;
    }
    arena_free(&scratch);
    fill_means(r);
    return DYN_OK;
}

double eval_fitness(const EvalResult *r, FitnessRule rule)
{
    return rule == FITNESS_MAP ? r->map : 0.1 * r->map50 + 0.9 * r->map;
}
