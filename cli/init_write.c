/* init_write.c - the text of a first kiln.json (see init.h). */
#include "cli/init.h"

#include "base/file.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define USUAL_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Directories that tools fill with what they fetched or compiled, and how they are told where. */
static const struct kept {
    const char *name, *path;
    struct init_pair env[3];
} kept[] = {
    {"ccache", "/var/cache/ccache", {{"CCACHE_DIR", "/var/cache/ccache"}}},
    /* Files in a sandbox all have the same time, which go's index of packages goes by. */
    {"go",
     "/var/cache/go",
     {{"GOCACHE", "/var/cache/go/build"},
      {"GOMODCACHE", "/var/cache/go/mod"},
      {"GODEBUG", "goindex=0"}}},
    {"cargo", "/var/cache/cargo", {{"CARGO_HOME", "/var/cache/cargo"}}},
    {"npm", "/var/cache/npm", {{"npm_config_cache", "/var/cache/npm"}}},
    {"pnpm", "/var/cache/pnpm", {{"npm_config_store_dir", "/var/cache/pnpm"}}},
    {"yarn", "/var/cache/yarn", {{"YARN_CACHE_FOLDER", "/var/cache/yarn"}}},
    {"pip", "/var/cache/pip", {{"PIP_CACHE_DIR", "/var/cache/pip"}}},
    {"uv", "/var/cache/uv", {{"UV_CACHE_DIR", "/var/cache/uv"}}},
    {"poetry", "/var/cache/poetry", {{"POETRY_CACHE_DIR", "/var/cache/poetry"}}},
};

static const struct kept *kept_of(const struct init_part *part, const struct init_step *step)
{
    if (!step->caches || !part->sandbox || (!strcmp(step->caches, "ccache") && !part->ccache))
        return NULL;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        if (!strcmp(kept[i].name, step->caches))
            return &kept[i];
    }
    return NULL;
}

/* Parts of one directory, and of several, must not share names. */
void init_step_name(const struct init_plan *plan, const struct init_part *part, const char *step,
                    struct buf *out)
{
    size_t here = 0;
    vec_each (const struct init_part, other, &plan->parts)
        here += !strcmp(other->dir, part->dir);
    for (const char *c = part->dir; *c; c++) {
        bool fits = isalnum((unsigned char)*c) || (c > part->dir && strchr("._-/+@", *c));
        buf_addc(out, fits ? *c : '_');
    }
    if (*part->dir)
        buf_addc(out, '/');
    if (here > 1)
        buf_addf(out, "%s:", part->id);
    buf_adds(out, step);
}

/* -- values ------------------------------------------------------------------------------------ */

/* A list that grows over several lines when it has to. */
struct list {
    struct buf *out;
    size_t n, column;
};

static void list_add(struct list *list, const char *text)
{
    struct buf item = BUF_INIT;
    buf_add_json_str(&item, text);
    if (list->n)
        buf_addc(list->out, ',');
    if (list->n && list->column + item.len > 92) {
        buf_adds(list->out, "\n        ");
        list->column = 8;
    } else if (list->n) {
        buf_addc(list->out, ' ');
    }
    buf_add(list->out, item.data, item.len);
    list->column += item.len + 2;
    list->n++;
    buf_release(&item);
}

static void key(struct buf *out, const char *name)
{
    buf_addf(out, ",\n      \"%s\": ", name);
}

/* A pattern of the part, seen from the root; special characters of names are taken literally. */
static void add_pattern(struct list *list, const char *mark, const char *dir, const char *pattern,
                        bool is_name)
{
    struct buf text = BUF_INIT;
    buf_adds(&text, mark);
    const char *const pieces[] = {dir, *dir ? "/" : "", pattern};
    for (size_t i = 0; i < 3; i++) {
        for (const char *c = pieces[i]; *c; c++) {
            if (strchr("*?[\\", *c) && (i == 0 || is_name))
                buf_addc(&text, '\\');
            buf_addc(&text, *c);
        }
    }
    if (text.len && text.data[text.len - 1] == '/')
        buf_truncate(&text, text.len - 1);
    list_add(list, buf_str(&text));
    buf_release(&text);
}

