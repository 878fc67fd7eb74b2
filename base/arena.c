#include "base/arena.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN     _Alignof(max_align_t)
#define FIRST_CAP ((size_t)512)
#define LAST_CAP  ((size_t)256 * 1024)

struct arena_block {
    struct arena_block *older;
    size_t used, cap;
    _Alignas(max_align_t) unsigned char data[];
};

static struct arena_block *new_block(size_t cap)
{
    struct arena_block *block = mem_alloc(sizeof(*block) + cap);
    block->older = NULL;
    block->used = 0;
    block->cap = cap;
    return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        return mem_alloc(SIZE_MAX); /* aborts */
    size_t room = size ? (size + ALIGN - 1) / ALIGN * ALIGN : ALIGN;
    struct arena_block *block = arena->block;
    if (!block || block->cap - block->used < room) {
        size_t cap = block ? block->cap * 2 : FIRST_CAP;
        if (cap > LAST_CAP)
            cap = LAST_CAP;
        if (block && room > cap / 4) {
            /* A large one gets its own block behind the current one, whose rest stays in use. */
            struct arena_block *own = new_block(room);
            own->older = block->older;
            block->older = own;
            block = own;
        } else {
            struct arena_block *next = new_block(room > cap ? room : cap);
            next->older = block;
            arena->block = block = next;
        }
    }
    void *p = block->data + block->used;
    block->used += room;
    arena->bytes += size;
    return p;
}

void *arena_zalloc(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        bytes = SIZE_MAX;
    void *p = arena_alloc(arena, bytes);
    return memset(p, 0, bytes);
}

void *arena_memdup(struct arena *arena, const void *bytes, size_t n)
{
    void *copy = arena_alloc(arena, n);
    return n ? memcpy(copy, bytes, n) : copy;
}

char *arena_strndup(struct arena *arena, const char *s, size_t n)
{
    char *copy = arena_alloc(arena, n < SIZE_MAX ? n + 1 : n);
    if (n)
        memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

char *arena_strdup(struct arena *arena, const char *s)
{
    return arena_strndup(arena, s, strlen(s));
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = arena_alloc(arena, n > 0 ? (size_t)n + 1 : 1);
    text[0] = '\0';
    if (n > 0)
        vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    return text;
}

void arena_release(struct arena *arena)
{
    for (struct arena_block *block = arena->block; block;) {
        struct arena_block *older = block->older;
        free(block);
        block = older;
    }
    *arena = (struct arena)ARENA_INIT;
}
