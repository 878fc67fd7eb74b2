/*
 * vec.h - growable arrays of any type: struct { T *v; size_t n, cap; }.
 *
 *     VEC(int) numbers = VEC_INIT;
 *     vec_push(&numbers, 7);
 *     vec_each(int, p, &numbers) printf("%d\n", *p);
 *     vec_release(&numbers);
 *
 * Pointers into the array die at the next push; keep indices. Growing never fails.
 */
#ifndef KILN_BASE_VEC_H
#define KILN_BASE_VEC_H

#include "base/mem.h"

#include <stddef.h>

#define VEC(T)         \
    struct {           \
        T *v;          \
        size_t n, cap; \
    }
#define VEC_INIT   \
    {              \
        NULL, 0, 0 \
    }

#define vec_reserve(vec, want)                                               \
    do {                                                                     \
        size_t vec_want_ = (want);                                           \
        if (vec_want_ > (vec)->cap) {                                        \
            size_t vec_cap_ = (vec)->cap ? (vec)->cap * 2 : 8;               \
            (vec)->cap = vec_cap_ < vec_want_ ? vec_want_ : vec_cap_;        \
            (vec)->v = mem_realloc((vec)->v, (vec)->cap, sizeof(*(vec)->v)); \
        }                                                                    \
    } while (0)
#define vec_push(vec, ...)                    \
    do {                                      \
        vec_reserve(vec, (vec)->n + 1);       \
        (vec)->v[(vec)->n++] = (__VA_ARGS__); \
    } while (0)
#define vec_pop(vec)           ((vec)->v[--(vec)->n])
#define vec_last(vec)          ((vec)->v[(vec)->n - 1])
#define vec_each(T, item, vec) for (T *item = (vec)->v; item && item < (vec)->v + (vec)->n; item++)
#define vec_clear(vec)         ((void)((vec)->n = 0))
#define vec_release(vec)           \
    do {                           \
        free((vec)->v);            \
        (vec)->v = NULL;           \
        (vec)->n = (vec)->cap = 0; \
    } while (0)

#include <stdlib.h>

#endif
