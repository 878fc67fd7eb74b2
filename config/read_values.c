/* Reading single values: commands, patterns, paths, names, durations. Their types are checked
 * already. */
#include "config/reader.h"

#include "base/file.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PATH_BYTES 4095

static const struct config_node *at(const struct config_reader *r, uint32_t node)
{
    return &r->doc.nodes.v[node];
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n")] == 0;
}

int config_read_command(struct config_reader *r, uint32_t node, const char *const **argv, size_t *n,
                        const char **shown)
{
    struct arena *arena = &r->config->arena;
    const char **words;

    const char *key = at(r, node)->key;

    if (json_is_string(at(r, node)->json)) {
        if (is_blank(config_string(r, node)))
            return config_fail(r, at(r, node)->pos, "\"%s\" is empty; write the command to run",
                               key);
        words = arena_zalloc(arena, 4, sizeof(*words));
        words[0] = "/bin/sh";
        words[1] = "-ec";
        words[2] = arena_strdup(arena, config_string(r, node));
        *argv = words;
        *n = 3;
        *shown = words[2];
        return 0;
    }
    if (at(r, node)->n == 0)
        return config_fail(r, at(r, node)->pos,
                           "\"%s\" is an empty list; write the program and its arguments", key);
    if (is_blank(config_string(r, node + 1)))
        return config_fail(r, at(r, node + 1)->pos,
                           "\"%s\" begins with an empty string; write the program's name there",
                           key);
    struct buf text = BUF_INIT;
    size_t i = 0;
    words = arena_zalloc(arena, (size_t)at(r, node)->n + 1, sizeof(*words));
    config_doc_each(item, &r->doc, node)
    {
        words[i] = arena_strdup(arena, config_string(r, item));
        if (i)
            buf_addc(&text, ' ');
        buf_add_word(&text, words[i++]);
    }
    *argv = words;
    *n = i;
    *shown = arena_strdup(arena, buf_str(&text));
    buf_release(&text);
    return 0;
}

int config_read_inputs(struct config_reader *r, uint32_t node, const struct config_text **inputs,
                       size_t *n)
{
    struct config_text *list =
        arena_zalloc(&r->config->arena, at(r, node)->n, sizeof(struct config_text));
    size_t excludes = 0;

    *n = 0;
    *inputs = list;
    config_doc_each(item, &r->doc, node)
    {
        const char *pattern = config_string(r, item);
        struct glob_set *set = NULL;
        struct err why = ERR_INIT;
        if (glob_set_new(&pattern, 1, &set, NULL, &why) < 0) {
            int code = config_fail(r, at(r, item)->pos, "\"inputs\": %s", err_text(&why));
            err_release(&why);
            return code;
        }
        glob_set_free(set);
        excludes += *pattern == '!';
        list[(*n)++] =
            (struct config_text){arena_strdup(&r->config->arena, pattern), at(r, item)->pos};
    }
    if (*n && excludes == *n)
        return config_fail(r, at(r, node)->pos,
                           "\"inputs\" only excludes, which leaves nothing; name first what to "
                           "take, \".\" for the whole project");
    return 0;
}

/* Normalises a path inside the project into the arena. */
static int read_path(struct config_reader *r, uint32_t node, const char *what, const char **out)
{
    const char *path = config_string(r, node);

    if (!*path)
        return config_fail(r, at(r, node)->pos,
                           "%s is empty; write a path from the project's folder", what);
    if (*path == '/')
        return config_fail(r, at(r, node)->pos,
                           "%s %s is absolute; write it from the project's folder", what,
                           config_quote(r, path));
    if (strlen(path) > MAX_PATH_BYTES)
        return config_fail(r, at(r, node)->pos, "%s is longer than %d bytes; shorten it", what,
                           MAX_PATH_BYTES);
    char *normal = path_normalize(path);
    if (!normal)
        return config_fail(r, at(r, node)->pos,
                           "%s %s leads out of the project; only what lies below the project's "
                           "folder can be named",
                           what, config_quote(r, path));
    *out = arena_strdup(&r->config->arena, normal);
    free(normal);
    return 0;
}

int config_read_cwd(struct config_reader *r, uint32_t node, const char **cwd)
{
    return read_path(r, node, "\"cwd\"", cwd);
}

static bool has_git_component(const char *path)
{
    for (const char *p = path; p; p = strchr(p, '/')) {
        p += *p == '/';
        if (!strncmp(p, ".git", 4) && (p[4] == 0 || p[4] == '/'))
            return true;
    }
    return false;
}

static int read_output(struct config_reader *r, uint32_t node, const char *what, const char **path)
{
    struct config_pos pos = at(r, node)->pos;
    const char *text = config_string(r, node);
    const char *name = config_quote(r, text);
    const char *root = strcmp(r->config->root, "/") ? r->config->root : "";

    if (*text == '!')
        return config_fail(r, pos,
                           "%s %s: nothing can be excluded from %ss; name the files or "
                           "directories that the step makes",
                           what, name, what);
    if (glob_is_wild(text))
        return config_fail(r, pos, "%s %s: globs are not supported in %ss; name the directory",
                           what, name, what);
    if (read_path(r, node, what, path) < 0)
        return -ERR_CONFIG;
    if (!**path)
        return config_fail(r, pos,
                           "%s %s is the whole project; name the files or directories that "
                           "the step makes",
                           what, name);
    if (has_git_component(*path))
        return config_fail(r, pos, "%s %s lies in git's own folder; choose another place", what,
                           name);
    if (path_is_below(r->config->path, root) && r->config->path[strlen(root)] == '/' &&
        path_is_below(r->config->path + strlen(root) + 1, *path))
        return config_fail(r, pos,
                           "%s %s holds the pipeline's own file; a step cannot make that: "
                           "choose another place",
                           what, name);
    return 0;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(((const struct config_text *)a)->text, ((const struct config_text *)b)->text);
}

