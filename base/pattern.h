/*
 * pattern.h - what a person looks for in a text: a POSIX extended regular expression, compiled
 * once.
 *
 * Small letters find both cases, a pattern with a capital only its own. A text without special
 * characters is looked for as it is, which is much faster. What would take for ever (references
 * back into the match, thousands of repetitions) counts as invalid.
 *
 * Ownership: the struct is the caller's, zeroed to start, pattern_release() in the end. Any thread.
 */
#ifndef KILN_BASE_PATTERN_H
#define KILN_BASE_PATTERN_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>

#define PATTERN_LOOKED ((size_t)2000)

struct pattern {
    char *text;    /* as typed; NULL: nothing to look for */
    char *invalid; /* why it is no regular expression (so far); or NULL */
    bool plain;    /* no special characters */
    bool capital;  /* case matters */
    bool compiled;
    bool has_line; /* of a text that is valid in the locale, line says whether regex is in it */
    regex_t regex, line;
};

/* Sets what to look for ("" or NULL: nothing). */
void pattern_set(struct pattern *pattern, const char *text);
void pattern_release(struct pattern *pattern);
/* Whether there is something to look for, and it can be. */
bool pattern_ready(const struct pattern *pattern);
/* The first match in n bytes, which a NUL follows and none is among, from that byte on; false:
 * there is none. It may be empty. */
bool pattern_find(const struct pattern *pattern, const char *text, size_t n, size_t from,
                  size_t *start, size_t *end);

/* Whether there is a match in n bytes as above. For an expression that is much faster: in most
 * texts it takes time by their length, where finding the place may need the square. */
bool pattern_matches(const struct pattern *pattern, const char *text, size_t n);

/* How much of a budget of bytes looking through n of them takes: expressions may need the square.
 */
size_t pattern_cost(const struct pattern *pattern, size_t n);

#endif
