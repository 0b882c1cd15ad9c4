/* SPDX-License-Identifier: Apache-2.0
 *
 * dynyolo - train, validate, predict and convert YOLOv8 detectors with dynamic modules.
 *
 * This is the only public header; the command `dynyolo` is written on it alone. */
#ifndef DYNYOLO_H
#define DYNYOLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define DYN_API __attribute__((visibility("default")))
#else
#define DYN_API
#endif

/* ---- errors ------------------------------------------------------------------------------------------------ */

#define DYN_STATUS_MAP(X)                                                                                              \
    X(OK, "ok")                                                                                                        \
    X(USAGE, "wrong usage")                                                                                            \
    X(IO, "cannot read or write")                                                                                      \
    X(FORMAT, "malformed input")                                                                                       \
    X(SHAPE, "shapes do not fit")                                                                                      \
    X(UNSUPPORTED, "not supported")                                                                                    \
    X(NOMEM, "out of memory")                                                                                          \
    X(STOPPED, "interrupted")

typedef enum DynStatus {
#define X(name, text) DYN_##name,
    DYN_STATUS_MAP(X)
#undef X
} DynStatus;

/* What failed, where, and how to mend it, in one line of UTF-8 without a newline. */
typedef struct DynError {
    DynStatus status;
    char text[1024];
} DynError;

/* Name of a status for programs ("FORMAT"), never NULL. */
DYN_API const char *dyn_status_name(DynStatus s);

/* ---- log ---------------------------------------------------------------------------------------------------- */

typedef enum DynLogLevel { DYN_LOG_DEBUG, DYN_LOG_INFO, DYN_LOG_WARN } DynLogLevel;

/* Receives one line (no newline). May be called from any thread that entered the library, one call at a time. */
typedef void DynLogFn(void *user, DynLogLevel level, const char *line);

#ifdef __cplusplus
}
#endif
#endif
