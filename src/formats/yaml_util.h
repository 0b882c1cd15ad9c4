/* SPDX-License-Identifier: Apache-2.0
 *
 * yaml_util - what the reader and the writer of YAML share, private to the room. */
#ifndef FORMATS_YAML_UTIL_H
#define FORMATS_YAML_UTIL_H

#include "formats/yaml.h"

#include <string.h>

/* Sets kind and value of a plain scalar from y->text. */
void yaml_resolve(Yaml *y);
/* DYN_FORMAT, naming the second place, when two keys of a MAP are one. */
Status yaml_check_keys(Arena *a, const Yaml *map, Error *err);

#endif
