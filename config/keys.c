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
                            "handed to the steps that need this one. No two steps may share one. "
                            "The directories that they lie in are made before the step runs."},
    [CONFIG_KEY_NEEDS] = {"needs", STEP, 0, CONFIG_NAMES, 0, 0, "[]", "Needs",
                          "Steps that come first; their outputs are inputs of this one."},
    [CONFIG_KEY_ENV] = {"env", STEP | DEFAULTS | GENERATE, 0, CONFIG_ENV, 0, 0, "{}", "Environment",
                        "Variables to set, by name."},
    [CONFIG_KEY_PASS_ENV] =
        {"pass_env", STEP | DEFAULTS | GENERATE, 0, CONFIG_VARS, 0, 0, "[]", "Passed environment",
         "Names of variables taken from the caller's environment; their values count as inputs."},
    [CONFIG_KEY_RUNNER] = {"runner", STEP | DEFAULTS, 0, CONFIG_RUNNERS, 0, 0, NULL, "Runner",
                           "Where the step runs: host is the working tree itself; sandbox has the "
                           "declared inputs and this machine's system read-only; container has "
                           "them and an image."},
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
    [CONFIG_KEY_IMAGE] = {"image", STEP | DEFAULTS, 0, CONFIG_STRING, 0, 0, NULL, "Image",
                          "What a container is made from, as docker.io/library/debian:12, oci:DIR "
                          "or docker-archive:FILE. A step with an image runs in a container."},
    [CONFIG_KEY_PLATFORM] = {"platform", STEP | DEFAULTS, 0, CONFIG_STRING, 0, 0, NULL, "Platform",
                             "Which of an image's variants to take, as linux/arm64; this machine's "
                             "when absent."},
    [CONFIG_KEY_USER] = {"user", STEP | DEFAULTS, 0, CONFIG_STRING, 0, 0, NULL, "User",
                         "Who the step is in its container: name, uid, name:group or uid:gid; as "
                         "the image says when absent."},
    [CONFIG_KEY_NETWORK] = {"network", STEP | DEFAULTS, 0, CONFIG_CHOICE, 0, 0, "\"none\"",
                            "Network",
                            "none is a loopback alone, host is this machine's network. Counts as "
                            "an input."},
    [CONFIG_KEY_MOUNT] = {"mount", STEP | DEFAULTS, 0, CONFIG_CHOICE, 0, 0, NULL, "Mount",
                          "same puts the project where it is on this machine, and that path counts "
                          "as an input; absent, it is at " CONFIG_PROJECT "."},
    [CONFIG_KEY_LIMITS] = {"limits", STEP | DEFAULTS, 0, CONFIG_BLOCK, 0, 0, NULL, "Limits",
                           "How much the step may use. Merged one by one with those of defaults."},
    [CONFIG_KEY_SECRETS] =
        {"secrets", STEP, 0, CONFIG_SECRETS, 0, 0, "{}", "Secrets",
         "Values that are shown nowhere: by the name of the variable, or the absolute path of the "
         "file, that the step finds them in."},
    [CONFIG_KEY_CACHES] = {"caches", STEP, 0, CONFIG_CACHES, 0, 0, "{}", "Cache directories",
                           "Directories that are kept from run to run and are no input: by the "
                           "absolute path that the step finds them at."},
    [CONFIG_KEY_MEMORY] = {"memory", CONFIG_IN_LIMITS, 0, CONFIG_SIZE, 0, 0, NULL, "Memory",
                           "Of all its processes together, as 512MiB."},
    [CONFIG_KEY_PIDS] = {"pids", CONFIG_IN_LIMITS, 0, CONFIG_INT, 1, 4194304, NULL, "Processes",
                         "How many processes and threads at once."},
    [CONFIG_KEY_CPU] = {"cpu", CONFIG_IN_LIMITS, 0, CONFIG_CPUS, 0, 0, NULL, "Processors",
                        "How many processors, also a part of one, as 1.5."},
    [CONFIG_KEY_FILE_SIZE] = {"file_size", CONFIG_IN_LIMITS, 0, CONFIG_SIZE, 0, 0, NULL,
                              "File size", "Of any file that it writes, as 1GiB."},
    [CONFIG_KEY_SECRET_ENV] = {"env", CONFIG_IN_SECRET, 0, CONFIG_STRING, 0, 0, NULL, "Variable",
                               "The caller's variable of this name."},
    [CONFIG_KEY_SECRET_FILE] = {"file", CONFIG_IN_SECRET, 0, CONFIG_STRING, 0, 0, NULL, "File",
                                "The file's content: an absolute path, one from the project's "
                                "folder, or ~/ and one from home."},
    [CONFIG_KEY_SECRET_COMMAND] = {"command", CONFIG_IN_SECRET, 0, CONFIG_COMMAND, 0, 0, NULL,
                                   "Command",
                                   "What the command prints, without the newline at its end: a "
                                   "string is given to /bin/sh -ec, a list is a program and its "
                                   "arguments."},
    [CONFIG_KEY_CACHE_NAME] = {"name", CONFIG_IN_CACHE, CONFIG_IN_CACHE, CONFIG_STRING, 0, 0, NULL,
                               "Name", "Steps that name the same one share it."},
    [CONFIG_KEY_CACHE_SHARING] = {"sharing", CONFIG_IN_CACHE, 0, CONFIG_CHOICE, 0, 0, "\"shared\"",
                                  "Sharing",
                                  "shared: by several steps at once; locked: by one step at a "
                                  "time; private: a directory of its own for each at once."},
    [CONFIG_KEY_GIT_HOOK] = {"hook", FILE_, 0, CONFIG_BLOCK, 0, 0, NULL, "Git hooks",
                             "What \"kiln hook\" does for everybody who works on the project."},
    [CONFIG_KEY_HOOK_STAGES] = {"stages", CONFIG_IN_HOOK, 0, CONFIG_CHOICES, 0, 0,
                                "[\"pre-commit\"]", "Hooks",
                                "Which hooks \"kiln hook install\" installs."},
    [CONFIG_KEY_HOOK_BUDGET] = {"budget", CONFIG_IN_HOOK, 0, CONFIG_DURATION, 0, 0, NULL,
                                "Time budget",
                                "How long a hook should take, as 10s: when it takes longer, it "
                                "says what still runs and how to go without it."},
    [CONFIG_KEY_HOOK_BIND] = {"bind", CONFIG_IN_HOOK, 0, CONFIG_PATHS, 0, 0, "[]",
                              "Bound directories",
                              "Directories that are not committed, as node_modules, of which the "
                              "hook's checkout has copies. Steps that name them in \"inputs\" have "
                              "them in their key; isolated steps see them only then."},
    [CONFIG_KEY_HOOK_FIX] =
        {"fix", CONFIG_IN_HOOK, 0, CONFIG_CHOICE, 0, 0, "\"commit\"", "Fixes",
         "What becomes of what fixers change: commit tests it and commits it; stop puts it into "
         "the working tree alone and stops, so that somebody looks at it."},
    [CONFIG_KEY_INTERACTIVE] =
        {"interactive", STEP, 0, CONFIG_BOOL, 0, 0, "false", "Interactive",
         "true gives the step a terminal: what is typed reaches it (i in the panes; kiln run hands "
         "it the keyboard). Its result is never cached."},
    [CONFIG_KEY_FIX] =
        {"fix", STEP, 0, CONFIG_BOOL, 0, 0, "false", "Fixer",
         "true says that the step may rewrite its inputs, as formatters do. The hook takes what it "
         "changes into index and working tree; other commands run it only when it is named. It "
         "runs on the host and has no outputs."},
};