int config_read_outputs(struct config_reader *r, uint32_t node, const char *what,
                        const struct config_text **outputs, size_t *n)
{
    struct config_text *list =
        arena_zalloc(&r->config->arena, at(r, node)->n, sizeof(struct config_text));

    *n = 0;
    *outputs = list;
    config_doc_each(item, &r->doc, node)
    {
        const char *path = NULL;
        if (read_output(r, item, what, &path) < 0)
            return -ERR_CONFIG;
        list[(*n)++] = (struct config_text){path, at(r, item)->pos};
    }
    if (*n)
        qsort(list, *n, sizeof(*list), compare_texts);
    return 0;
}

int config_read_duration(struct config_reader *r, uint32_t node, enum config_key_id id,
                         uint64_t *ms)
{
    if (text_parse_duration(config_string(r, node), ms))
        return 0;
    return config_fail(r, at(r, node)->pos,
                       "\"%s\" %s is not a duration; write it as \"500ms\", \"90s\", \"5m\" or "
                       "\"1h30m\", more than zero and at most \"1000h\"",
                       config_keys[id].name, config_quote(r, config_string(r, node)));
}

int config_read_runner(struct config_reader *r, uint32_t node, enum config_runner *runner)
{
    static const char available[] = "host, sandbox, container";
    const char *name = config_string(r, node);
    const char *nearest;

    for (size_t i = 0; i < config_n_runners; i++) {
        if (strcmp(name, config_runners[i]))
            continue;
        *runner = (enum config_runner)i;
        if (i < config_n_available_runners)
            return 0;
        return config_fail(r, at(r, node)->pos,
                           "runner \"%s\" is not available in this kiln; write one of %s, or "
                           "leave the key out",
                           name, available);
    }
    nearest = text_nearest(name, config_runners, config_n_available_runners);
    return config_fail(r, at(r, node)->pos, "unknown runner %s (available: %s)%s%s%s",
                       config_quote(r, name), available, nearest ? "; did you mean \"" : "",
                       nearest ? nearest : "", nearest ? "\"?" : "; write one of them");
}

/* Whether the character may stand in a step's name. Beyond ASCII all but what does not show as
 * itself: controls, spaces, zero-width and direction marks, private use, non-characters. */
static bool is_name_char(uint32_t c)
{
    static const struct {
        uint32_t from, to;
    } not_shown[] = {{0x80, 0xa0},     {0xad, 0xad},     {0x61c, 0x61c},   {0x115f, 0x1160},
                     {0x1680, 0x1680}, {0x180b, 0x180f}, {0x2000, 0x206f}, {0x3000, 0x3000},
                     {0x3164, 0x3164}, {0xe000, 0xf8ff}, {0xfdd0, 0xfdef}, {0xfe00, 0xfe0f},
                     {0xfeff, 0xfeff}, {0xffa0, 0xffa0}, {0xfff0, 0xffff}, {0xe0000, 0x10ffff}};

    if (c < 0x80)
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               (c && strchr("._-:/@+", (int)c));
    for (size_t i = 0; i < sizeof(not_shown) / sizeof(not_shown[0]); i++)
        if (c >= not_shown[i].from && c <= not_shown[i].to)
            return false;
    return true;
}

int config_check_step_name(struct config_reader *r, uint32_t node)
{
    const char *name = at(r, node)->key;
    struct config_pos pos = at(r, node)->key_pos;
    size_t n = strlen(name);

    if (!n)
        return config_fail(r, pos, "a step's name is empty; give it one");
    if (n > CONFIG_MAX_NAME)
        return config_fail(r, pos, "the step's name %s is longer than %d bytes; shorten it",
                           config_quote(r, name), CONFIG_MAX_NAME);
    for (size_t i = 0; i < n;) {
        uint32_t scalar = 0;
        size_t len = utf8_decode(name + i, n - i, &scalar);
        if (len == 0 || !is_name_char(scalar)) {
            struct buf shown = BUF_INIT;
            buf_add_shown(&shown, name + i, len ? len : 1);
            int code = config_fail(r, pos,
                                   "the step's name %s has the character '%s' (U+%04X); use "
                                   "letters, digits and . _ - : / @ +",
                                   config_quote(r, name), buf_str(&shown), scalar);
            buf_release(&shown);
            return code;
        }
        i += len;
    }
    if (*name == '/' || name[n - 1] == '/')
        return config_fail(r, pos, "the step's name %s has a '/' at its end; remove it",
                           config_quote(r, name));
    for (const char *part = name; part; part = strchr(part, '/')) {
        part += part != name;
        size_t len = strcspn(part, "/");
        if (len == 0 || (len <= 2 && strspn(part, ".") == len))
            return config_fail(r, pos,
                               "the step's name %s reads as a path that leads elsewhere; rename it",
                               config_quote(r, name));
    }
    if (*name == '-')
        return config_fail(r, pos,
                           "the step's name %s begins with '-', which reads as an option on the "
                           "command line; rename it",
                           config_quote(r, name));
    return 0;
}
