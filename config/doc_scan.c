/* The scanner: the structure of kiln.json with exact positions, before jansson decodes the values.
 */
#include "config/doc.h"

#include "base/map.h"
#include "base/text.h"

#include <string.h>

struct scanner {
    struct config_doc *doc;
    size_t at;
    /* Places are asked for in ascending order, so lines are counted once. */
    size_t counted;
    struct config_pos pos;
    /* The name in front of the value that comes next; key_len 0 = none. */
    struct config_pos key_pos;
    uint32_t key_offset, key_len;
};

static struct config_pos pos_of(struct scanner *s, size_t offset)
{
    for (; s->counted < offset; s->counted++) {
        char c = s->doc->source[s->counted];
        if (c == '\n') {
            s->pos.line++;
            s->pos.column = 1;
        } else if (((unsigned char)c & 0xc0) != 0x80) {
            s->pos.column++;
        }
    }
    return s->pos;
}

static char peek(struct scanner *s)
{
    const char *text = s->doc->text;
    while (text[s->at] == ' ' || text[s->at] == '\t' || text[s->at] == '\n' || text[s->at] == '\r')
        s->at++;
    return text[s->at];
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '+' || c == '.' || c == '$';
}

static size_t word_length(const char *text)
{
    size_t n = 0;
    while (is_word(text[n]))
        n++;
    return n;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_number(const char *word, size_t n)
{
    size_t i = 0;
    if (i < n && word[i] == '-')
        i++;
    if (i >= n || !is_digit(word[i]))
        return false;
    if (word[i] == '0')
        i++;
    else
        while (i < n && is_digit(word[i]))
            i++;
    if (i < n && word[i] == '.') {
        i++;
        if (i >= n || !is_digit(word[i]))
            return false;
        while (i < n && is_digit(word[i]))
            i++;
    }
    if (i < n && (word[i] == 'e' || word[i] == 'E')) {
        i++;
        if (i < n && (word[i] == '-' || word[i] == '+'))
            i++;
        if (i >= n || !is_digit(word[i]))
            return false;
        while (i < n && is_digit(word[i]))
            i++;
    }
    return i == n;
}

static int fail_cut_off(struct scanner *s, uint32_t inside, const char *expected)
{
    struct config_pos begin =
        s->doc->nodes.n ? s->doc->nodes.v[inside].pos : (struct config_pos){1, 1};
    return config_doc_fail(
        s->doc, inside, s->at,
        "the file ends where %s is expected, in what begins at %u:%u; is it cut off?", expected,
        begin.line, begin.column);
}

/* Says what stands at the scanner's place instead of what is expected, and how to write it. */
static int fail_unexpected(struct scanner *s, uint32_t inside, const char *expected)
{
    const char *at = s->doc->text + s->at;
    size_t word = word_length(at);
    struct buf what = BUF_INIT;
    int code;

    if (s->at >= s->doc->n)
        return fail_cut_off(s, inside, expected);
    if (word) {
        config_add_quoted(&what, at, word, CONFIG_SHOWN_TEXT);
        code = config_doc_fail(s->doc, inside, s->at,
                               "%s is expected, not %s; names and text go in double quotes",
                               expected, buf_str(&what));
    } else {
        uint32_t scalar = 0;
        size_t len = utf8_decode(at, s->doc->n - s->at, &scalar);
        const char *remedy = "correct the text there";
        if (*at == '\'' || (scalar >= 0x2018 && scalar <= 0x201f))
            remedy = "text goes in plain double quotes";
        else if (!strncmp(expected, "','", 3) && strchr("\"{[", *at))
            remedy = "put a comma in front of it";
        buf_addc(&what, '\'');
        buf_add_shown(&what, at, len ? len : 1);
        buf_addc(&what, '\'');
        code = config_doc_fail(s->doc, inside, s->at, "%s is expected, not %s; %s", expected,
                               *at == '\'' ? "a single quote" : buf_str(&what), remedy);
    }
    buf_release(&what);
    return code;
}

/* Goes over the string at the scanner's place, a '"'; surrogates and \u0000 are left to jansson. */
static int scan_string(struct scanner *s, uint32_t inside)
{
    const char *text = s->doc->text;
    size_t start = s->at;

    for (s->at++; text[s->at] != '"'; s->at++) {
        unsigned char c = (unsigned char)text[s->at];
        if (c == '\n' || s->at >= s->doc->n)
            return config_doc_fail(s->doc, inside, start,
                                   "this string has no end on its line; close it with a double "
                                   "quote, and write line breaks as \\n");
        if (c < 0x20)
            return config_doc_fail(
                s->doc, inside, s->at,
                "a string holds the control character 0x%02X; write it as \\u%04x", c, c);
        if (c != '\\')
            continue;
        c = (unsigned char)text[s->at + 1];
        if (c == 'u' && strspn(text + s->at + 2, "0123456789abcdefABCDEF") >= 4) {
            s->at += 5;
        } else if (c && strchr("\"\\/bfnrt", c)) {
            s->at++;
        } else if (c == '\n' || s->at + 1 >= s->doc->n) {
            continue; /* the string's end is what is missing */
        } else {
            return config_doc_fail(s->doc, inside, s->at,
                                   "this is not an escape of JSON; write \\\\ for a backslash");
        }
    }
    s->at++;
    return 0;
}

static int scan_word(struct scanner *s, uint32_t inside)
{
    const char *at = s->doc->text + s->at;
    size_t n = word_length(at);

    if (!(n == 4 && !memcmp(at, "true", 4)) && !(n == 5 && !memcmp(at, "false", 5)) &&
        !(n == 4 && !memcmp(at, "null", 4)) && !is_number(at, n)) {
        struct buf what = BUF_INIT;
        config_add_quoted(&what, at, n, CONFIG_SHOWN_TEXT);
        int code = config_doc_fail(
            s->doc, inside, s->at, "%s is not a value of JSON; %s", buf_str(&what),
            is_digit(*at) || *at == '-' || *at == '+' || *at == '.'
                ? "write a plain decimal number, or put it in double quotes"
                : "text goes in double quotes, and true, false and null are lower case");
        buf_release(&what);
        return code;
    }
    s->at += n;
    return 0;
}

static int scan_value(struct scanner *s, uint32_t parent, unsigned depth);

/* Notes the key for the value that becomes the next node; one seen before in this object is an
 * error. */
static int check_duplicate(struct scanner *s, struct map *seen, uint32_t object, size_t offset,
                           size_t len)
{
    struct config_doc *doc = s->doc;
    const char *key = doc->text + offset;
    json_t *decoded = NULL;
    int code = 0;

    /* "a" and "\u0061" are one name. */
    if (memchr(key, '\\', len))
        decoded = json_loadb(key - 1, len + 2, JSON_DECODE_ANY, NULL);
    if (decoded) {
        key = json_string_value(decoded);
        len = json_string_length(decoded);
    }
    void **first = map_get(seen, key, len);
    if (first) {
        struct config_pos pos = doc->nodes.v[(uintptr_t)*first].key_pos;
        struct buf name = BUF_INIT;
        config_add_quoted(&name, key, len, CONFIG_SHOWN_TEXT);
        code = config_doc_fail(doc, object, offset - 1,
                               "the key %s is given twice, first at %u:%u; remove or rename one of "
                               "the two",
                               buf_str(&name), pos.line, pos.column);
        buf_release(&name);
    } else {
        map_put(seen, key, len, (void *)(uintptr_t)doc->nodes.n, NULL);
    }
    json_decref(decoded);
    return code;
}

static int scan_members(struct scanner *s, uint32_t object, unsigned depth, struct map *seen)
{
    struct config_doc *doc = s->doc;

    for (char c = peek(s); c != '}'; c = peek(s)) {
        if (doc->nodes.v[object].n > 0) {
            if (c != ',')
                return fail_unexpected(s, object, "',' or '}'");
            s->at++;
            c = peek(s);
        }
        if (c != '"')
            return fail_unexpected(s, object, "a key");
        size_t start = s->at;
        s->key_pos = pos_of(s, start);
        if (scan_string(s, object) < 0)
            return -ERR_CONFIG;
        size_t len = s->at - start - 2;
        if (check_duplicate(s, seen, object, start + 1, len) < 0)
            return -ERR_CONFIG;
        if (peek(s) != ':')
            return fail_unexpected(s, object, "':' behind the key");
        s->at++;
        s->key_offset = (uint32_t)start + 1;
        s->key_len = (uint32_t)len;
        if (scan_value(s, object, depth + 1) < 0)
            return -ERR_CONFIG;
        doc->nodes.v[object].n++;
    }
    s->at++;
    return 0;
}

static int scan_items(struct scanner *s, uint32_t array, unsigned depth)
{
    struct config_doc *doc = s->doc;

    for (char c = peek(s); c != ']'; c = peek(s)) {
        if (doc->nodes.v[array].n > 0) {
            if (c != ',')
                return fail_unexpected(s, array, "',' or ']'");
            s->at++;
        }
        if (scan_value(s, array, depth + 1) < 0)
            return -ERR_CONFIG;
        doc->nodes.v[array].n++;
    }
    s->at++;
    return 0;
}

static int scan_value(struct scanner *s, uint32_t parent, unsigned depth)
{
    struct config_doc *doc = s->doc;
    char c = peek(s);
    uint32_t node = (uint32_t)doc->nodes.n;
    int code;

    if (c != '{' && c != '[' && c != '"' && !is_word(c))
        return fail_unexpected(s, parent, "a value");
    if (depth > CONFIG_MAX_DEPTH)
        return config_doc_fail(
            doc, parent, s->at,
            "values are nested more than %u deep; no key of kiln.json needs that",
            CONFIG_MAX_DEPTH);
    if (node >= CONFIG_MAX_VALUES)
        return config_doc_fail(doc, parent, s->at,
                               "the file has more than %u values; split the pipeline up",
                               CONFIG_MAX_VALUES);
    vec_push(&doc->nodes, (struct config_node){.pos = pos_of(s, s->at),
                                               .offset = (uint32_t)s->at,
                                               .parent = parent,
                                               .key_pos = s->key_pos,
                                               .key_offset = s->key_offset,
                                               .key_len = s->key_len});
    s->key_pos = (struct config_pos){0, 0};
    s->key_offset = s->key_len = 0;
    if (c == '{') {
        struct map seen = MAP_INIT;
        s->at++;
        code = scan_members(s, node, depth, &seen);
        map_release(&seen);
    } else if (c == '[') {
        s->at++;
        code = scan_items(s, node, depth);
    } else if (c == '"') {
        code = scan_string(s, parent);
    } else {
        code = scan_word(s, parent);
    }
    doc->nodes.v[node].next = (uint32_t)doc->nodes.n;
    return code;
}

int config_doc_scan(struct config_doc *doc)
{
    struct scanner s = {.doc = doc, .pos = {1, 1}};

    if (peek(&s) == 0)
        return config_doc_fail(doc, 0, 0,
                               "the file is empty; start with {\"version\": 1, \"steps\": "
                               "{\"hello\": {\"run\": \"echo hello\"}}}");
    if (scan_value(&s, 0, 0) < 0)
        return -ERR_CONFIG;
    if (peek(&s) != 0)
        return config_doc_fail(doc, 0, s.at,
                               "there is more text behind the end of the pipeline; remove it");
    return 0;
}
