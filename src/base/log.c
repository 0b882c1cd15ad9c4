/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

void log_line(const Log *log, DynLogLevel level, const char *fmt, ...)
{
    char line[2048];
    va_list ap;
    if (!log || !log->fn || level < log->level) return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    log->fn(log->user, level, line);
}
