/*
 * options_table.c - every command and option of kiln, in the order help lists them.
 */
#include "cli/options.h"

#include <string.h>

static const struct choice cache_subcommands[] = {
    {"stats", "how much it holds"},
    {"gc", "removes what was used least lately, down to its limit"},
    {"verify", "reads all of it, and sets aside what is damaged"},
    {"clear", "removes everything it holds"},
    {NULL, NULL},
};

static const struct choice hook_subcommands[] = {
    {"install", "has git call kiln before it commits"},
    {"uninstall", "puts back what was there before"},
    {"status", "tells which hooks there are, and what a commit now would run"},
    {"run", "tests what is about to be committed"},
    {NULL, NULL},
};

static const struct choice git_hooks[] = {{"pre-commit", NULL},
                                          {"pre-merge-commit", NULL},
                                          {"commit-msg", NULL},
                                          {"pre-push", NULL},
                                          {NULL, NULL}};

static const struct choice ci_subcommands[] = {
    {"init", "writes the file with which a CI installs kiln and runs the pipeline"},
    {NULL, NULL},
};

static const struct choice bundle_subcommands[] = {
    {"export", "writes a run to a file, to be looked at elsewhere"},
    {"import", "takes such a file in as a run of this project"},
    {NULL, NULL},
};

static const struct choice ci_names[] = {
    {"github", NULL}, {"gitlab", NULL}, {"jenkins", NULL}, {NULL, NULL}};

/* "steps" is for the scripts: the names of the pipeline's steps. */
static const struct choice shells[] = {
    {"bash", NULL}, {"zsh", NULL}, {"fish", NULL}, {"steps", NULL}, {NULL, NULL}};
static const struct choice failures[] = {
    {"pause", NULL}, {"keep", NULL}, {"continue", NULL}, {NULL, NULL}};
static const struct choice whens[] = {
    {"auto", NULL}, {"always", NULL}, {"never", NULL}, {NULL, NULL}};

