/*
 * mem.h - allocation that cannot fail.
 *
 * Out of memory aborts here, so no caller carries an error path for it. Everything returned is
 * released with free(3). Thread safe.
 */
#ifndef KILN_BASE_MEM_H
#define KILN_BASE_MEM_H

#include <stdarg.h>
#include <stddef.h>

/* Returns size bytes, uninitialised (size 0 gives a valid pointer). */
void *mem_alloc(size_t size) __attribute__((malloc, warn_unused_result));
/* Returns count * size zeroed bytes; aborts when the product overflows. */
void *mem_zalloc(size_t count, size_t size) __attribute__((malloc, warn_unused_result));
/* Resizes p (may be NULL) to count * size bytes; aborts when the product overflows. */
void *mem_realloc(void *p, size_t count, size_t size) __attribute__((warn_unused_result));
/* Returns a copy of the string s / of its first n bytes, NUL terminated / of n bytes. */
char *mem_strdup(const char *s) __attribute__((malloc, warn_unused_result));
char *mem_strndup(const char *s, size_t n) __attribute__((malloc, warn_unused_result));
/* Returns a new formatted string. */
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2), warn_unused_result));
char *mem_vprintf(const char *format, va_list args)
    __attribute__((format(printf, 1, 0), warn_unused_result));

#endif
