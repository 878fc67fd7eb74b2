/*
 * doc.h - the text of a kiln.json as values that know where they were written.
 *
 * jansson decodes the values but forgets their places, so a small scanner goes over the same text
 * first: it checks the structure with exact positions (syntax, nesting, duplicate keys) and lists
 * every value in the order written; then each listed value is tied to jansson's. A node is an index
 * into that list: node 0 is the whole document, a container's children follow it directly.
 *
 * Ownership: the struct is the caller's, config_doc_close() frees what it holds, also after a
 * failed open. Keys and strings reached through a node live until then. Not shared between threads.
 */
#ifndef KILN_CONFIG_DOC_H
#define KILN_CONFIG_DOC_H

#include "base/vec.h"
#include "config/config.h"

#include <jansson.h>

/* Far above any real pipeline, low enough that nothing hostile takes noticeable memory, stack or
 * time. */
#define CONFIG_MAX_BYTES  (16u << 20)
#define CONFIG_MAX_VALUES 1000000u
#define CONFIG_MAX_DEPTH  64u

/* Characters of a step's name (all of it: names are shorter) and of any other text that a message
 * shows. */
#define CONFIG_SHOWN_NAME 200u
#define CONFIG_SHOWN_TEXT 60u

struct config_node {
    const json_t *json;
    const char *key; /* the decoded name in its object; NULL in an array and for the document */
    struct config_pos key_pos, pos;
    uint32_t offset; /* of the value's first byte */
    uint32_t key_offset,
        key_len;     /* of the name as written, without its quotes; key_len 0 in an array */
    uint32_t parent; /* 0 for the document too */
    uint32_t next;   /* the node behind the last one inside this value */
    uint32_t n;      /* children */
};

struct config_doc {
    const char *shown;  /* the file's name in messages, borrowed */
    struct err *err;    /* borrowed */
    const char *source; /* borrowed, behind a byte order mark: the text as written, to count
                           characters in */
    char *text; /* the same bytes with comments and trailing commas blanked, NUL terminated */
    size_t n;
    json_t *json;
    VEC(struct config_node) nodes;
};

/* Reads n bytes; they, shown and err must outlive the document. Fails with ERR_CONFIG and the
 * position. */
int config_doc_open(struct config_doc *doc, const char *text, size_t n, const char *shown,
                    struct err *err) MUST_CHECK;
void config_doc_close(struct config_doc *doc);

#define config_doc_each(child, doc, of)                                                         \
    for (uint32_t child = (of) + 1, child##_end = (doc)->nodes.v[of].next; child < child##_end; \
         child = (doc)->nodes.v[child].next)

/* The place of that byte. */
struct config_pos config_doc_pos(const struct config_doc *doc, size_t offset);
/* Adds at most max characters of n bytes for showing to a person in plain double quotes, with an
 * ellipsis when cut. */
void config_add_quoted(struct buf *out, const char *bytes, size_t n, size_t max);

/* The steps of config_doc_open(), each in its own file. */
/* Checks that source is UTF-8 without NUL and blanks comments and trailing commas in text. */
int config_doc_blank(struct config_doc *doc) MUST_CHECK;
/* Fills nodes from text, all but json and key. */
int config_doc_scan(struct config_doc *doc) MUST_CHECK;
/* Sets "shown:line:column: [step "x": ]words", the step being the one that node inside lies in;
 * returns -ERR_CONFIG. */
int config_doc_fail(struct config_doc *doc, uint32_t inside, size_t offset, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