static void add_inputs(const struct init_plan *plan, const struct init_part *part,
                       const struct init_step *step, struct buf *out)
{
    static const char *const products[] = {"**/*.o",  "**/*.lo", "**/*.a",
                                           "**/*.la", "**/*.so", NULL};
    struct list list = {.out = out, .column = 17};
    key(out, "inputs");
    buf_addc(out, '[');
    if (step->some_inputs) {
        vec_each (const char *const, input, &step->inputs)
            add_pattern(&list, "", part->dir, *input, false);
    } else {
        add_pattern(&list, "", part->dir, *part->dir ? "" : "**", false);
        if (!*part->dir)
            list_add(&list, "!kiln.json");
        vec_each (const char *const, leave, &part->leave)
            add_pattern(&list, "!", part->dir, *leave, true);
        /* In the project itself what the step makes must not be what it reads. */
        for (size_t i = 0; part->in_tree && !part->sandbox && products[i]; i++)
            add_pattern(&list, "!", part->dir, products[i], false);
        vec_each (const struct init_part, other, &plan->parts) {
            /* Another part is none of this one's business. */
            bool below = *other->dir && strcmp(other->dir, part->dir) != 0 &&
                         (!*part->dir || path_is_below(other->dir, part->dir));
            if (below)
                add_pattern(&list, "!", "", other->dir, true);
        }
    }
    buf_addc(out, ']');
}

static void add_list(const char *name, const char *dir, const char *const *items, size_t n,
                     struct buf *out)
{
    struct list list = {.out = out, .column = 10 + strlen(name)};
    if (!n)
        return;
    key(out, name);
    buf_addc(out, '[');
    for (size_t i = 0; i < n; i++) {
        char *path = *dir ? path_join(dir, items[i]) : NULL;
        list_add(&list, path ? path : items[i]);
        free(path);
    }
    buf_addc(out, ']');
}

static void add_needs(const struct init_plan *plan, const struct init_part *part,
                      const struct init_step *step, struct buf *out)
{
    struct list list = {.out = out, .column = 15};
    if (!step->needs.n)
        return;
    key(out, "needs");
    buf_addc(out, '[');
    vec_each (const char *const, need, &step->needs) {
        struct buf name = BUF_INIT;
        init_step_name(plan, part, *need, &name);
        list_add(&list, buf_str(&name));
        buf_release(&name);
    }
    buf_addc(out, ']');
}

static void add_variable(struct buf *out, size_t *n, const char *name, const char *value)
{
    buf_adds(out, (*n)++ ? ", " : "{");
    buf_add_json_str(out, name);
    buf_adds(out, ": ");
    buf_add_json_str(out, value);
}

static void add_env(const struct init_part *part, const struct init_step *step, struct buf *out)
{
    const struct kept *keeps = kept_of(part, step);
    bool compiles = keeps && !strcmp(keeps->name, "ccache");
    struct buf path = BUF_INIT, text = BUF_INIT;
    size_t n = 0;
    if (part->sandbox && (part->path || compiles))
        buf_addf(&path, "%s%s%s%s" USUAL_PATH, compiles ? part->ccache : "", compiles ? ":" : "",
                 part->path ? part->path : "", part->path ? ":" : "");
    if (path.len)
        add_variable(&text, &n, "PATH", buf_str(&path));
    for (size_t i = 0; keeps && i < 3 && keeps->env[i].name; i++)
        add_variable(&text, &n, keeps->env[i].name, keeps->env[i].value);
    vec_each (const struct init_pair, pair, &step->env)
        add_variable(&text, &n, pair->name, pair->value);
    if (n) {
        key(out, "env");
        buf_addf(out, "%s}", buf_str(&text));
    }
    if (!part->sandbox && part->path) {
        key(out, "pass_env");
        buf_adds(out, "[\"PATH\"]");
    }
    if (keeps) {
        key(out, "caches");
        buf_addf(out, "{\"%s\": \"%s\"}", keeps->path, keeps->name);
    }
    buf_release(&path);
    buf_release(&text);
}

/* Several commands, each of which must succeed. */
static void add_run(const char *run, struct buf *out)
{
    struct buf text = BUF_INIT;
    for (; *run; run++) {
        if (*run == '\n')
            buf_adds(&text, " && ");
        else
            buf_addc(&text, *run);
    }
    buf_adds(out, "      \"run\": ");
    buf_add_json_str(out, buf_str(&text));
    buf_release(&text);
}

