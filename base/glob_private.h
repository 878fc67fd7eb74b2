/*
 * glob_private.h - what a pattern is compiled to, for base/glob*.c alone.
 *
 *     glob_compile.c   from texts to a set of them
 *     glob.c           whether paths match
 */
#ifndef KILN_BASE_GLOB_PRIVATE_H
#define KILN_BASE_GLOB_PRIVATE_H

#include "base/arena.h"
#include "base/glob.h"
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One element of a component with wildcards. */
struct glob_token {
    enum { T_BYTE, T_ANY, T_STAR, T_CLASS } kind;
    unsigned char byte;
    const char *class; /* T_CLASS: what is behind the '[', checked when compiled; in the arena */
    size_t class_len;
};

/* One component of a pattern: what stands between slashes. */
struct glob_component {
    enum {
        C_LITERAL, /* text */
        C_ANY,     /* '*': every name */
        C_SUFFIX,  /* '*' and text */
        C_WILD,    /* tokens */
        C_DEEP,    /* '**': any number of names, also none; never last, never twice in a row */
    } kind;
    const char *text;
    size_t n;
    const struct glob_token *tokens;
};

struct glob_pattern {
    const struct glob_component *parts;
    size_t n_parts; /* 0: the root, so everything */
    bool negated;
    bool dir_only; /* it had a slash at its end: takes what is below, not a file of that name */
    const char *
        prefix; /* the literal components it starts with, joined: most paths are told by it alone */
    size_t prefix_len, n_prefix;
};

struct glob_set {
    struct arena arena;
    struct glob_pattern *patterns;
    size_t n;
};

static inline size_t glob_take_scalar(const char *p, const char *end, uint32_t *scalar)
{
    size_t n = utf8_decode(p, (size_t)(end - p), scalar);
    if (n)
        return n;
    *scalar = 0x110000u + (unsigned char)*p; /* a byte that is no UTF-8 equals itself only */
    return 1;
}

/* Reads the class behind its '['; *in tells whether wanted is in it. Returns what is behind the
 * ']', NULL with *why when it is malformed. */
const char *glob_take_class(const char *p, const char *end, uint32_t wanted, bool *in,
                            const char **why);

#endif
