/*
 * arena.h - many small allocations that die together.
 *
 * Ownership: the struct is the caller's (ARENA_INIT); everything taken from it lives until
 * arena_release(). Memory is aligned for any type. Never fails. Not shared between threads.
 */
#ifndef KILN_BASE_ARENA_H
#define KILN_BASE_ARENA_H

#include <stddef.h>

struct arena_block;
struct arena {
    struct arena_block *block; /* the current block, linked to the earlier ones */
    size_t bytes;              /* handed out in all */
};

#define ARENA_INIT \
    {              \
        NULL, 0    \
    }

void *arena_alloc(struct arena *arena, size_t size) __attribute__((malloc));
/* Zeroed; aborts when count * size overflows. */
void *arena_zalloc(struct arena *arena, size_t count, size_t size) __attribute__((malloc));
void *arena_memdup(struct arena *arena, const void *bytes, size_t n);
char *arena_strdup(struct arena *arena, const char *s);
char *arena_strndup(struct arena *arena, const char *s, size_t n);
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Frees everything; the arena is empty and usable again. */
void arena_release(struct arena *arena);

#endif
