/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RESUME_H
#define RESUME_H

#include "base/base.h"

/* All options of training as one JSON object of texts, for the checkpoint; lives in the arena. */
Status resume_args(const DynOptions *o, Arena *a, char **json, Error *err);
/* Options of a run from that JSON; what the caller gave and may change (spec 7.13) stays the caller's. Texts live in
 * the arena. */
Status resume_options(const DynOptions *given, const char *json, Arena *a, const Log *log, DynOptions *out, Error *err);

#endif
