/* SPDX-License-Identifier: Apache-2.0
 *
 * report - everything that is drawn or written for a person: boxes on pictures, plots, results.csv, table rows.
 *
 * Pictures go through cairo. Text is DejaVu Sans where it is installed, whatever fontconfig offers where it is not, and
 * cairo's built-in strokes on a machine without any font. Names may be any bytes: what is no UTF-8 becomes '?'. A path
 * that ends in .jpg or .jpeg is written as JPEG, anything else as PNG. Functions that make text return it; nothing here
 * prints. */
#ifndef REPORT_H
#define REPORT_H

#include "data/data.h"
#include "eval/eval.h"
#include "image/image.h"

typedef struct Rgb {
    double r, g, b; /* 0..1 */
} Rgb;
Rgb palette_box(int32_t cls); /* the 20 colours of boxes, by class modulo 20 */
Rgb palette_line(size_t i);   /* colours for lines on white, by index */

/* ---- draw.c, mosaic.c ---------------------------------------------------------------------------------------- */
typedef struct DrawOpt {
    const char *const *names; /* [n_names]; a class beyond them is shown by its number */
    int32_t n_names;
    int line_width; /* pixels; 0: max(round((H+W+3)/2 * 0.003), 2) */
    bool labels;    /* the class name above the box */
    bool conf;      /* and the confidence after it, unless it is negative (a label) */
} DrawOpt;
DrawOpt draw_defaults(const char *const *names, int32_t n_names); /* names and confidences, width by size */

/* Draws det, in pixels of im, best first, onto im; the best lies on top. Name tags stay inside the picture. */
Status report_draw(Image *im, const Detection *det, size_t n, const DrawOpt *opt, Error *err);

typedef struct MosaicTile {
    const Image *image;
    const Detection *det; /* in pixels of image; conf < 0 for labels */
    size_t n;
    const char *caption; /* file name, or NULL */
} MosaicTile;
/* At most 16 pictures in a square grid, filled column by column, at most 1920 pixels a side. Boxes with a confidence
 * from 0 to 0.25 are left out. Fails DYN_USAGE when n is 0. */
Status report_mosaic(const char *path, const MosaicTile *tile, size_t n, const DrawOpt *opt, Error *err);

/* ---- chart.c, bars.c ------------------------------------------------------------------------------------------ */
typedef struct Series {
    const char *name; /* legend entry; NULL: none */
    const double *x, *y;
    size_t n; /* points; those that are not finite leave a gap */
    Rgb color;
    double width;          /* of the line in pixels, 0: none */
    double dot;            /* radius in pixels, 0: none */
    const double *lo, *hi; /* [n] a pale band around the line; NULL: none */
} Series;

typedef struct Axis {
    const char *label; /* NULL: none */
    double lo, hi;     /* lo == hi: from the data, rounded to ticks */
    bool whole;        /* ticks at whole numbers only */
} Axis;

typedef struct Chart {
    const char *title;
    Axis x, y;
    const Series *series; /* later ones lie on top */
    size_t n;
    bool legend; /* to the right of the plot */
} Chart;
Status report_chart(const char *path, int w, int h, const Chart *chart, Error *err);
/* Several in a grid of equal cells, row by row, under one title (or NULL). */
Status report_charts(const char *path, int w, int h, const char *title, const Chart *chart, size_t n, size_t columns,
                     Error *err);

typedef struct Bars {
    const char *title, *label; /* label of the value axis */
    const char *const *names;  /* [n] */
    const double *value;       /* [n] >= 0 */
    const Rgb *color;          /* [n], or NULL for one colour */
    size_t n;
    const char *unit; /* printf form of the number at a bar's end ("%.1f ms"), NULL: "%g"; exactly one double */
} Bars;
/* Horizontal bars, one row each, so that names of any length can be read. */
Status report_bars(const char *path, int w, int h, const Bars *bars, Error *err);

/* ---- plots of a validation: curves.c, confusion.c ------------------------------------------------------------- */
/* BoxPR_curve.png, BoxF1_curve.png, BoxP_curve.png, BoxR_curve.png in dir: a thin line per class (named when there are
 * 20 or fewer) and the mean. names [r->nc]. */
Status report_curves(const char *dir, const EvalResult *r, const char *const *names, Error *err);
/* m [nc+1, nc+1], row = predicted, column = true, last = background; normalised divides columns by their sum. */
Status report_confusion(const char *path, const int64_t *m, int32_t nc, const char *const *names, bool normalised,
                        Error *err);

/* ---- plots of a training: results_plot.c, labels_plot.c ------------------------------------------------------- */
typedef struct ResultsTable {
    char **name; /* [n_columns] */
    size_t n_columns, n_rows;
    double *value; /* [n_rows, n_columns]; NaN where the field is no number */
} ResultsTable;
/* The 2x5 grid of losses and metrics over epochs, each with a smoothed line. Fails DYN_FORMAT when a column is missing.
 */
Status report_results(const char *path, const ResultsTable *t, Error *err);
/* Instances per class, box shapes, and the histograms of centres and sizes. label: fractions of their images. */
Status report_labels(const char *path, const Target *label, size_t n, const char *const *names, int32_t nc, Error *err);

