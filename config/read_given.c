/* Reading what a step is given beside its inputs: secrets and cache directories. */
#include "config/reader.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

#define MAX_CACHE_NAME 100
#define MAX_GIVEN      100 /* of either in a step: what follows compares each with each */

static const struct config_node *at(const struct config_reader *r, uint32_t node)
{
    return &r->doc.nodes.v[node];
}

static bool is_on_host(const struct config_step *step)
{
    return step->runner == CONFIG_RUNNER_HOST;
}

/* Where the step finds the project. */
static const char *project_of(const struct config_reader *r, const struct config_step *step)
{
    return step->mount_same ? r->config->root : CONFIG_PROJECT;
}

/* What the runner makes, which nothing can be put into. */
static const char *const kilns_own[] = {"/proc", "/sys", "/dev", NULL};
/* In the sandbox this machine's, read-only, so no place can be made in them; what is there already
 * is not counted on, because other machines do not have it. */
static const char *const machines_own[] = {"/usr",   "/etc",    "/bin", "/sbin", "/lib", "/lib32",
                                           "/lib64", "/libx32", "/opt", "/nix",  "/gnu", NULL};
/* Directories that are always there. */
static const char *const always[] = {"/tmp", NULL};
static const char *const in_sandbox[] = {"/tmp/home", "/run", "/var", "/home",
                                         "/root",     "/mnt", "/srv", NULL};

static const char *holder_of(const char *path, const char *const *folders)
{
    while (*folders && !path_is_below(path, *folders))
        folders++;
    return *folders;
}

static bool is_one_of(const char *path, const char *const *folders)
{
    while (*folders && strcmp(path, *folders) != 0)
        folders++;
    return *folders != NULL;
}

/* An absolute path inside, normalised into the arena. */
static int read_path(struct config_reader *r, uint32_t node, const struct config_step *step,
                     const char *what, const char **out)
{
    struct config_pos pos = at(r, node)->key_pos;
    const char *text = at(r, node)->key, *name = config_quote(r, text);

    if (*text != '/')
        return config_fail(r, pos,
                           "the path of %s %s is not absolute; write where the step finds "
                           "it, as \"%s\"",
                           what, name, strcmp(what, "cache") ? "/run/secrets/key" : "/var/cache");
    char *normal = path_normalize(text + strspn(text, "/"));
    if (!normal)
        return config_fail(r, pos, "the path of %s %s leads out of \"/\"; write it without \"..\"",
                           what, name);
    /* In the sandbox the one is a link to the other. */
    bool linked = step->runner == CONFIG_RUNNER_SANDBOX && path_is_below(normal, "var/tmp") &&
                  !path_is_below(project_of(r, step), "/var/tmp");
    *out = arena_printf(&r->config->arena, "/%s", normal + (linked ? strlen("var/") : 0));
    free(normal);
    return 0;
}

/* One that something can be put at. */
static int read_place(struct config_reader *r, uint32_t node, const struct config_step *step,
                      const char *what, const char **out)
{
    struct config_pos pos = at(r, node)->key_pos;
    const char *name = config_quote(r, at(r, node)->key), *project = project_of(r, step), *folder;
    bool sandbox = step->runner == CONFIG_RUNNER_SANDBOX;

    if (read_path(r, node, step, what, out) < 0)
        return -ERR_CONFIG;
    const char *path = *out;
    if (!path[1] || path_is_below(project, path))
        return config_fail(r, pos,
                           "the path of %s %s holds the project, which is at %s; choose another "
                           "place",
                           what, name, project);
    if (path_is_below(path, project))
        return 0;
    if ((folder = holder_of(path, kilns_own)))
        return config_fail(r, pos,
                           "the path of %s %s lies in %s, which is kiln's own to "
                           "make; choose another place",
                           what, name, folder);
    if (sandbox && (folder = holder_of(path, machines_own)))
        return config_fail(r, pos,
                           "the path of %s %s lies in %s, which in the sandbox is this machine's "
                           "own, and read-only; choose another place, as \"%s\", or run the step "
                           "in an image",
                           what, name, folder,
                           strcmp(what, "cache") ? "/run/secrets/key" : "/var/cache/NAME");
    return 0;
}

static int check_number(struct config_reader *r, uint32_t node, const char *what)
{
    if (at(r, node)->n <= MAX_GIVEN)
        return 0;
    return config_fail(r, at(r, node)->key_pos,
                       "a step can have at most %d %s; part the step in two", MAX_GIVEN, what);
}

/* -- secrets ----------------------------------------------------------------------------------- */