const char *const config_runners[] = {"host", "sandbox", "container", "remote"};
const size_t config_n_runners = sizeof(config_runners) / sizeof(config_runners[0]);
const size_t config_n_available_runners = CONFIG_RUNNER_CONTAINER + 1;

const char *config_runner_name(enum config_runner runner)
{
    return config_runners[runner];
}

unsigned config_key_runners(enum config_key_id id)
{
    const unsigned host = 1u << CONFIG_RUNNER_HOST, sandbox = 1u << CONFIG_RUNNER_SANDBOX,
                   container = 1u << CONFIG_RUNNER_CONTAINER;

    switch (id) {
    case CONFIG_KEY_IMAGE:
    case CONFIG_KEY_PLATFORM:
    case CONFIG_KEY_USER: return container;
    case CONFIG_KEY_NETWORK:
    case CONFIG_KEY_MOUNT:
    case CONFIG_KEY_LIMITS:
    case CONFIG_KEY_CACHES: return sandbox | container;
    default: return host | sandbox | container;
    }
}

const char *const *config_choices(enum config_key_id id)
{
    static const char *const networks[] = {"none", "host", NULL};
    static const char *const mounts[] = {"same", NULL};
    static const char *const sharings[] = {"shared", "private", "locked", NULL};
    static const char *const stages[] = {"pre-commit", "pre-merge-commit", "commit-msg", "pre-push",
                                         NULL};
    static const char *const fixes[] = {"commit", "stop", NULL}; /* as enum config_fixes */

    if (id == CONFIG_KEY_HOOK_STAGES)
        return stages;
    if (id == CONFIG_KEY_HOOK_FIX)
        return fixes;
    return id == CONFIG_KEY_NETWORK ? networks : id == CONFIG_KEY_MOUNT ? mounts : sharings;
}

const struct config_key *config_key_find(const char *name, enum config_place place)
{
    const struct config_key *found = NULL;

    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (strcmp(config_keys[i].name, name))
            continue;
        if (config_keys[i].places & place)
            return &config_keys[i];
        if (!found)
            found = &config_keys[i];
    }
    return found;
}

const char *config_key_nearest(const char *word, enum config_place place)
{
    const char *names[CONFIG_KEY_COUNT];
    size_t n = 0;

    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
        if (config_keys[i].places & place)
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
    case CONFIG_IN_LIMITS: return "\"limits\"";
    case CONFIG_IN_SECRET: return "a secret";
    case CONFIG_IN_CACHE: return "a cache directory";
    case CONFIG_IN_HOOK: return "\"hook\"";
    }
    return "";
}