/* ---- csv.c: results.csv, spec 7.12 ----------------------------------------------------------------------------- */
typedef struct ResultsRow {
    int epoch;      /* 1-based */
    double seconds; /* since the start */
    double train_loss[3], precision, recall, map50, map, val_loss[3], lr[3];
    const double *extra; /* [n_extra] values of columns of one's own */
    size_t n_extra;
} ResultsRow;
/* Without newline, in the arena; NULL when out of memory. Losses and metrics are rounded to 5 decimals, then %.6g. */
char *results_header(Arena *a, const char *const *extra, size_t n_extra);
char *results_line(Arena *a, const ResultsRow *row);
/* Adds the row to the file, with the header first when the file is new. */
Status results_append(const char *path, const ResultsRow *row, const char *const *extra, Error *err);
/* Drops the rows after an epoch, as resuming from its checkpoint asks; nothing happens when there is no file. */
Status results_trim(const char *path, int last_epoch, Error *err);
/* Reads a results.csv of ours, or of the reference, old (padded) form included. */
Status results_read(Arena *a, const char *path, ResultsTable *t, Error *err);
/* The same from text [.., 0], which is written over and has to outlive *t; path is for messages only. */
Status results_parse(Arena *a, char *text, const char *path, ResultsTable *t, Error *err);
/* Index of a column, or -1. */
int results_column(const ResultsTable *t, const char *name);

/* ---- comparison of models: compare_text.c, compare_plot.c ------------------------------------------------------ */
enum { COMPARE_MOST_SEEDS = 256 };
typedef struct CompareRun { /* one model trained with one seed */
    bool done;
    const char *failed;          /* why it did not come to its end, NULL */
    size_t n;                    /* epochs so far */
    double *epoch, *map50, *map; /* [n] of results.csv; NaN where an epoch was not validated */
    double best_map50, best_map; /* of the epoch with the best fitness; NaN: none yet */
} CompareRun;
typedef struct CompareModel {
    const char *name, *file;
    const char *failed; /* why it could not be built, NULL */
    /* NaN: not known (yet) */
    double params, gflops, profiler;  /* elements; 2e-9 per multiply-accumulate, true and by layers alone */
    double f32_ms, bf16_ms, train_ms; /* per image */
    double peak_mb, planned_mb;       /* of a training step */
    CompareRun *run;                  /* [n_seeds] */
} CompareModel;
typedef struct Comparison {
    CompareModel *model; /* the first is the baseline */
    size_t n, n_seeds;
    const int64_t *seed;
    int64_t imgsz, batch; /* as trained */
    const char *facts;    /* what all have in common, a line or more */
    FitnessRule fitness;  /* by which the best epoch is chosen */
} Comparison;
/* The epochs of a results.csv, none when there is no such file. done and failed are the caller's. */
Status compare_run_read(Arena *a, const char *csv, FitnessRule rule, CompareRun *run, Error *err);
/* The table in Markdown with its explanations and the reasons of what failed; lines to print as they are. */
char *compare_text(Arena *a, const Comparison *c);
/* One row a model; empty fields where a number is not known. */
char *compare_csv(Arena *a, const Comparison *c);
/* mAP50-95 and mAP50 over epochs: the mean over seeds of each model, and the range from the lowest to the highest. */
Status report_comparison(const char *path, const Comparison *c, Error *err);

/* ---- lines.c: console rows ------------------------------------------------------------------------------------- */
typedef struct TrainProgress {
    int epoch, epochs;   /* 1-based, of */
    int64_t step, steps; /* batches done in this epoch, of */
    double loss[3];      /* running means: box, class, distribution */
    int64_t instances;   /* labels in the last batch */
    int imgsz;
    double images_per_s;
    double wait;        /* share of time spent waiting for data, 0..1 */
    double eta_seconds; /* to the end of this epoch */
} TrainProgress;
/* Text goes to buf [size] and is returned. Columns of the header stand over those of the row. */
char *train_header(char *buf, size_t size);
char *train_line(char *buf, size_t size, const TrainProgress *p);
/* "12s", "3:05", "2:03:04", "1d 02:03"; "-" for what is no time. */
char *duration_text(char *buf, size_t size, double seconds);
/* "Speed: 0.4ms preprocess, 25.1ms inference, 0.2ms postprocess per image"; a part below 0 is left out. */
char *speed_text(char *buf, size_t size, double preprocess_ms, double inference_ms, double loss_ms,
                 double postprocess_ms);
/* "4 persons, 1 bus, " in ascending class, or "(no detections), ": spec 9.6. NULL when out of memory. */
char *counts_text(Arena *a, const Detection *det, size_t n, const char *const *names, int32_t n_names);

/* ---- check_text.c -------------------------------------------------------------------------------------------- */
/* One problem as a line, without a newline; NULL when out of memory, as the others. */
char *check_problem_text(Arena *a, const DataProblem *p);
char *check_problem_json(Arena *a, const DataProblem *p);
/* The figures of all splits: tables of splits, sizes and classes; the same as JSON lines that end with a summary. */
char *check_report_text(Arena *a, const DataConfig *config, const DataReport *r);
char *check_report_json(Arena *a, const DataConfig *config, const DataReport *r);

#endif
