/* The pre-pass over kiln.json: what JSON does not have is overwritten with spaces, so that every
 * byte keeps its place. */
#include "config/doc.h"

#include "base/text.h"

#include <string.h>

static int check_encoding(struct config_doc *doc)
{
    const char *text = doc->source;
    size_t at = 0;

    while (at < doc->n) {
        uint32_t scalar;
        size_t len = utf8_decode(text + at, doc->n - at, &scalar);
        if (text[at] == 0 || len == 0) {
            bool utf16 = doc->n >= 2 && ((unsigned char)text[0] >= 0xfe || !text[0] || !text[1]);
            if (utf16)
                return config_doc_fail(doc, 0, at, "the file looks like UTF-16; save it as UTF-8");
            if (text[at] == 0)
                return config_doc_fail(doc, 0, at, "a NUL byte is in the text; remove it");
            return config_doc_fail(doc, 0, at,
                                   "byte 0x%02X is not valid UTF-8; save the file as UTF-8",
                                   (unsigned char)text[at]);
        }
        at += len;
    }
    return 0;
}

static void blank(char *text, size_t from, size_t to)
{
    for (; from < to; from++)
        if (text[from] != '\n' && text[from] != '\r')
            text[from] = ' ';
}

/* Returns the place behind the string that begins at at; its end may be missing, the scanner tells.
 */
static size_t skip_string(const char *text, size_t n, size_t at)
{
    for (at++; at < n && text[at] != '"' && text[at] != '\n'; at++)
        if (text[at] == '\\' && at + 1 < n && text[at + 1] != '\n')
            at++;
    return at < n ? at + 1 : n;
}

int config_doc_blank(struct config_doc *doc)
{
    char *text = doc->text;
    size_t n = doc->n, comma = 0;
    char last = 0, before_last = 0; /* the last two characters that mean something */

    if (check_encoding(doc) < 0)
        return -ERR_CONFIG;
    for (size_t at = 0; at < n;) {
        char c = text[at];
        size_t start = at;
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
            at++;
            continue;
        }
        if (c == '/' && text[at + 1] == '/') {
            const char *end = memchr(text + at, '\n', n - at);
            at = end ? (size_t)(end - text) : n;
            blank(text, start, at);
            continue;
        }
        if (c == '/' && text[at + 1] == '*') {
            const char *end = at + 2 < n ? strstr(text + at + 2, "*/") : NULL;
            if (!end)
                return config_doc_fail(doc, 0, at, "this comment has no end; close it with */");
            at = (size_t)(end - text) + 2;
            blank(text, start, at);
            continue;
        }
        /* A comma is a trailing one only behind a value: [,] and {"a":,} stay wrong. */
        if ((c == ']' || c == '}') && last == ',' && before_last && !strchr("[{,:", before_last))
            blank(text, comma, comma + 1);
        if (c == ',')
            comma = at;
        at = c == '"' ? skip_string(text, n, at) : at + 1;
        before_last = last;
        last = c;
    }
    return 0;
}
