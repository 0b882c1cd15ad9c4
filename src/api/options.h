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

/* Texts that are a switch or something more (pretrained, resume): is it on, is it off (NULL is)? */
bool option_true(const char *s);
bool option_false(const char *s);

/* Bytes of the row's value in DynOptions. */
size_t options_size(const DynOptionRow *r);

/* Was the row set by dyn_option_set? */
bool options_given(const DynOptions *o, const DynOptionRow *r);

#endif
