/* SPDX-License-Identifier: Apache-2.0
 *
 * test - what every test program includes: cmocka, and helpers that are not part of the library. */
#ifndef TEST_H
#define TEST_H

#include "base/base.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#undef fail /* cmocka's is another */
/* cmocka wants these before it */
#include <cmocka.h>

#define assert_ok(call)                                                                                                \
    do {                                                                                                               \
        Status s_ = (call);                                                                                            \
        if (s_ != DYN_OK) fail_msg("%s: %s: %s", #call, dyn_status_name(s_), err.text);                                \
    } while (0)
/* The call must fail with this status and a text that has all of the words. */
#define assert_fails(call, want, words)                                                                                \
    do {                                                                                                               \
        Status s_ = (call);                                                                                            \
        if (s_ != (want)) fail_msg("%s: %s, wanted %s", #call, dyn_status_name(s_), #want);                            \
        if (!strstr(err.text, words)) fail_msg("%s: '%s' does not say '%s'", #call, err.text, words);                  \
    } while (0)

/* Folder of real data that lies beside the checkout (or in $DYN_SHARED); tests that need it skip where it is absent:
 *   const char *dir = shared_dir("data/coco128"); if (!dir) skip_without("data/coco128"); */
static inline const char *shared_dir(const char *below)
{
    static char path[1024];
    const char *top = getenv("DYN_SHARED");
    snprintf(path, sizeof path, "%s/%s", top ? top : "../shared", below);
    FILE *f = fopen(path, "r");
    if (!f) return NULL;
    fclose(f);
    return path;
}
/* Read by the leak sanitizer. fontconfig and cairo keep the fonts they found until the process ends. */
DYN_API const char *__lsan_default_suppressions(void); /* exported, or the sanitizer does not find it */
const char *__lsan_default_suppressions(void)
{
    return "leak:libfontconfig\nleak:libcairo\n";
}

#define skip_without(what) (printf("skip: %s is not here\n", what), skip())

/* |a - b| <= tol; a NaN is far from everything. */
#define assert_near(a, b, tol)                                                                                         \
    do {                                                                                                               \
        double a_ = (a), b_ = (b);                                                                                     \
        if (!(a_ - b_ <= (tol) && b_ - a_ <= (tol))) fail_msg("%s is %.10g, wanted %.10g", #a, a_, b_);                \
    } while (0)

#endif
