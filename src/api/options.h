/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "base/base.h"

/* Value of a row as YAML text ("true", "0.01", "[480, 640]", "null"); the row must have an effect. NULL when out of
 * memory. */
char *options_text(const DynOptions *o, const DynOptionRow *r, Arena *a);

/* Was the row set by dyn_option_set? */
bool options_given(const DynOptions *o, const DynOptionRow *r);

#endif
