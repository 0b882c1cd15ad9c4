/* SPDX-License-Identifier: Apache-2.0
 *
 * source - what `source=` names, as a list of picture files (spec 9.1). */
#ifndef SOURCE_H
#define SOURCE_H

#include "base/base.h"

/* A file, a folder (not its subfolders), a glob (** is not special), or a .txt list (paths relative to the working
 * directory, then to the list's folder). Sorted bytewise, except lists, which keep their order. Fails when nothing
 * usable is there, saying what was. */
Status source_list(Arena *a, const char *source, char ***paths, size_t *n, Error *err);

#endif
