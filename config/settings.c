#include "config/settings.h"

#include "base/mem.h"
#include "base/text.h"
#include "config/doc.h"
#include "config/settings_table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* How long a command's name may be. */
#define COMMAND_NAME 18

struct reader {
    struct config_doc doc;
    const struct config_settings_known *known;
    struct config_settings *settings;
};

static int fail(struct reader *r, uint32_t node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(struct reader *r, uint32_t node, const char *format, ...)
{
    struct buf words = BUF_INIT;
    va_list args;
    va_start(args, format);
    buf_vaddf(&words, format, args);
    va_end(args);
    int code = config_doc_fail(&r->doc, 0, r->doc.nodes.v[node].offset, "%s", buf_str(&words));
    buf_release(&words);
    return code;
}

/* Says that the word (a value, or with of_key the node's name) is none of those. */
static int fail_word(struct reader *r, uint32_t node, bool of_key, const char *word,
                     const char *what, struct config_words known)
{
    struct buf words = BUF_INIT;
    const struct config_node *it = &r->doc.nodes.v[node];
    const char *nearest = text_nearest(word, known.v, known.n);
    buf_addf(&words, "unknown %s ", what);
    config_add_quoted(&words, word, strlen(word), CONFIG_SHOWN_TEXT);
    if (nearest) {
        buf_addf(&words, "; did you mean \"%s\"?", nearest);
    } else if (known.n <= 12) {
        buf_adds(&words, "; there is ");
        for (size_t i = 0; i < known.n; i++)
            buf_addf(&words, "%s\"%s\"",
                     i == 0            ? ""
                     : i + 1 < known.n ? ", "
                                       : " and ",
                     known.v[i]);
    }
    int code = config_doc_fail(&r->doc, 0, of_key ? it->key_offset - 1 : it->offset, "%s",
                               buf_str(&words));
    buf_release(&words);
    return code;
}

static int fail_key_name(struct reader *r, uint32_t node, const char *name)
{
    struct buf words = BUF_INIT;
    config_add_quoted(&words, name, strlen(name), CONFIG_SHOWN_TEXT);
    int code = fail(r, node,
                    "%s names no key; a key is a character, ^ and a letter, two characters typed "
                    "one after the other, or a name such as \"Enter\", \"PgUp\" or \"F5\"",
                    buf_str(&words));
    buf_release(&words);
    return code;
}

static const char *string_of(struct reader *r, uint32_t node)
{
    return json_string_value(r->doc.nodes.v[node].json);
}

static int read_word(struct reader *r, uint32_t node, const char *what, struct config_words known,
                     const char **out)
{
    const char *word = string_of(r, node);
    if (!word)
        return fail(r, node, "%s must be a string; put it in double quotes", what);
    for (size_t i = 0; i < known.n; i++) {
        if (strcmp(known.v[i], word) == 0) {
            *out = arena_strdup(&r->settings->arena, word);
            return 0;
        }
    }
    return fail_word(r, node, false, word, what, known);
}

static int read_choice(struct reader *r, uint32_t node, enum config_choice *out)
{
    const struct config_node *it = &r->doc.nodes.v[node];
    if (!json_is_boolean(it->json))
        return fail(r, node, "\"%s\" must be true or false, without quotes", it->key);
    *out = json_is_true(it->json) ? CONFIG_YES : CONFIG_NO;
    return 0;
}

static int read_after(struct reader *r, uint32_t node)
{
    const char *text = string_of(r, node);
    if (!text || !text_parse_duration(text, &r->settings->notify_after_ms))
        return fail(r, node, "\"notify_after\" must be a duration; write it as \"30s\" or \"5m\"");
    return 0;
}

static int read_key_names(struct reader *r, uint32_t node, const char *const **out, size_t *n_out)
{
    const struct config_node *it = &r->doc.nodes.v[node];
    bool list = json_is_array(it->json);
    size_t n = list ? it->n : 1;
    if (!list && !json_is_string(it->json))
        return fail(r, node, "the keys of an action are a string or a list of strings");
    if (n > r->known->most_keys)
        return fail(r, node, "an action has at most %zu keys", r->known->most_keys);
    const char **keys = arena_zalloc(&r->settings->arena, n + 1, sizeof *keys);
    for (uint32_t i = 0, at = list ? node + 1 : node; i < n; i++, at = r->doc.nodes.v[at].next) {
        const char *name = string_of(r, at);
        if (!name)
            return fail(r, at, "a key must be a string; put it in double quotes");
        if (!r->known->is_key(name))
            return fail_key_name(r, at, name);
        keys[i] = arena_strdup(&r->settings->arena, name);
    }
    *out = keys;
    *n_out = n;
    return 0;
}

static int read_keys_of(struct reader *r, uint32_t node, struct config_keys_of *out)
{
    out->action = arena_strdup(&r->settings->arena, r->doc.nodes.v[node].key);
    return read_key_names(r, node, &out->keys, &out->n);
}

static int read_keys(struct reader *r, uint32_t node)
{
    const struct config_node *it = &r->doc.nodes.v[node];
    if (!json_is_object(it->json))
        return fail(r, node,
                    "\"keys\" must be an object; write it as {\"retry\": \"r\", \"next-pane\": "
                    "[\"Tab\"]}");
    struct config_keys_of *keys = arena_zalloc(&r->settings->arena, it->n + 1, sizeof *keys);
    r->settings->keys = keys;
    config_doc_each(child, &r->doc, node)
    {
        const char *action = r->doc.nodes.v[child].key;
        bool is = false;
        for (size_t i = 0; i < r->known->actions.n; i++)
            is = is || strcmp(r->known->actions.v[i], action) == 0;
        if (!is)
            return fail_word(r, child, true, action, "action", r->known->actions);
        if (read_keys_of(r, child, &keys[r->settings->n_keys++]) < 0)
            return -ERR_CONFIG;
    }
    return 0;
}

static int read_run(struct reader *r, uint32_t node, struct config_command *out)
{
    const struct config_node *it = &r->doc.nodes.v[node];
    if (!json_is_array(it->json) || it->n == 0)
        return fail(r, node,
                    "\"run\" must be a list of words, the program first; write it as [\"git\", "
                    "\"diff\"], or [\"sh\", \"-c\", \"...\"] for a shell");
    const char **words = arena_zalloc(&r->settings->arena, it->n + 1, sizeof *words);
    size_t n = 0;
    config_doc_each(child, &r->doc, node)
    {
        const char *word = string_of(r, child);
        if (!word)
            return fail(r, child, "a word of a command must be a string; put it in double quotes");
        words[n++] = arena_strdup(&r->settings->arena, word);
    }
    out->run = words;
    return 0;
}

static int read_command(struct reader *r, uint32_t node, struct config_command *out)
{
    static const char *const parts[] = {"key", "run"};
    const struct config_node *it = &r->doc.nodes.v[node];
    const struct config_words *actions = &r->known->actions;
    size_t n = strlen(it->key);
    if (n == 0 || n > COMMAND_NAME || strspn(it->key, CONFIG_COMMAND_LETTERS) != n)
        return config_doc_fail(&r->doc, 0, it->key_offset - 1,
                               "a command's name has at most %d lower-case letters, digits and -",
                               COMMAND_NAME);
    for (size_t i = 0; i < actions->n; i++)
        if (strcmp(actions->v[i], it->key) == 0)
            return config_doc_fail(&r->doc, 0, it->key_offset - 1,
                                   "kiln has an action \"%s\" already; give the command another "
                                   "name",
                                   it->key);
    if (!json_is_object(it->json))
        return fail(r, node,
                    "a command must be an object; write it as {\"key\": \"^G\", \"run\": [\"git\", "
                    "\"diff\"]}");
    out->name = arena_strdup(&r->settings->arena, it->key);
    config_doc_each(child, &r->doc, node)
    {
        const char *part = r->doc.nodes.v[child].key;
        int code = strcmp(part, "key") == 0   ? read_key_names(r, child, &out->keys, &out->n_keys)
                   : strcmp(part, "run") == 0 ? read_run(r, child, out)
                                              : fail_word(r, child, true, part, "part of a command",
                                                          (struct config_words){parts, 2});
        if (code < 0)
            return code;
    }
    return out->run ? 0 : fail(r, node, "a command needs \"run\": the program and its arguments");
}

static int read_commands(struct reader *r, uint32_t node)
{
    const struct config_node *it = &r->doc.nodes.v[node];
    if (!json_is_object(it->json))
        return fail(r, node,
                    "\"commands\" must be an object; write it as {\"changes\": {\"key\": \"^G\", "
                    "\"run\": [\"git\", \"diff\"]}}");
    struct config_command *commands =
        arena_zalloc(&r->settings->arena, it->n + 1, sizeof *commands);
    r->settings->commands = commands;
    config_doc_each(child, &r->doc, node)
    {
        if (read_command(r, child, &commands[r->settings->n_commands++]) < 0)
            return -ERR_CONFIG;
    }
    return 0;
}

static int read_setting(struct reader *r, uint32_t node, enum config_setting_id id)
{
    struct config_settings *s = r->settings;
    switch (id) {
    case SETTING_THEME: return read_word(r, node, "theme", r->known->themes, &s->theme);
    case SETTING_STEPS: return read_word(r, node, "way to show steps", r->known->forms, &s->steps);
    case SETTING_SORT: return read_word(r, node, "order", r->known->sorts, &s->sort);
    case SETTING_NOTIFY: return read_word(r, node, "way to notify", r->known->notify, &s->notify);
    case SETTING_NOTIFY_AFTER: return read_after(r, node);
    case SETTING_MOUSE: return read_choice(r, node, &s->mouse);
    case SETTING_SCREEN_READER: return read_choice(r, node, &s->screen_reader);
    case SETTING_KEYS: return read_keys(r, node);
    case SETTING_COMMANDS: return read_commands(r, node);
    case SETTING_SCHEMA:
    case SETTING_N: break;
    }
    return 0;
}

static int read_file(struct reader *r)
{
    const char *names[SETTING_N];
    for (size_t i = 0; i < SETTING_N; i++)
        names[i] = config_setting_table[i].name;
    if (!json_is_object(r->doc.nodes.v[0].json))
        return fail(r, 0, "the settings must be an object; write them in { and }");
    config_doc_each(child, &r->doc, 0)
    {
        const char *key = r->doc.nodes.v[child].key;
        size_t id = 0;
        while (id < SETTING_N && strcmp(names[id], key) != 0)
            id++;
        /* Nobody who mistypes a name means the first one. */
        int code = id == SETTING_N ? fail_word(r, child, true, key, "setting",
                                               (struct config_words){names + 1, SETTING_N - 1})
                                   : read_setting(r, child, (enum config_setting_id)id);
        if (code < 0)
            return code;
    }
    return 0;
}

int config_settings_parse(const char *text, size_t n, const char *shown,
                          const struct config_settings_known *known, struct config_settings **out,
                          struct err *err)
{
    struct reader r = {.doc = {.shown = shown}, .known = known};
    struct err own = ERR_INIT;
    *out = NULL;
    int code = config_doc_open(&r.doc, text, n, shown, &own);
    if (code == 0) {
        r.settings = mem_zalloc(1, sizeof *r.settings);
        code = read_file(&r);
    }
    config_doc_close(&r.doc);
    if (code == 0) {
        *out = r.settings;
        return 0;
    }
    config_settings_free(r.settings);
    return err_move(err, &own);
}

void config_settings_free(struct config_settings *settings)
{
    if (!settings)
        return;
    arena_release(&settings->arena);
    free(settings);
}
