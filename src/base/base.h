/* SPDX-License-Identifier: Apache-2.0
 *
 * base - errors, memory, text, files, random numbers: what every room stands on. Knows nothing of tensors.
 *
 * Conventions: whatever can fail returns Status and fills the caller's Error (never NULL); results live in an Arena
 * passed in, so that an early return leaks nothing. No function here prints, exits or aborts. */
#ifndef BASE_H
#define BASE_H

#include <dynyolo.h>
#include <stdarg.h>
#include <stdio.h>

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define CLAMP(x, lo, hi) ((x) < (lo) ? (lo) : (x) > (hi) ? (hi) : (x))
#if defined(__GNUC__)
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define PRINTF_LIKE(fmt, args)
#endif

/* ---- error.c ------------------------------------------------------------------------------------------------ */
typedef DynStatus Status;
typedef DynError Error;

/* Fills err with the formatted text (control characters become '?') and returns s: `return fail(err, DYN_FORMAT, ...)`.
 */
Status fail(Error *err, Status s, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Puts "prefix: " before the text that err already holds; returns err's status. For callers that know where. */
Status fail_in(Error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
Status fail_nomem(Error *err, size_t bytes);
/* fail with strerror(errno) appended: "cannot open 'x': No such file or directory". */
Status fail_errno(Error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
#ifdef __clang_analyzer__ /* what the analyser cannot see from here: a failure is never DYN_OK */
#define fail(err, s, ...) (fail(err, s, __VA_ARGS__), (s))
#define fail_in(err, ...) (fail_in(err, __VA_ARGS__), DYN_IO)
#define fail_nomem(err, bytes) (fail_nomem(err, bytes), DYN_NOMEM)
#define fail_errno(err, ...) (fail_errno(err, __VA_ARGS__), DYN_IO)
#endif
#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        Status try_status_ = (call);                                                                                   \
        if (try_status_ != DYN_OK) return try_status_;                                                                 \
    } while (0)

/* ---- log.c -------------------------------------------------------------------------------------------------- */
/* Where lines go; {0} is silent. Passed by pointer, NULL is silent too. */
typedef struct Log {
    DynLogFn *fn;
    void *user;
    DynLogLevel level; /* lines below it are dropped */
} Log;
void log_line(const Log *log, DynLogLevel level, const char *fmt, ...) PRINTF_LIKE(3, 4);
#define log_debug(log, ...) log_line(log, DYN_LOG_DEBUG, __VA_ARGS__)
#define log_info(log, ...) log_line(log, DYN_LOG_INFO, __VA_ARGS__)
#define log_warn(log, ...) log_line(log, DYN_LOG_WARN, __VA_ARGS__)

/* ---- mem.c -------------------------------------------------------------------------------------------------- */
/* Up to whole cache lines, of 64 bytes: where the next thing may begin. */
static inline size_t mem_round(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}
/* 64-byte aligned, not zeroed; NULL when there is none. Every allocation of the library goes through here. */
void *mem_alloc(size_t bytes);
void mem_free(void *p);
/* Test hook: the n-th allocation from now on (1 = the next) fails, and all after it; 0 switches off. */
void mem_fail_after(long n);

/* Resident memory of this process in bytes, NaN where the system does not tell. mem_resident_start gives unused memory
 * back to the system, tells what is left and lets the system forget the peak; mem_resident_peak is the most since. */
double mem_resident_start(void);
double mem_resident_peak(void);

/* ---- arena.c ------------------------------------------------------------------------------------------------ */
/* Grows by chunks, freed at once. alloc returns zeroed memory aligned to 16 bytes, or NULL when out of memory. */
typedef struct Arena Arena;
typedef struct ArenaMark {
    void *chunk;
    size_t used;
} ArenaMark;
Arena *arena_new(void); /* NULL when out of memory */
void arena_free(Arena **a);
void *arena_alloc(Arena *a, size_t bytes);
/* n objects of size bytes each, NULL also when n*size overflows. */
void *arena_array(Arena *a, size_t n, size_t size);
ArenaMark arena_mark(const Arena *a);
void arena_release(Arena *a, ArenaMark m); /* frees everything allocated since the mark */
char *arena_strdup(Arena *a, const char *s);
char *arena_strndup(Arena *a, const char *s, size_t n);
char *arena_printf(Arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
#define ARENA_NEW(a, T) ((T *)arena_alloc(a, sizeof(T)))
#define ARENA_ARRAY(a, T, n) ((T *)arena_array(a, (size_t)(n), sizeof(T)))
/* Makes room for one more T in a growing arena array (pointer p, used n, capacity cap); false when out of memory. */
bool arena_grow(Arena *a, void *p, size_t n, size_t *cap, size_t size);

/* ---- text.c ------------------------------------------------------------------------------------------------- */
bool str_eq(const char *a, const char *b);
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
bool str_ends_nocase(const char *s, const char *suffix);
/* Whole string as number ("1e-3", "16"); false when anything else is in it or it does not fit. Locale-free. */
bool str_to_double(const char *s, double *x);
bool str_to_int(const char *s, int64_t *x);
/* printf's numbers carry the locale's decimal point: makes every comma of a text of numbers a point. Returns it; NULL
 * stays NULL. */
char *str_point(char *s);
int str_utf8_length(const char *s); /* bytes of the UTF-8 sequence at s, 0 when it is none */
/* Control characters of a text that is to be one line become '?'. Returns it. */
char *str_one_line(char *s);
/* Up to three names of the list that are closest to s (edit distance, at most 2 edits or a third of the length), as
 * "'a', 'b' or 'c'"; "" when none is close. Lives in the arena. */
const char *str_nearest(Arena *a, const char *s, const char *const *names, size_t n);

/* A text that grows. After a failed allocation it stays as it is and text_done returns NULL. {.a = arena} begins one.
 */
typedef struct Text {
    Arena *a;
    char *s;
    size_t n, cap;
    bool failed;
} Text;
void text_add(Text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
void text_add_json(Text *t, const char *s); /* as a JSON string; what is not UTF-8 becomes U+FFFD */
char *text_done(Text *t);                   /* "" when nothing was added */

/* ---- file.c ------------------------------------------------------------------------------------------------- */
/* A regular file for reading; NULL with err filled. Never waits: a pipe, a folder or a device is refused. */
FILE *file_open(const char *path, Error *err);
/* Whole file, a zero byte after it. Fails when it is larger than max bytes, not a regular file, or changes while read.
 */
Status file_read(Arena *a, const char *path, size_t max, char **data, size_t *n, Error *err);
/* Written aside, synced, renamed, folder synced: a reader never sees half of it, a failure leaves the old file whole,
 * and what was written survives a power cut. */
Status file_write(const char *path, const void *data, size_t n, Error *err);
/* The same for a writer that streams: write to *f, then commit (or abandon with ok=false). `unsynced`, set in between:
 * what can be made again, pictures above all, does not wait for the disk. */
typedef struct FileWriter {
    FILE *f;
    bool unsynced;
    char path[4096], tmp[4096];
} FileWriter;
Status file_begin(FileWriter *w, const char *path, Error *err);
Status file_end(FileWriter *w, bool ok, Error *err);
/* Adds text to the end of a file, which is made; synced on demand. What a failure left of it is taken back. */
Status file_append(const char *path, const char *text, bool sync, Error *err);
/* In the names of files that are being written aside; only a kill leaves one behind. */
#define TMP_MARK ".tmp-"
bool file_exists(const char *path);
bool dir_exists(const char *path);
Status dir_make(const char *path, Error *err); /* with parents; no error when it exists */
/* The same; *made: it is new, and this call made it (of two that try at once, one). */
Status dir_make_new(const char *path, bool *made, Error *err);
/* Makes this process the only one that holds the folder, until dir_release or its end. DYN_IO when another does. */
Status dir_claim(const char *dir, int *claim, Error *err);
void dir_release(int *claim); /* -1 is fine */
/* Removes what a killed writer left behind in a folder that is claimed. */
void dir_sweep(const char *dir);
/* Names of regular files below dir (dot names skipped), full paths, sorted bytewise. */
Status dir_list(Arena *a, const char *dir, bool recursive, char ***paths, size_t *n, Error *err);
const char *path_name(const char *path);                      /* after the last slash */
const char *path_ext(const char *path);                       /* after the last dot of the name, "" when none */
char *path_stem(Arena *a, const char *path);                  /* name without extension */
char *path_dir(Arena *a, const char *path);                   /* "." when there is no slash */
char *path_join(Arena *a, const char *dir, const char *name); /* name alone when it is absolute */

/* ---- rng.c -------------------------------------------------------------------------------------------------- */
/* Random numbers as a function of (seed, epoch, sample, purpose): any number of workers draws the same. */
typedef struct Rng {
    uint64_t s[4];
} Rng;
Rng rng_at(uint64_t seed, uint64_t epoch, uint64_t sample, uint64_t purpose);
uint64_t rng_key(const char *name); /* a purpose or a parameter name as a number */
uint64_t rng_u64(Rng *r);
double rng_unit(Rng *r);                          /* [0, 1) */
double rng_uniform(Rng *r, double lo, double hi); /* [lo, hi) */
int64_t rng_int(Rng *r, int64_t n);               /* 0 .. n-1, n > 0 */
double rng_normal(Rng *r);

/* ---- clock.c ------------------------------------------------------------------------------------------------ */
double clock_ms(void); /* monotonic */

#endif