/* Where its value comes from: one of the three keys. */
static int read_source(struct config_reader *r, uint32_t node, struct config_secret *secret)
{
    struct arena *arena = &r->config->arena;
    config_found found;

    if (!json_is_object(
            at(r, node)->json)) /* what stands there may be the value: it is not shown */
        return config_fail(
            r, at(r, node)->pos,
            "the secret %s must be an object that says where its value is; write "
            "{\"env\": \"NAME\"}, {\"file\": \"PATH\"} or {\"command\": [\"…\"]}: the "
            "value itself does not belong in this file",
            config_quote(r, secret->target));
    if (config_read_keys(r, node, CONFIG_IN_SECRET, found) < 0)
        return -ERR_CONFIG;
    if (at(r, node)->n != 1)
        return config_fail(r, at(r, node)->pos,
                           "the secret %s has %s; write one of \"env\", \"file\" and \"command\"",
                           config_quote(r, secret->target),
                           at(r, node)->n ? "more than one source" : "no source");
    uint32_t command = found[CONFIG_KEY_SECRET_COMMAND], file = found[CONFIG_KEY_SECRET_FILE];
    uint32_t env = found[CONFIG_KEY_SECRET_ENV];
    if (command) {
        const char *shown;
        secret->source = CONFIG_SECRET_COMMAND;
        return config_read_command(r, command, &secret->argv, &secret->n_argv, &shown);
    }
    secret->source = file ? CONFIG_SECRET_FILE : CONFIG_SECRET_ENV;
    secret->from = arena_strdup(arena, config_string(r, file ? file : env));
    if (env)
        return config_check_variable(r, at(r, env)->pos, secret->from);
    if (!*secret->from)
        return config_fail(r, at(r, file)->pos, "\"file\" is empty; write the file's path");
    return 0;
}

static int check_variable(struct config_reader *r, const struct config_secret *secret,
                          const struct config_step *step)
{
    const char *key = NULL;
    struct config_pos other = {0, 0};

    if (config_check_variable(r, secret->pos, secret->target) < 0)
        return -ERR_CONFIG;
    for (size_t i = 0; i < step->n_env; i++)
        if (!strcmp(step->env[i].name, secret->target))
            key = "env", other = step->env[i].pos;
    for (size_t i = 0; i < step->n_pass_env; i++)
        if (!strcmp(step->pass_env[i].text, secret->target))
            key = "pass_env", other = step->pass_env[i].pos;
    if (!key)
        return 0;
    return config_fail(r, secret->pos,
                       "\"%s\" is in \"secrets\" and, at %u:%u, in \"%s\"; keep one of the two",
                       secret->target, other.line, other.column, key);
}

static int read_secret(struct config_reader *r, uint32_t node, const struct config_step *step,
                       struct config_secret *secret)
{
    const char *target = at(r, node)->key;

    secret->pos = at(r, node)->key_pos;
    secret->target = arena_strdup(&r->config->arena, target);
    if (!strchr(target, '/'))
        return check_variable(r, secret, step) < 0 ? -ERR_CONFIG : read_source(r, node, secret);
    if (is_on_host(step))
        return config_fail(r, secret->pos,
                           "the secret %s is a file, which runner \"host\" cannot hide from "
                           "others; name a variable, or set \"runner\": \"sandbox\"",
                           config_quote(r, target));
    if (read_place(r, node, step, "secret", &secret->target) < 0)
        return -ERR_CONFIG;
    if (path_is_below(secret->target, project_of(r, step)))
        return config_fail(r, secret->pos,
                           "the path of secret %s lies in the project; choose another place, as "
                           "\"/run/secrets/key\"",
                           config_quote(r, target));
    if (is_one_of(secret->target, always) ||
        (step->runner == CONFIG_RUNNER_SANDBOX && is_one_of(secret->target, in_sandbox)))
        return config_fail(r, secret->pos,
                           "the path of secret %s is a directory's; name a file, as "
                           "\"/run/secrets/key\"",
                           config_quote(r, target));
    return read_source(r, node, secret);
}

static int compare_secrets(const void *a, const void *b)
{
    return strcmp(((const struct config_secret *)a)->target,
                  ((const struct config_secret *)b)->target);
}

static int read_secrets(struct config_reader *r, uint32_t node, struct config_step *step)
{
    struct config_secret *list =
        arena_zalloc(&r->config->arena, at(r, node)->n, sizeof(struct config_secret));

    if (check_number(r, node, "secrets") < 0)
        return -ERR_CONFIG;
    config_doc_each(item, &r->doc, node)
    {
        if (read_secret(r, item, step, &list[step->n_secrets++]) < 0)
            return -ERR_CONFIG;
    }
    step->secrets = list;
    if (step->n_secrets)
        qsort(list, step->n_secrets, sizeof(*list), compare_secrets);
    for (size_t i = 1; i < step->n_secrets; i++)
        if (!strcmp(list[i - 1].target, list[i].target))
            return config_fail(r, list[i].pos, "two secrets are for %s; remove one of the two",
                               config_quote(r, list[i].target));
    for (size_t i = 0; i < step->n_secrets; i++)
        for (size_t k = 0; k < i; k++)
            if (path_is_below(list[i].target, list[k].target))
                return config_fail(r, list[i].pos,
                                   "the path of secret %s lies below the secret %s, which is a "
                                   "file; choose another place for one",
                                   config_quote(r, list[i].target),
                                   config_quote(r, list[k].target));
    return 0;
}

/* -- cache directories ------------------------------------------------------------------------- */

