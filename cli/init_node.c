/* init_node.c - npm, pnpm and yarn: what package.json has scripts for (see init.h). */
#include "cli/init.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* Who brings the packages: told by the lock file. */
static const struct manager {
    const char *lock, *name, *install, *caches;
} managers[] = {
    {"pnpm-lock.yaml", "pnpm", "pnpm install --frozen-lockfile --ignore-scripts\npnpm rebuild",
     "pnpm"},
    {"yarn.lock", "yarn", "yarn install --frozen-lockfile", "yarn"},
    {"package-lock.json", "npm", "npm ci --no-audit --no-fund --ignore-scripts\nnpm rebuild",
     "npm"},
    {"npm-shrinkwrap.json", "npm", "npm ci --no-audit --no-fund --ignore-scripts\nnpm rebuild",
     "npm"},
    {NULL, "npm",
     "npm install --no-package-lock --no-audit --no-fund --ignore-scripts\nnpm rebuild", "npm"},
};

/* In the order in which people look at them; of those that mean the same the first counts. */
static const struct {
    const char *step, *scripts[4];
} wanted[] = {
    {"lint", {"lint", "eslint"}},
    {"types", {"typecheck", "type-check", "check-types", "tsc"}},
    {"build", {"build", "compile"}},
    {"test", {"test:unit", "test"}},
};

static const char *script(const json_t *package, const char *name)
{
    const char *text =
        json_string_value(json_object_get(json_object_get(package, "scripts"), name));
    return text && *text && !strstr(text, "no test specified") ? text : NULL;
}

static bool has_any(const json_t *package, const char *key)
{
    return json_object_size(json_object_get(package, key)) > 0;
}

/* The directory that the build makes, as those who use the package are told; NULL: not known. */
static const char *made(const struct init_dir *dir, const json_t *package)
{
    static const char *const keys[] = {"main", "module", "types", "browser"};
    static const char *const places[] = {"dist", "lib", "build", "out"};
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        const char *value = json_string_value(json_object_get(package, keys[k]));
        value = value && !strncmp(value, "./", 2) ? value + 2 : value;
        for (size_t p = 0; value && p < sizeof places / sizeof *places; p++) {
            size_t n = strlen(places[p]);
            /* One that is there may be a folder of sources. */
            if (!strncmp(value, places[p], n) && value[n] == '/' && !init_has(dir, places[p]))
                return places[p];
        }
    }
    return NULL;
}

static const struct manager *manager_of(const struct init_dir *dir, const json_t *package)
{
    const char *said = json_string_value(json_object_get(package, "packageManager"));
    const struct manager *manager = managers;
    while (manager->lock && !init_has(dir, manager->lock))
        manager++;
    for (size_t i = 0; !manager->lock && said && i < sizeof managers / sizeof *managers; i++) {
        size_t n = strlen(managers[i].name);
        if (!strncmp(said, managers[i].name, n) && said[n] == '@' && strcmp(said, "npm") != 0)
            return manager; /* no lock file to install from: npm does it */
    }
    return manager;
}

static void add_install(const struct init_dir *dir, const struct manager *manager, bool workspaces,
                        struct init_part *part)
{
    static const char *const settings[] = {
        ".npmrc", ".yarnrc", ".yarnrc.yml", ".pnpmfile.cjs", "pnpm-workspace.yaml", NULL};
    struct init_step *install = init_step(part, "install", manager->install);
    install->network = true;
    install->caches = manager->caches;
    install->some_inputs = true;
    vec_push(&install->inputs, workspaces ? "**/package.json" : "package.json");
    if (manager->lock)
        vec_push(&install->inputs, manager->lock);
    for (size_t i = 0; settings[i]; i++) {
        if (init_has(dir, settings[i]))
            vec_push(&install->inputs, settings[i]);
    }
    if (init_has(dir, "patches"))
        vec_push(&install->inputs, "patches");
    vec_push(&install->outputs, "node_modules");
}

static void add_scripts(const struct init_dir *dir, const json_t *package,
                        const struct manager *manager, bool installs, struct init_part *part)
{
    bool built = false;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const char *name = NULL;
        for (size_t k = 0; !name && k < 4 && wanted[i].scripts[k]; k++)
            name = script(package, wanted[i].scripts[k]) ? wanted[i].scripts[k] : NULL;
        if (!name)
            continue;
        struct init_step *step = init_step(
            part, wanted[i].step, arena_printf(dir->arena, "%s run %s", manager->name, name));
        vec_push(&step->env, (struct init_pair){"CI", "true"});
        if (installs)
            vec_push(&step->needs, "install");
        if (!strcmp(wanted[i].step, "build") && made(dir, package)) {
            vec_push(&step->outputs, made(dir, package));
            built = true;
        }
        if (!strcmp(wanted[i].step, "test") && built)
            vec_push(&step->needs, "build");
    }
}

static bool look_node(const struct init_dir *dir, struct init_part *part)
{
    json_error_t error;
    const char *text = init_text(dir, part->found = "package.json");
    json_t *package = *text ? json_loads(text, 0, &error) : NULL;
    if (!json_is_object(package)) {
        json_decref(package);
        return false;
    }
    const struct manager *manager = manager_of(dir, package);
    bool workspaces = json_object_get(package, "workspaces") ||
                      init_has(dir, "pnpm-workspace.yaml") || init_has(dir, "lerna.json");
    bool installs = workspaces || has_any(package, "dependencies") ||
                    has_any(package, "devDependencies") || has_any(package, "optionalDependencies");
    part->id = manager->name;
    part->kind = manager->name;
    part->covers = workspaces;
    vec_push(&part->tools, "node");
    vec_push(&part->tools, manager->name);
    if (installs)
        add_install(dir, manager, workspaces, part);
    add_scripts(dir, package, manager, installs, part);
    json_decref(package);
    return part->steps.n > (installs ? 1 : 0);
}

const struct init_kind init_node = {"npm", "npm", false, look_node};
