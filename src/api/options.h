/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "base/base.h"

/* Value of a row as YAML text ("true", "0.01", "[480, 640]", "null"); the row must have an effect. NULL when out of
 * memory. */
char *options_text(const DynOptions *o, const DynOptionRow *r, Arena *a);

/* Is there an option of this name (an old one counts) in any mode, and in this one? */
bool options_known(const char *key, DynMode mode, bool *here);

/* DYN_USAGE unless o is there and each number that the mode reads lies in its range: callers may have written the
 * struct by hand. */
Status options_check(const DynOptions *o, DynMode mode, Error *err);

/* Was the row set by dyn_option_set? */
bool options_given(const DynOptions *o, const DynOptionRow *r);

#endif
