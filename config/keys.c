/* The key table. */
#include "config/keys.h"

#include "base/text.h"
#include "config/config.h"

#include <string.h>

#define FILE_    CONFIG_IN_FILE
#define STEP     CONFIG_IN_STEP
#define DEFAULTS CONFIG_IN_DEFAULTS
#define GENERATE CONFIG_IN_GENERATE

const struct config_key config_keys[CONFIG_KEY_COUNT] = {
    [CONFIG_KEY_SCHEMA] = {"$schema", FILE_, 0, CONFIG_STRING, 0, 0, NULL, "Schema",
                           "Where an editor finds the JSON Schema of this file (kiln schema prints "
                           "it). kiln itself does not read it."},
    [CONFIG_KEY_VERSION] = {"version", FILE_, FILE_, CONFIG_VERSION, 1, 1, NULL, "Version",
                            "The version of this format: 1."},
    [CONFIG_KEY_NAME] = {"name", FILE_, 0, CONFIG_STRING, 0, 0, NULL, "Name",
                         "What the pipeline is called on screen; the folder's name when absent."},
    [CONFIG_KEY_JOBS] = {"jobs", FILE_, 0, CONFIG_INT, 0, 1024, "0", "Jobs",
                         "How many steps may run at once; 0 is as many as there are processors."},
    [CONFIG_KEY_DEFAULTS] =
        {"defaults", FILE_, 0, CONFIG_BLOCK, 0, 0, NULL, "Defaults",
         "Settings for every step that does not set them itself. Variables are merged one by one."},
    [CONFIG_KEY_STEPS] =
        {"steps", FILE_, 0, CONFIG_BLOCK, 0, 0, NULL, "Steps",
         "The steps by their names, which may have letters, digits and . _ - : / @ +"},
    [CONFIG_KEY_GENERATE] = {"generate", FILE_, 0, CONFIG_BLOCK, 0, 0, NULL, "Generated pipeline",
                             "A program that prints the pipeline, as another kiln.json, on its "
                             "standard output. Stands in place of steps."},
    [CONFIG_KEY_RUN] =
        {"run", STEP | GENERATE, STEP | GENERATE, CONFIG_COMMAND, 0, 0, NULL, "Command",
         "What to run: a string is given to /bin/sh -ec, a list is a program and its arguments."},
    [CONFIG_KEY_DESCRIPTION] = {"description", STEP, 0, CONFIG_STRING, 0, 0, NULL, "Description",
                                "What the step is for, for people."},
    [CONFIG_KEY_INPUTS] = {"inputs", STEP | GENERATE, 0, CONFIG_PATTERNS, 0, 0, NULL, "Inputs",
                           "What is read: directories, files or gitignore-style globs from the "
                           "project's folder; a leading ! excludes. "
                           "Ignored files are left out unless named outright. Absent is the whole "
                           "project, [] is nothing."},
    [CONFIG_KEY_OUTPUTS] = {"outputs", STEP, 0, CONFIG_PATHS, 0, 0, "[]", "Outputs",
                            "Files or directories that the step makes, without globs. They are "
                            "kept in the cache, restored on a hit and "
                            "handed to the steps that need this one. No two steps may share one."},
    [CONFIG_KEY_NEEDS] = {"needs", STEP, 0, CONFIG_NAMES, 0, 0, "[]", "Needs",
                          "Steps that come first; their outputs are inputs of this one."},
    [CONFIG_KEY_ENV] = {"env", STEP | DEFAULTS | GENERATE, 0, CONFIG_ENV, 0, 0, "{}", "Environment",
                        "Variables to set, by name."},
    [CONFIG_KEY_PASS_ENV] =
        {"pass_env", STEP | DEFAULTS | GENERATE, 0, CONFIG_VARS, 0, 0, "[]", "Passed environment",
         "Names of variables taken from the caller's environment; their values count as inputs."},
    [CONFIG_KEY_RUNNER] = {"runner", STEP | DEFAULTS, 0, CONFIG_RUNNERS, 0, 0, "\"host\"", "Runner",
                           "Where the step runs: host is the working tree itself."},
    [CONFIG_KEY_CWD] = {"cwd", STEP, 0, CONFIG_PATH, 0, 0, "\".\"", "Directory",
                        "Where the command starts, from the project's folder."},
    [CONFIG_KEY_TIMEOUT] = {"timeout", STEP | DEFAULTS, 0, CONFIG_DURATION, 0, 0, NULL,
                            "Time limit",
                            "How long an attempt may take, as 90s, 5m or 1h30m, before it is "
                            "ended. Absent is without limit."},
    [CONFIG_KEY_RETRIES] = {"retries", STEP | DEFAULTS, 0, CONFIG_INT, 0, 100, "0", "Retries",
                            "How many more times a failing step is tried."},
    [CONFIG_KEY_CACHE] = {"cache", STEP | DEFAULTS, 0, CONFIG_BOOL, 0, 0, "true", "Cache",
                          "false runs the step every time, whatever its inputs."},
    [CONFIG_KEY_HOOK] =
        {"hook", STEP, 0, CONFIG_BOOL, 0, 0, "false", "Pre-commit hook",
         "true makes the step part of the git pre-commit hook; where no step says so, all are."},
    [CONFIG_KEY_NETWORK] = {.name = "network", .places = STEP | DEFAULTS, .type = CONFIG_ABSENT},
    [CONFIG_KEY_IMAGE] = {.name = "image", .places = STEP | DEFAULTS, .type = CONFIG_ABSENT},
    [CONFIG_KEY_USER] = {.name = "user", .places = STEP | DEFAULTS, .type = CONFIG_ABSENT},
    [CONFIG_KEY_CACHES] = {.name = "caches", .places = STEP | DEFAULTS, .type = CONFIG_ABSENT},
    [CONFIG_KEY_SECRETS] = {.name = "secrets", .places = STEP | DEFAULTS, .type = CONFIG_ABSENT},
    [CONFIG_KEY_LIMITS] = {.name = "limits", .places = STEP | DEFAULTS, .type = CONFIG_ABSENT},
    [CONFIG_KEY_INTERACTIVE] = {.name = "interactive",
                                .places = STEP | DEFAULTS,
                                .type = CONFIG_ABSENT},
    [CONFIG_KEY_FIX] = {.name = "fix", .places = STEP | DEFAULTS, .type = CONFIG_ABSENT},
    [CONFIG_KEY_MOUNT] = {.name = "mount", .places = STEP | DEFAULTS, .type = CONFIG_ABSENT},
};

const char *const config_runners[] = {"host", "sandbox", "container", "remote"};
const size_t config_n_runners = sizeof(config_runners) / sizeof(config_runners[0]);
const size_t config_n_available_runners = 1;

const char *config_runner_name(enum config_runner runner)
{
    return config_runners[runner];
}

const struct config_key *config_key_find(const char *name)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
        if (!strcmp(config_keys[i].name, name))
            return &config_keys[i];
    return NULL;
}

const char *config_key_nearest(const char *word, enum config_place place)
{
    const char *names[CONFIG_KEY_COUNT];
    size_t n = 0;

    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
        if ((config_keys[i].places & place) && config_keys[i].type != CONFIG_ABSENT)
            names[n++] = config_keys[i].name;
    return text_nearest(word, names, n);
}

const char *config_place_name(enum config_place place)
{
    switch (place) {
    case CONFIG_IN_FILE: return "the file";
    case CONFIG_IN_STEP: return "a step";
    case CONFIG_IN_DEFAULTS: return "\"defaults\"";
    case CONFIG_IN_GENERATE: return "\"generate\"";
    }
    return "";
}
