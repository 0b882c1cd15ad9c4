/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <string.h>

typedef struct Chunk {
    struct Chunk *prev;
    size_t used, size;
    _Alignas(16) char data[];
} Chunk;

struct Arena {
    Chunk *top;
};

enum { FIRST_CHUNK = 4096, LARGEST_CHUNK = 1 << 20 };

Arena *arena_new(void)
{
    Arena *a = mem_alloc(sizeof *a);
    if (a) a->top = NULL;
    return a;
}

void arena_free(Arena **a)
{
    if (!*a) return;
    arena_release(*a, (ArenaMark) { 0 });
    mem_free(*a);
    *a = NULL;
}

void *arena_alloc(Arena *a, size_t bytes)
{
    Chunk *c = a->top;
    void *p;
    if (bytes > SIZE_MAX / 2) return NULL;
    bytes = (bytes + 15) / 16 * 16;
    if (!c || c->size - c->used < bytes) {
        size_t size = c ? MIN(c->size * 2, (size_t)LARGEST_CHUNK) : FIRST_CHUNK;
        size = MAX(size, bytes);
        if (!(c = mem_alloc(sizeof *c + size))) return NULL;
        *c = (Chunk) { .prev = a->top, .size = size };
        a->top = c;
    }
    p = c->data + c->used;
    c->used += bytes;
    return memset(p, 0, bytes);
}

void *arena_array(Arena *a, size_t n, size_t size)
{
    return size && n > SIZE_MAX / size ? NULL : arena_alloc(a, n * size);
}

ArenaMark arena_mark(const Arena *a)
{
    return (ArenaMark) { a->top, a->top ? a->top->used : 0 };
}

void arena_release(Arena *a, ArenaMark m)
{
    while (a->top != m.chunk) {
        Chunk *c = a->top;
        a->top = c->prev;
        mem_free(c);
    }
    if (a->top) a->top->used = m.used;
}

char *arena_strndup(Arena *a, const char *s, size_t n)
{
    char *p = arena_alloc(a, n + 1);
    if (p) memcpy(p, s, n);
    return p;
}

char *arena_strdup(Arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

char *arena_printf(Arena *a, const char *fmt, ...)
{
    va_list ap;
    char *p;
    int n;
    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !(p = arena_alloc(a, (size_t)n + 1))) return NULL;
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}

bool arena_grow(Arena *a, void *p, size_t n, size_t *cap, size_t size)
{
    void *old, *grown;
    size_t want = *cap ? *cap * 2 : 16;
    if (n < *cap) return true;
    if (!(grown = arena_array(a, want, size))) return false;
    memcpy(&old, p, sizeof old);
    if (n) memcpy(grown, old, n * size);
    memcpy(p, &grown, sizeof grown);
    *cap = want;
    return true;
}
