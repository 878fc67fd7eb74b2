/*
 * err.h - errors: a kind, an errno, and words that each layer adds to.
 *
 * A fallible function returns 0, or a negative code with its last argument filled in. The message
 * is built from the inside out: err_set() says what went wrong and what to do about it, each caller
 * may err_wrap() it with where. Expected outcomes (miss, changed, tainted) are values of the
 * function, not errors.
 *
 * Ownership: the struct is the caller's, its text is freed by err_release(). A NULL struct err is
 * allowed everywhere: the code is returned, the words are dropped. Not shared between threads.
 */
#ifndef KILN_BASE_ERR_H
#define KILN_BASE_ERR_H

#include <stdarg.h>

#define MUST_CHECK __attribute__((warn_unused_result))

enum err_kind {
    ERR_NONE = 0,
    ERR_SYSTEM,    /* the machine refused: a full disk, a permission, an exhausted limit; exit 3 */
    ERR_CONFIG,    /* kiln.json, or what it names, is wrong; exit 2 */
    ERR_USAGE,     /* the command line is wrong; exit 2 */
    ERR_CORRUPT,   /* stored data does not hold what it claims; the caller treats it as absent */
    ERR_CANCELLED, /* somebody asked to stop */
};

struct err {
    enum err_kind kind;
    int errnum; /* errno, or 0 */
    char *text; /* owned; NULL while kind is ERR_NONE */
};

#define ERR_INIT          \
    {                     \
        ERR_NONE, 0, NULL \
    }

/* Sets the error, replacing what it held; returns -(int)kind. */
int err_set(struct err *err, enum err_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* As err_set with ERR_SYSTEM, and appends ": " and the description of errnum; returns -ERR_SYSTEM.
 */
int err_sys(struct err *err, int errnum, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Puts the formatted words and ": " before the message; returns the code of the error held (0 when
 * there is none; -ERR_SYSTEM for a NULL err, whose code nobody knows: keep the code yourself where
 * NULL may come). */
int err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Moves the error of from to to, replacing what to held; from is left empty; returns its code. */
int err_move(struct err *to, struct err *from);
/* Returns the message, "" when there is none. Valid until the struct changes. */
const char *err_text(const struct err *err);
/* Frees the message and makes the struct empty again. */
void err_release(struct err *err);

#endif
