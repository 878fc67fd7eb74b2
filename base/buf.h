/*
 * buf.h - a growable byte buffer, NUL terminated behind its length so that it can be read as a
 * string.
 *
 * Ownership: the struct is the caller's (BUF_INIT), its data is freed by buf_release() or handed
 * over by buf_detach(). Adding never fails (out of memory aborts). Not shared between threads.
 */
#ifndef KILN_BASE_BUF_H
#define KILN_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

struct buf {
    char *data; /* NULL while nothing has been added; else data[len] == 0 */
    size_t len;
    size_t cap;
};

#define BUF_INIT   \
    {              \
        NULL, 0, 0 \
    }

/* Makes room for extra more bytes (and the NUL); returns where they go: &data[len]. */
char *buf_reserve(struct buf *buf, size_t extra);
void buf_add(struct buf *buf, const void *bytes, size_t n);
void buf_adds(struct buf *buf, const char *string);
void buf_addc(struct buf *buf, char c);
void buf_addf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vaddf(struct buf *buf, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
/* Adds n bytes as a JSON string with its quotes; control characters escaped, each malformed UTF-8
 * byte as U+FFFD. */
void buf_add_json(struct buf *buf, const char *bytes, size_t n);
/* The same for a NUL-terminated string; NULL gives null. */
void buf_add_json_str(struct buf *buf, const char *string);
/* Adds n bytes for showing to a person: printable UTF-8 as it is, everything else as \n, \t, \xNN.
 */
void buf_add_shown(struct buf *buf, const char *bytes, size_t n);
/* Adds text in single quotes, as shells read it back. */
void buf_add_quoted(struct buf *buf, const char *text);
/* Adds it as a word of a shell's: as it is where no character of it means anything there. */
void buf_add_word(struct buf *buf, const char *text);
/* Cuts to n bytes (n <= len). */
void buf_truncate(struct buf *buf, size_t n);
/* Empties it and keeps the memory. */
void buf_reset(struct buf *buf);
/* Returns the string, "" when empty; owned by the buffer. */
const char *buf_str(const struct buf *buf);
/* Hands the NUL-terminated data to the caller, who frees it; the buffer is empty afterwards. */
char *buf_detach(struct buf *buf);
void buf_release(struct buf *buf);

#endif