const struct command_spec command_table[] = {
    {
        .name = "watch",
        .bit = CMD_WATCH,
        .arguments = "[STEP...]",
        .summary = "run, and again whenever inputs change (plain \"kiln\" does this)",
        .help = "Runs the steps, with all they need, and then waits: whenever inputs change, the "
                "steps that read them run again, and no others. Without STEP, every step.\n\n"
                "On a terminal this opens the full screen; press ? there for its keys. Elsewhere, "
                "and where CI is set, it prints plain lines.",
        .max_args = ARGS_ANY,
        .takes_steps = true,
    },
    {
        .name = "run",
        .bit = CMD_RUN,
        .arguments = "[STEP...]",
        .summary = "run once what is not up to date",
        .help = "Runs the steps, with all they need, once. A step whose inputs are as they were "
                "when it passed does not run: its outputs come from the cache. Without STEP, every "
                "step.\n\n"
                "A kiln that watches the same tree is asked, where there is one, instead of "
                "looking at every file.\n\n"
                "In GitHub Actions, GitLab CI and Buildkite each step's log is in a group, GitHub "
                "marks the lines that a failed step "
                "complains of, and shows a summary of the job; --plain leaves that out.\n\n"
                "Exits with 0 when all passed or were cached, with 1 when a step failed.",
        .max_args = ARGS_ANY,
        .takes_steps = true,
    },
    {
        .name = "plan",
        .bit = CMD_PLAN,
        .arguments = "[STEP...]",
        .summary = "show what would run and why",
        .help = "Shows for each step whether its result is cached, or what makes it run. Pending "
                "steps wait for one that must run first. Runs and writes nothing.",
        .max_args = ARGS_ANY,
        .takes_steps = true,
    },
    {
        .name = "explain",
        .bit = CMD_EXPLAIN,
        .arguments = "STEP",
        .summary = "show what changed for a step since its last result",
        .help = "Shows which files, variables, command or outputs of other steps differ from those "
                "of the step's last pass (its last result, where it never passed): what was and "
                "what is; or what its hit is based on. Forty lines at most; --json has up to "
                "10000 reasons, in full, and how many there are.\n\n"
                "With --last-pass it looks at nothing but the past: what the step's last failure "
                "had other than its last pass.",
        .min_args = 1,
        .max_args = 1,
        .takes_steps = true,
    },
    {
        .name = "logs",
        .bit = CMD_LOGS,
        .arguments = "[STEP]",
        .summary = "print what a step wrote",
        .help = "Prints the log of the step's newest execution as it was written. Without STEP, "
                "lists the steps of the newest run and where their logs are.",
        .max_args = 1,
        .takes_steps = true,
    },
    {
        .name = "runs",
        .bit = CMD_RUNS,
        .arguments = "",
        .summary = "list the runs that are on record",
        .help = "Lists the runs of this project, the newest first.",
    },
    {
        .name = "replay",
        .bit = CMD_REPLAY,
        .arguments = "[ID]",
        .summary = "show a run of the past as it was",
        .help = "Shows a run from its record: on a terminal the full screen with its steps, logs, "
                "reasons and timeline, elsewhere what \"kiln run\" printed. Without ID (\"kiln "
                "runs\" lists them) the newest. Runs and changes nothing.\n\n"
                "With --junit or --trace it writes these files of the run, and shows nothing.",
        .max_args = 1,
    },
    {
        .name = "compare",
        .bit = CMD_COMPARE,
        .arguments = "A B",
        .summary = "show where two runs begin to differ",
        .help = "A and B are runs on record (\"kiln runs\" lists them) or files that \"kiln run "
                "--json\" wrote, here or in a CI. Names the first step, in the order of what needs "
                "what, whose inputs are others, which gave other outputs for the same inputs, or "
                "which passed in the one and failed in the other; what of its inputs differs, as "
                "far as that is on record here; and which steps differ because of it.\n\n"
                "Exits with 0 when nothing differs, with 1 when something does, or when there is "
                "no step that both got to.",
        .min_args = 2,
        .max_args = 2,
    },
    {
        .name = "shell",
        .bit = CMD_SHELL,
        .arguments = "STEP|--failed",
        .summary = "open a shell exactly where a step runs",
        .help = "Runs what the step needs, makes all that it would find (inputs, outputs of other "
                "steps, image, variables, secrets, network), and opens a shell there instead of "
                "running it. An isolated step is a copy: nothing that is done there reaches the "
                "project or the cache. A step of the host runs in the project itself. In bash the "
                "step's command is the last line of the history, which is not kept; other shells "
                "begin by telling it.\n\n"
                "With --failed the shell opens where the step's last failure left things; "
                "without STEP, that of the step that failed last and has not passed since.\n\n"
                "Exits as the command does.",
        .min_args = 1,
        .max_args = 1,
        .takes_steps = true,
    },
    {
        .name = "debug",
        .bit = CMD_DEBUG,
        .arguments = "[STEP...]",
        .summary = "step through a run: hold steps, look, try again",
        .help =
            "Runs the steps, with all they need, once, and holds those that are asked for, until "
            "you let them go on: by --break before they start or when they have ended, by "
            "--break-on when something is so, by --on-failure where they fail. Without any of "
            "these, where they fail. What depends on a held step waits.\n\n"
            "On a terminal this opens the full screen: c goes on, r runs it (again), X leaves it "
            "out of this run, C goes on to the next step, s is a shell there, a aborts; press ? "
            "for all keys.\n\n"
            "Elsewhere, and with --screen-reader, commands are lines of standard input: continue, "
            "retry, skip, next, abort, shell, show, log, inputs, why, break and others; help "
            "lists them. At its end all goes on without more pauses. --command runs CMD where a "
            "step is held, which goes on then.\n\n"
            "Exits as \"kiln run\" does, and with 1 when a step was skipped by hand.\n\n"
            "With --run it is about a failure of the past: kiln debug --run ID STEP restores "
            "exactly what the step read then and opens a shell there, with the step's "
            "variables, in its box where it had one, else in a copy that goes when you leave. "
            "Without STEP, the run's only failure. Neither the project nor its records are "
            "touched.",
        .max_args = ARGS_ANY,
        .takes_steps = true,
    },
    {
        .name = "bundle",
        .bit = CMD_BUNDLE,
        .arguments = "export [ID] --output FILE|import FILE",
        .summary = "carry a run to another machine",
        .help =
            "\"export\" writes run ID (\"kiln runs\" lists them; the newest one) to FILE: its "
            "events and logs, "
            "what is known of its steps, and all that its failed steps had read. "
            "\"import\" takes such a file in as a run of this project with a number of its "
            "own; kiln replay, compare, explain --last-pass --run and debug --run take that "
            "number.\n\n"
            "The file is a tar, the same for the same run; compress it as you like. Secrets of "
            "steps are not in it; variables and files that steps were given are. Importing "
            "runs nothing and writes nothing into the project. What is not as kiln writes it is "
            "refused, with exit code 2, and nothing of it stays.",
        .min_args = 1,
        .max_args = 2,
        .subcommands = bundle_subcommands,
    },
    {
        .name = "hook",
        .bit = CMD_HOOK,
        .arguments = "install|uninstall|status|run [HOOK...]",
        .summary = "test what is about to be committed",
        .help =
            "\"install\" writes the hook into the directory where git looks for it "
            "(core.hooksPath counts). A hook that is there already runs first, and \"uninstall\" "
            "puts it back. HOOK is pre-commit, pre-merge-commit, commit-msg or pre-push; without, "
            "those of \"hook\" "
            "in kiln.json, or else pre-commit. "
            "\"status\" tells what is installed and what a commit now would run; it exits with 1 "
            "where none of kiln's hooks is installed.\n\n"
            "\"run\" is what the hook calls. It takes the tree that a commit would have now, from "
            "the index that git names (GIT_INDEX_FILE), and finds out whether all steps passed on "
            "it before: those with \"hook\": true, or every step where none says so. If not, it "
            "checks the tree out into a directory of kiln's own and runs them there. Neither the "
            "working tree nor the index is touched. With commit-msg the file with the message may "
            "follow, and steps that pass KILN_COMMIT_MSG see it. With pre-push it reads from "
            "standard "
            "input which commits are about to be pushed, as git writes them.\n\n"
            "\"run\" exits with 0 when all of them passed; git stops otherwise. \"git commit "
            "--no-verify\" goes without it.",
        .min_args = 1,
        .max_args = 5,
        .subcommands = hook_subcommands,
        .then = git_hooks,
    },
    {
        .name = "cache",
        .bit = CMD_CACHE,
        .arguments = "stats|gc|verify|clear",
        .summary = "look at the cache, check it, make it smaller, or clear it",
        .help = "The cache is the user's, shared by all projects. It lies in $KILN_CACHE_DIR, else "
                "$XDG_CACHE_HOME/kiln, else ~/.cache/kiln.\n\n"
                "It may take $KILN_CACHE_SIZE (20GiB, 500MB; 0 for no limit), else a tenth of its "
                "disk, at most 20 GiB; 5 % of the disk are left free. After a run that went over, "
                "kiln removes what was used least lately; \"gc\" does so at once, and \"gc "
                "--dry-run\" tells what would go and why.\n\n"
                "\"verify\" exits with 0 when all was right, with 1 when something was not and "
                "had to be mended.\n\n"
                "Clearing asks first on a terminal; elsewhere it wants --yes. What other kilns use "
                "at that moment stays. The cache directories of steps (\"caches\" in kiln.json) "
                "stay, too: --caches clears them.",
        .min_args = 1,
        .max_args = 1,
        .subcommands = cache_subcommands,
    },
    {
        .name = "init",
        .bit = CMD_INIT,
        .arguments = "",
        .summary = "write a first kiln.json from what lies in the project",
        .help = "Looks for CMake, meson, cargo, Go, npm, pnpm, yarn, Python, autotools and make in "
                "the current directory and a little below, and writes a kiln.json with steps that "
                "build and test what was found: in the sandbox where this machine allows it and "
                "the tools can be seen there, else on the host, with the reason beside it. It asks "
                "nothing, and never overwrites.",
    },
    {
        .name = "ci",
        .bit = CMD_CI,
        .arguments = "init github|gitlab|jenkins",
        .summary = "write what a CI needs to run the pipeline",
        .help = "Writes .github/workflows/kiln.yml, .gitlab-ci.yml or Jenkinsfile into the "
                "repository: the lines that install kiln, keep its cache from run to run, run the "
                "pipeline, and hand its JUnit file and trace on. It never overwrites, unless with "
                "--overwrite; --dry-run prints the file.",
        .min_args = 2,
        .max_args = 2,
        .subcommands = ci_subcommands,
        .values = ci_names,
    },
    {
        .name = "doctor",
        .bit = CMD_DOCTOR,
        .arguments = "",
        .summary = "tell what this machine allows, and what to do about it",
        .help = "Tries what isolated steps need (user namespaces, overlays, an OCI runtime, "
                "subordinate ids, cgroups), runs one that does nothing, and looks at what images, "
                "watching and the cache do. "
                "For each it tells what there is, what that means, and the commands that change "
                "it. Nothing is changed.\n\n"
                "Exits with 0 when steps can run isolated here, with 1 when something that this "
                "needs is missing.",
    },
    {
        .name = "schema",
        .bit = CMD_SCHEMA,
        .arguments = "",
        .summary = "print the JSON Schema of kiln.json",
        .help = "Prints the JSON Schema (draft 2020-12) of kiln.json, for editors to check and "
                "complete with; with --settings, that of your own settings for the terminal, "
                "$XDG_CONFIG_HOME/kiln/config.json (~/.config/kiln/config.json).",
    },
    {
        .name = "completion",
        .bit = CMD_COMPLETION,
        .arguments = "bash|zsh|fish",
        .summary = "print what teaches a shell to complete kiln's commands",
        .help = "Prints a script for the shell. bash: source <(kiln completion bash). zsh: source "
                "<(kiln completion zsh). fish: kiln completion fish | source.\n\n"
                "\"kiln completion steps\" prints the names of the steps, one a line.",
        .min_args = 1,
        .max_args = 1,
        .values = shells,
    },
    {
        .name = "version",
        .bit = CMD_VERSION,
        .arguments = "",
        .summary = "print the version",
        .help = "Prints kiln's version, as \"kiln --version\" does.",
    },
    {
        .name = "help",
        .bit = CMD_HELP,
        .arguments = "[COMMAND]",
        .summary = "tell about a command",
        .help = "Tells what a command does and which options it has. Without COMMAND, lists them.",
        .max_args = 1,
    },
};
const size_t n_commands = sizeof command_table / sizeof *command_table;

