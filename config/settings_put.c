/* Changes one value in the text of a person's settings, and nothing else of it. */
#include "base/text.h"
#include "config/doc.h"
#include "config/settings.h"

#include <string.h>

/* Where a string literal that begins there ends. */
static size_t literal_end(const char *text, size_t at)
{
    for (at++; text[at] != '"'; at++)
        at += text[at] == '\\';
    return at + 1;
}

static size_t blanks_at(const char *text)
{
    size_t n = 0; /* the object's end stops it */
    while (text[n] == ' ' || text[n] == '\t' || text[n] == '\r' || text[n] == '\n')
        n++;
    return n;
}

static void add_member(struct buf *out, const char *name, const char *word)
{
    buf_addf(out, "\"%s\": \"%s\"", name, word);
}

/* As the first member, laid out as the one that was first. What blanks a comment is left of it. */
static void insert(const struct config_doc *doc, const char *name, const char *word,
                   struct buf *out)
{
    const struct config_node *file = &doc->nodes.v[0];
    size_t at = file->offset + 1, blanks = blanks_at(doc->source + at);
    buf_add(out, doc->source, at);
    if (file->n > 0) {
        buf_add(out, doc->source + at, blanks);
        add_member(out, name, word);
        buf_addc(out, ',');
        if (blanks > 0)
            buf_add(out, doc->source + at, blanks);
        else
            buf_addc(out, ' ');
        at += blanks;
    } else {
        buf_adds(out, "\n  ");
        add_member(out, name, word);
        if (blanks == 0)
            buf_addc(out, doc->source[at] == '}' ? '\n' : ' ');
    }
    buf_add(out, doc->source + at, doc->n - at);
}

static int put(struct config_doc *doc, const char *name, const char *word, struct buf *out)
{
    if (!json_is_object(doc->nodes.v[0].json))
        return config_doc_fail(doc, 0, doc->nodes.v[0].offset, "the settings are no object");
    config_doc_each(child, doc, 0)
    {
        const struct config_node *it = &doc->nodes.v[child];
        if (strcmp(it->key, name) != 0)
            continue;
        if (!json_is_string(it->json))
            return config_doc_fail(doc, 0, it->offset, "\"%s\" is no string", name);
        size_t end = literal_end(doc->text, it->offset);
        buf_add(out, doc->source, it->offset);
        buf_addf(out, "\"%s\"", word);
        buf_add(out, doc->source + end, doc->n - end);
        return 0;
    }
    insert(doc, name, word, out);
    return 0;
}

/* Whether the text has all that doc has, and that word. */
static bool is_put(const struct config_doc *doc, const struct buf *text, const char *name,
                   const char *word)
{
    struct config_doc now;
    struct err err = ERR_INIT;
    bool is = config_doc_open(&now, buf_str(text), text->len, doc->shown, &err) == 0;
    if (is) {
        json_t *wanted = json_copy(doc->json);
        is = wanted && json_object_set_new(wanted, name, json_string(word)) == 0 &&
             json_equal(wanted, now.json);
        json_decref(wanted);
    }
    config_doc_close(&now);
    err_release(&err);
    return is;
}

int config_settings_put(const char *text, size_t n, const char *shown, const char *name,
                        const char *word, struct buf *out, struct err *err)
{
    struct config_doc doc;
    struct err own = ERR_INIT;
    size_t before = out->len;
    int code = config_doc_open(&doc, text, n, shown, &own);
    if (code == 0) {
        buf_add(out, text, (size_t)(doc.source - text));
        code = put(&doc, name, word, out);
    }
    if (code == 0) {
        struct buf made = {.data = out->data + before, .len = out->len - before};
        if (!is_put(&doc, &made, name, word))
            code = config_doc_fail(&doc, 0, 0, "it cannot be changed without changing more");
    }
    config_doc_close(&doc);
    if (code < 0) {
        buf_truncate(out, before);
        return err_move(err, &own);
    }
    return 0;
}