/* -- the whole --------------------------------------------------------------------------------- */

static void comment(struct buf *out, const char *text)
{
    size_t column = 0;
    while (*text) {
        size_t n = strcspn(text, " \n");
        if (!column || column + n > 92) {
            buf_adds(out, column ? "\n    //" : "    //");
            column = 6;
        }
        buf_addc(out, ' ');
        for (size_t i = 0; i < n; i++)
            buf_addc(out, (unsigned char)text[i] < ' ' ? '?' : text[i]);
        column += n + 1;
        text += n + (text[n] != '\0');
    }
    buf_addc(out, '\n');
}

static void add_step(const struct init_plan *plan, const struct init_part *part,
                     const struct init_step *step, bool host, struct buf *out)
{
    struct buf name = BUF_INIT;
    if (step->comment)
        comment(out, step->comment);
    init_step_name(plan, part, step->name, &name);
    buf_adds(out, "    ");
    buf_add_json_str(out, buf_str(&name));
    buf_adds(out, ": {\n");
    add_run(step->run, out);
    if (*part->dir) {
        key(out, "cwd");
        buf_add_json_str(out, part->dir);
    }
    add_needs(plan, part, step, out);
    add_inputs(plan, part, step, out);
    add_list("outputs", part->dir, step->outputs.v, step->outputs.n, out);
    if (part->sandbox == host) {
        key(out, "runner");
        buf_adds(out, part->sandbox ? "\"sandbox\"" : "\"host\"");
    }
    if (part->sandbox && step->network) {
        key(out, "network");
        buf_adds(out, "\"host\"");
    }
    add_env(part, step, out);
    buf_adds(out, "\n    }");
    buf_release(&name);
}

static void add_part(const struct init_plan *plan, const struct init_part *part, bool host,
                     bool last, struct buf *out)
{
    struct buf text = BUF_INIT;
    buf_addf(&text, "%s, by %s%s%s.", part->kind, part->dir, *part->dir ? "/" : "", part->found);
    if (!part->sandbox)
        buf_addf(&text, " On the host: %s.", part->why);
    comment(out, buf_str(&text));
    for (size_t i = 0; i < part->steps.n; i++) {
        add_step(plan, part, &part->steps.v[i], host, out);
        buf_adds(out, i + 1 < part->steps.n || !last ? ",\n" : "\n");
    }
    if (!last)
        buf_addc(out, '\n');
    buf_release(&text);
}

void init_write(const struct init_plan *plan, struct buf *out)
{
    bool host = plan->parts.n > 0 || plan->no_sandbox; /* the runner of most */
    vec_each (const struct init_part, part, &plan->parts)
        host = host && !part->sandbox;
    buf_adds(out,
             "{\n"
             "  // Yours to change: \"kiln schema\" describes what can stand here, and says it to\n"
             "  // editors. What a step reads are its \"inputs\"; it runs when they have changed.\n"
             "  \"version\": 1,\n"
             "  \"name\": ");
    buf_add_json_str(out, plan->name);
    buf_addf(out, ",\n  \"defaults\": {\"runner\": \"%s\"},\n  \"steps\": {\n",
             host ? "host" : "sandbox");
    for (size_t i = 0; i < plan->parts.n; i++)
        add_part(plan, &plan->parts.v[i], host, i + 1 == plan->parts.n, out);
    if (!plan->parts.n)
        buf_adds(out, "    // Nothing was found that builds this project: put its commands here.\n"
                      "    \"hello\": {\n"
                      "      \"run\": \"echo hello\",\n"
                      "      \"inputs\": []\n"
                      "    }\n");
    buf_adds(out, "  }\n}\n");
}

void init_tell(const struct init_plan *plan, const struct init_part *part, struct buf *out)
{
    buf_addf(out, "%s (", part->kind);
    if (*part->dir)
        buf_addf(out, "%s/", part->dir);
    buf_addf(out, "%s): ", part->found);
    for (size_t i = 0; i < part->steps.n; i++) {
        buf_adds(out, i ? ", " : "");
        init_step_name(plan, part, part->steps.v[i].name, out);
    }
}
