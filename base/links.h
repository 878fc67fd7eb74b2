/*
 * links.h - places in files that a line of output names, and lines that say what went wrong: by a
 * table of what compilers, test runners and stack traces write.
 *
 * Ownership: opaque, links_new() to links_free(). Any thread, one at a time.
 */
#ifndef KILN_BASE_LINKS_H
#define KILN_BASE_LINKS_H

#include <stdbool.h>
#include <stddef.h>

enum link_kind {
    LINK_PLACE,   /* names a place, says nothing of it: a stack's frame, a note */
    LINK_WARNING, /* names one with a warning */
    LINK_ERROR,   /* says that something is wrong, with or without a place */
};

struct link {
    enum link_kind kind;
    size_t start, end;           /* of what names the place, in bytes of the line */
    size_t file_start, file_end; /* of the path; equal: it names none */
    unsigned line, column;       /* from 1; 0: not said */
};

struct links;

struct links *links_new(void);
void links_free(struct links *links);
/* The one of the line (plain text) that matters most, of that kind or of one that matters more;
 * false: there is none. */
bool links_find(struct links *links, const char *text, size_t n, enum link_kind least,
                struct link *out);

#endif