#define CMD_WORK (CMD_WATCH | CMD_RUN | CMD_DEBUG)

const struct option_spec option_table[OPT_N] = {
    [OPT_DIRECTORY] = {OPT_DIRECTORY, "directory", 'C', "DIR", false, CMD_ALL, NULL,
                       "change to DIR first"},
    [OPT_CONFIG] = {OPT_CONFIG, "config", 0, "FILE", false, CMD_ALL, NULL,
                    "use this pipeline instead of the nearest kiln.json upwards; one kept "
                    "elsewhere describes the current directory"},
    [OPT_COLOR] = {OPT_COLOR, "color", 0, "WHEN", false, CMD_ALL, whens,
                   "auto, always or never; auto heeds NO_COLOR, CLICOLOR_FORCE and the terminal"},
    [OPT_HELP] = {OPT_HELP, "help", 'h', NULL, false, CMD_ALL, NULL, "tell about the command"},
    [OPT_VERSION] = {OPT_VERSION, "version", 0, NULL, false, CMD_ALL, NULL, "print the version"},
    [OPT_JOBS] = {OPT_JOBS, "jobs", 'j', "N", false, CMD_WORK | CMD_HOOK, NULL,
                  "run up to N steps at a time; else what kiln.json says, or one a processor"},
    [OPT_FORCE] = {OPT_FORCE, "force", 0, "STEP", true, CMD_WORK, NULL,
                   "run even what is cached: every selected step, or just STEP (may be repeated)"},
    [OPT_KEEP_GOING] = {OPT_KEEP_GOING, "keep-going", 'k', NULL, false, CMD_WORK | CMD_HOOK, NULL,
                        "after a failure, still start what does not depend on it"},
    [OPT_DRY_RUN] =
        {OPT_DRY_RUN, "dry-run", 'n', NULL, false,
         CMD_RUN | CMD_CACHE | CMD_INIT | CMD_CI | CMD_HOOK, NULL,
         "only show what would be done: what would run, as \"kiln plan\" does; what "
         "\"cache gc\" would remove; the kiln.json that \"init\" would write; whether the \"hook\" "
         "would have to run steps (it exits with 1 then)"},
    [OPT_NO_CACHE] = {OPT_NO_CACHE, "no-cache", 0, NULL, false, CMD_WORK, NULL,
                      "neither take results from the cache nor put them there"},
    [OPT_REHASH] = {OPT_REHASH, "rehash", 0, NULL, false, CMD_WORK | CMD_PLAN | CMD_EXPLAIN, NULL,
                    "read every input again instead of trusting unchanged time stamps"},
    [OPT_UPDATE_IMAGES] = {OPT_UPDATE_IMAGES, "update-images", 0, NULL, false, CMD_WORK, NULL,
                           "ask anew what the images of steps mean, and write it to kiln.lock"},
    [OPT_PLAIN] = {OPT_PLAIN, "plain", 0, NULL, false, CMD_WORK | CMD_REPLAY | CMD_HOOK, NULL,
                   "print plain lines, one an event, also on a terminal"},
    [OPT_JSON] = {OPT_JSON, "json", 0, NULL, false,
                  CMD_WORK | CMD_PLAN | CMD_EXPLAIN | CMD_LOGS | CMD_RUNS | CMD_REPLAY | CMD_CACHE |
                      CMD_DOCTOR | CMD_COMPARE | CMD_BUNDLE,
                  NULL, "print JSON for programs, and nothing else"},
    [OPT_TUI] = {OPT_TUI, "tui", 0, NULL, false, CMD_WORK, NULL, "open the full screen"},
    [OPT_SCREEN_READER] = {OPT_SCREEN_READER, "screen-reader", 0, NULL, false,
                           CMD_WORK | CMD_REPLAY, NULL,
                           "plain sentences and spoken keys in place of the full screen (also "
                           "KILN_SCREEN_READER=1)"},
    [OPT_DOT] = {OPT_DOT, "dot", 0, NULL, false, CMD_PLAN, NULL,
                 "print the graph for Graphviz instead"},
    [OPT_MERMAID] = {OPT_MERMAID, "mermaid", 0, NULL, false, CMD_PLAN, NULL,
                     "print the graph for Mermaid instead"},
    [OPT_RUN] = {OPT_RUN, "run", 0, "ID", false, CMD_LOGS | CMD_DEBUG | CMD_EXPLAIN, NULL,
                 "of that run, as \"kiln runs\" numbers them; else the newest (logs, explain "
                 "--last-pass); a failure in that run (debug)"},
    [OPT_SPEED] = {OPT_SPEED, "speed", 0, "N", false, CMD_REPLAY, NULL,
                   "N times as fast as it was (1: as it was), instead of all at once"},
    [OPT_SIZE] = {OPT_SIZE, "size", 0, "SIZE", false, CMD_CACHE, NULL,
                  "bring the cache down to that size (20GiB, 500MB) instead of its limit"},
    [OPT_COMMAND] = {OPT_COMMAND, "command", 0, "CMD", false, CMD_SHELL | CMD_DEBUG, NULL,
                     "run CMD with sh instead of an interactive shell"},
    [OPT_FAILED] = {OPT_FAILED, "failed", 0, NULL, false, CMD_SHELL, NULL,
                    "where the last failure left things: STEP's, or without STEP that of all"},
    [OPT_YES] = {OPT_YES, "yes", 'y', NULL, false, CMD_CACHE, NULL, "clear without asking"},
    [OPT_CACHES] = {OPT_CACHES, "caches", 0, "NAME", true, CMD_CACHE, NULL,
                    "clear the cache directories of steps, or those called NAME, and nothing else"},
    [OPT_SETTINGS] = {OPT_SETTINGS, "settings", 0, NULL, false, CMD_SCHEMA, NULL,
                      "of your own settings, config.json, instead"},
    [OPT_LAST_PASS] = {OPT_LAST_PASS, "last-pass", 0, NULL, false, CMD_EXPLAIN, NULL,
                       "what the last failure had other than the last pass"},
    [OPT_JUNIT] = {OPT_JUNIT, "junit", 0, "FILE", false, CMD_RUN | CMD_REPLAY, NULL,
                   "when the run is over, write it to FILE as JUnit XML, a case a step"},
    [OPT_SHARD] = {OPT_SHARD, "shard", 0, "I/N", false, CMD_RUN | CMD_PLAN, NULL,
                   "only the part of it that is machine I's of N, with all that this part needs; "
                   "the parts of all machines together are the whole"},
    [OPT_DURATIONS] = {OPT_DURATIONS, "durations", 0, "FILE", false, CMD_RUN | CMD_PLAN, NULL,
                       "divide by how long steps took in FILE, which \"kiln run --json\" wrote; it "
                       "must be the same on all machines. Else all steps count the same"},
    [OPT_OVERWRITE] = {OPT_OVERWRITE, "overwrite", 0, NULL, false, CMD_CI, NULL,
                       "replace the file that is there"},
    [OPT_BREAK] = {OPT_BREAK, "break", 0, "STEP", false, CMD_DEBUG, NULL,
                   "hold STEP, a name or a pattern, before it starts; STEP:after when it ended, "
                   "however (may be repeated)"},
    [OPT_BREAK_ON] = {OPT_BREAK_ON, "break-on", 0, "COND", false, CMD_DEBUG, NULL,
                      "hold what ends with COND: failure, key-changed, duration>30s or "
                      "output~REGEX; COND@STEP: only of that step (may be repeated)"},
    [OPT_ON_FAILURE] = {OPT_ON_FAILURE, "on-failure", 0, "WHAT", false, CMD_DEBUG, failures,
                        "pause where a step failed; keep: without a pause, what it left is kept "
                        "for kiln shell --failed; continue: the same, and start what does not "
                        "depend on it"},
    [OPT_DIFF] = {OPT_DIFF, "diff", 0, NULL, false, CMD_DEBUG, NULL,
                  "print what was changed in the box that STEP's last failure left, as a patch"},
    [OPT_TAKE] =
        {OPT_TAKE, "take", 0, NULL, false, CMD_DEBUG, NULL,
         "take what was changed there into the working tree, all of it or, where that was edited "
         "in the same lines, nothing (exit code 1); STEP PATH...: only that"},
    [OPT_OUTPUT] = {OPT_OUTPUT, "output", 0, "FILE", false, CMD_BUNDLE, NULL,
                    "export: the file to write"},
    [OPT_TRACE] = {OPT_TRACE, "trace", 0, "FILE", false, CMD_RUN | CMD_REPLAY, NULL,
                   "when the run is over, write to FILE what ran when, for Perfetto or "
                   "chrome://tracing"},
};

const struct command_spec *command_find(const char *name)
{
    for (size_t i = 0; i < n_commands; i++) {
        if (!strcmp(command_table[i].name, name))
            return &command_table[i];
    }
    return NULL;
}
