/* Opening a document: blanking, scanning, decoding with jansson, and tying the two lists of values
 * together. */
#include "config/doc.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct config_pos config_doc_pos(const struct config_doc *doc, size_t offset)
{
    struct config_pos pos = {1, 1};
    for (size_t i = 0; i < offset && i < doc->n; i++) {
        if (doc->source[i] == '\n') {
            pos.line++;
            pos.column = 1;
        } else if (((unsigned char)doc->source[i] & 0xc0) != 0x80) {
            pos.column++;
        }
    }
    return pos;
}

void config_add_quoted(struct buf *out, const char *bytes, size_t n, size_t max)
{
    size_t end = 0;
    for (size_t chars = 0; end < n && chars < max; chars++) {
        uint32_t scalar;
        size_t len = utf8_decode(bytes + end, n - end, &scalar);
        end += len ? len : 1;
    }
    buf_addc(out, '"');
    buf_add_shown(out, bytes, end);
    buf_adds(out, end < n ? "…\"" : "\"");
}

/* The step that the node is or lies in, or 0. */
static uint32_t step_around(const struct config_doc *doc, uint32_t node)
{
    while (node && node < doc->nodes.n) {
        const struct config_node *it = &doc->nodes.v[node];
        const struct config_node *parent = &doc->nodes.v[it->parent];
        if (it->parent && parent->parent == 0 && parent->key_len == 5 &&
            !memcmp(doc->text + parent->key_offset, "steps", 5))
            return node;
        node = it->parent;
    }
    return 0;
}

int config_doc_fail(struct config_doc *doc, uint32_t inside, size_t offset, const char *format, ...)
{
    struct config_pos pos = config_doc_pos(doc, offset);
    uint32_t step = step_around(doc, inside);
    struct buf words = BUF_INIT;
    va_list args;

    if (step) {
        buf_adds(&words, "step ");
        config_add_quoted(&words, doc->text + doc->nodes.v[step].key_offset,
                          doc->nodes.v[step].key_len, CONFIG_SHOWN_NAME);
        buf_adds(&words, ": ");
    }
    va_start(args, format);
    buf_vaddf(&words, format, args);
    va_end(args);
    int code = err_set(doc->err, ERR_CONFIG, "%s:%u:%u: %s", doc->shown, pos.line, pos.column,
                       buf_str(&words));
    buf_release(&words);
    return code;
}

/* What jansson refuses behind the scanner's back: numbers out of range, lone surrogates, \u0000. */
static int fail_decoding(struct config_doc *doc, const json_error_t *error)
{
    size_t end = error->position > 0 ? (size_t)error->position : 0;
    uint32_t node = 0;
    size_t offset;

    while (node + 1 < doc->nodes.n && doc->nodes.v[node + 1].offset < end)
        node++;
    offset = doc->nodes.v[node].offset;
    if (node + 1 < doc->nodes.n && doc->nodes.v[node + 1].key_len &&
        doc->nodes.v[node + 1].key_offset < end)
        offset = doc->nodes.v[node + 1].key_offset - 1;
    switch (json_error_code(error)) {
    case json_error_out_of_memory: abort();
    case json_error_numeric_overflow:
        return config_doc_fail(doc, node, offset, "this number is too large; write a smaller one");
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return config_doc_fail(
            doc, node, offset,
            "the text holds \\u0000, which no name, path or argument can; remove it");
    default: break;
    }
    struct buf words = BUF_INIT;
    buf_add_shown(&words, error->text, strlen(error->text));
    int code = config_doc_fail(doc, node, offset, "this text cannot be decoded (%s); correct it",
                               buf_str(&words));
    buf_release(&words);
    return code;
}

/* Ties the node and all inside it to jansson's values; false when the two disagree. Depth is
 * bounded by the scanner. */
static bool attach(struct config_doc *doc, uint32_t node, json_t *json)
{
    uint32_t child = node + 1, n = doc->nodes.v[node].n;

    doc->nodes.v[node].json = json;
    if (json_is_object(json)) {
        const char *key;
        json_t *value;
        if (json_object_size(json) != n)
            return false;
        json_object_foreach(json, key, value)
        {
            doc->nodes.v[child].key = key;
            if (!attach(doc, child, value))
                return false;
            child = doc->nodes.v[child].next;
        }
        return true;
    }
    if (json_array_size(json) != n)
        return false;
    for (uint32_t i = 0; i < n; i++, child = doc->nodes.v[child].next)
        if (!attach(doc, child, json_array_get(json, i)))
            return false;
    return true;
}

int config_doc_open(struct config_doc *doc, const char *text, size_t n, const char *shown,
                    struct err *err)
{
    json_error_t error;

    memset(doc, 0, sizeof(*doc));
    doc->shown = shown;
    doc->err = err;
    doc->source = text = n ? text : "";
    if (n > CONFIG_MAX_BYTES)
        return config_doc_fail(doc, 0, 0, "the file is larger than %u MiB; split the pipeline up",
                               CONFIG_MAX_BYTES >> 20);
    if (n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
        text += 3;
        n -= 3;
    }
    doc->source = text;
    doc->n = n;
    doc->text = mem_strndup(text, n);
    if (config_doc_blank(doc) < 0 || config_doc_scan(doc) < 0)
        return -ERR_CONFIG;
    doc->json = json_loadb(doc->text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!doc->json)
        return fail_decoding(doc, &error);
    if (!attach(doc, 0, doc->json))
        return config_doc_fail(doc, 0, 0, "the text cannot be decoded; write it as plain JSON");
    return 0;
}

void config_doc_close(struct config_doc *doc)
{
    json_decref(doc->json);
    doc->json = NULL;
    free(doc->text);
    doc->text = NULL;
    vec_release(&doc->nodes);
}
