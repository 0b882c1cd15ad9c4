/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <errno.h>
#include <string.h>

#ifdef __clang_analyzer__
#undef fail
#undef fail_in
#undef fail_nomem
#undef fail_errno
#endif

static const char *const status_names[] = {
#define X(name, text) #name,
    DYN_STATUS_MAP(X)
#undef X
};

const char *dyn_status_name(DynStatus s)
{
    return (size_t)s < COUNT_OF(status_names) ? status_names[s] : "UNKNOWN";
}

Status fail(Error *err, Status s, const char *fmt, ...)
{
    va_list ap;
    err->status = s;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    str_one_line(err->text);
    return s;
}

Status fail_in(Error *err, const char *fmt, ...)
{
    char old[sizeof err->text];
    va_list ap;
    int n;
    memcpy(old, err->text, sizeof old);
    va_start(ap, fmt);
    n = vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof err->text)
        snprintf(err->text + n, sizeof err->text - (size_t)n, ": %.*s", (int)(sizeof err->text - (size_t)n), old);
    str_one_line(err->text);
    return err->status;
}

Status fail_nomem(Error *err, size_t bytes)
{
    return fail(err, DYN_NOMEM, "out of memory: %zu bytes wanted", bytes);
}

Status fail_errno(Error *err, const char *fmt, ...)
{
    int e = errno;
    char what[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return fail(err, e == ENOMEM ? DYN_NOMEM : DYN_IO, "%s: %s", what, strerror(e));
}