/* Outputs are taken from what the step writes to the project, and not from a cache directory. */
static int check_outputs(struct config_reader *r, const struct config_cache *cache,
                         const struct config_step *step)
{
    const char *project = project_of(r, step);
    size_t n = strlen(project);

    if (!path_is_below(cache->path, project))
        return 0;
    const char *path = cache->path + n + strspn(cache->path + n, "/");
    for (size_t i = 0; i < step->n_outputs; i++)
        if (path_is_below(path, step->outputs[i].text) ||
            path_is_below(step->outputs[i].text, path))
            return config_fail(r, cache->pos,
                               "the cache directory %s and the output \"%s\" (at %u:%u) hold one "
                               "another; choose another place for one",
                               config_quote(r, cache->path), step->outputs[i].text,
                               step->outputs[i].pos.line, step->outputs[i].pos.column);
    return 0;
}

static int read_cache(struct config_reader *r, uint32_t node, const struct config_step *step,
                      struct config_cache *cache)
{
    config_found found = {0};
    uint32_t name = node;
    size_t choice = 0;

    cache->pos = at(r, node)->key_pos;
    if (read_place(r, node, step, "cache", &cache->path) < 0 || check_outputs(r, cache, step) < 0)
        return -ERR_CONFIG;
    if (step->runner == CONFIG_RUNNER_SANDBOX && !strcmp(cache->path, "/tmp"))
        return config_fail(r, cache->pos,
                           "the cache directory %s would hide the step's home, /tmp/home; choose "
                           "a place below, as \"/tmp/cache\"",
                           config_quote(r, at(r, node)->key));
    if (!json_is_string(at(r, node)->json)) {
        if (config_read_keys(r, node, CONFIG_IN_CACHE, found) < 0)
            return -ERR_CONFIG;
        name = found[CONFIG_KEY_CACHE_NAME];
    }
    if (found[CONFIG_KEY_CACHE_SHARING] &&
        config_read_choice(r, found[CONFIG_KEY_CACHE_SHARING], CONFIG_KEY_CACHE_SHARING, &choice) <
            0)
        return -ERR_CONFIG;
    cache->sharing = (enum config_sharing)choice;
    cache->name = arena_strdup(&r->config->arena, config_string(r, name));
    size_t n = strlen(cache->name);
    if (n > MAX_CACHE_NAME || !config_is_word(cache->name, n))
        return config_fail(r, at(r, name)->pos,
                           "%s is not a cache directory's name; use at most %d letters, digits and "
                           ". _ -, with a letter, digit or _ in front",
                           config_quote(r, cache->name), MAX_CACHE_NAME);
    return 0;
}

static int compare_caches(const void *a, const void *b)
{
    return strcmp(((const struct config_cache *)a)->path, ((const struct config_cache *)b)->path);
}

static int check_cache(struct config_reader *r, const struct config_step *step, size_t index)
{
    const struct config_cache *cache = &step->caches[index];

    for (size_t i = 0; i < index; i++) {
        const struct config_cache *other = &step->caches[i];
        if (!strcmp(other->path, cache->path))
            return config_fail(r, cache->pos, "two cache directories are at %s; remove one",
                               config_quote(r, cache->path));
        if (!strcmp(other->name, cache->name))
            return config_fail(r, cache->pos,
                               "the cache directories %s and %s have one name, \"%s\"; give each "
                               "its own",
                               config_quote(r, other->path), config_quote(r, cache->path),
                               cache->name);
    }
    for (size_t i = 0; i < step->n_secrets; i++)
        if (path_is_below(cache->path, step->secrets[i].target))
            return config_fail(r, cache->pos,
                               "the cache directory %s is at or below the place of a secret "
                               "(%u:%u); choose "
                               "another",
                               config_quote(r, cache->path), step->secrets[i].pos.line,
                               step->secrets[i].pos.column);
    return 0;
}

static int read_caches(struct config_reader *r, uint32_t node, struct config_step *step)
{
    struct config_cache *list =
        arena_zalloc(&r->config->arena, at(r, node)->n, sizeof(struct config_cache));

    if (check_number(r, node, "cache directories") < 0)
        return -ERR_CONFIG;
    config_doc_each(item, &r->doc, node)
    {
        if (read_cache(r, item, step, &list[step->n_caches++]) < 0)
            return -ERR_CONFIG;
    }
    step->caches = list;
    if (step->n_caches)
        qsort(list, step->n_caches, sizeof(*list), compare_caches);
    for (size_t i = 0; i < step->n_caches; i++)
        if (check_cache(r, step, i) < 0)
            return -ERR_CONFIG;
    return 0;
}

int config_read_given(struct config_reader *r, const config_found found, struct config_step *step)
{
    if (found[CONFIG_KEY_SECRETS] && read_secrets(r, found[CONFIG_KEY_SECRETS], step) < 0)
        return -ERR_CONFIG;
    return found[CONFIG_KEY_CACHES] ? read_caches(r, found[CONFIG_KEY_CACHES], step) : 0;
}
