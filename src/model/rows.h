/* SPDX-License-Identifier: Apache-2.0
 *
 * rows - the model YAML as it is used: scaling numbers, and its rows with sources resolved. Builds nothing. */
#ifndef MODEL_ROWS_H
#define MODEL_ROWS_H

#include "model/args.h"
#include "model/model.h"

enum { MAX_ROWS = 1000 };

typedef struct RowSpec {
    const Yaml *at; /* the row, for messages */
    const char *name, *from;
    int *source, n_source; /* row numbers, -1 is the image */
    int64_t repeat;        /* as written */
    const ModuleDef *def;
    const Yaml *args;
} RowSpec;

typedef struct Description {
    int64_t nc, ch, reg_max;
    double depth, width;
    int64_t max_channels;
    const char *scale; /* "" when there are no scales */
    Act act;
    const char *note;  /* key `note`, NULL */
    bool later_family; /* a row names a module of the families after v8 */
    RowSpec *row;
    int n_row;
} Description;

/* file: as given by the user, for the scale letter. */
Status description_read(Arena *a, const char *file, const Yaml *yaml, const ModelOptions *o, Description *d,
                        Error *err);
/* Puts "file:line: row 3 (Conv): " before err's text (a place that it already names stays); returns err's status. */
Status row_fail_in(const RowSpec *r, int index, Error *err);

/* ---- file names (stock.c) ------------------------------------------------------------------------------------ */

/* The scale letter of a file name ("yolov8s-p2.yaml" -> 's'), 0 when there is none. */
char scale_letter(const char *path);
/* The name without its letter, and with 6 spelt -p6: "yolov8x6.yaml" -> "yolov8-p6.yaml"; path itself when none. */
const char *unified_name(Arena *a, const char *path);
/* Text of a stock file by its exact name, NULL. */
const char *stock_text(const char *name);

#endif
