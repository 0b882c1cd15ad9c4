/* SPDX-License-Identifier: Apache-2.0
 *
 * words - from the words of a command line to a mode and its options (spec 12.1). Knows no command and prints nothing,
 * so that the fuzzer can ask it. */
#ifndef CLI_WORDS_H
#define CLI_WORDS_H

#include <dynyolo.h>

/* A line of what is tolerated. */
typedef void WordsWarn(const char *line);

/* Joins what the shell split: `key = value`, `key= value`, `key =value`, `key=[1, 2]`. Text has room for all of `in`
 * with their zero bytes, out for n pointers into it. Returns how many words there are now. */
int words_join(int n, char **in, char *text, char **out);
/* Takes the word that names the mode, or mode=NAME, out of the words; options without any mean train. A DynMode, or -1
 * when there is neither. */
int words_mode(int *n, char **words, WordsWarn *warn);
/* Defaults of the mode, then word after word: key=value, --key=value, a bare switch, a comma at the end. Options point
 * into the words, which are written to, and for cfg=FILE into ctx. */
DynStatus words_options(DynContext *ctx, DynOptions *o, DynMode mode, int n, char **words, WordsWarn *warn,
                        DynError *err);

#endif
