/*
 * cli.h - what the commands share: the parsed command line, the wiring of the library, the views
 * without a screen.
 *
 * One table of commands and options (options.c) drives parsing, help and completion. One file a
 * group of commands. Only main.c exits.
 */
#ifndef KILN_CLI_CLI_H
#define KILN_CLI_CLI_H

#include "base/buf.h"
#include "base/err.h"
#include "cache/cache.h"
#include "config/config.h"
#include "engine/engine.h"
#include "engine/event.h"
#include "engine/graph.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <uv.h>

enum exit_code { EXIT_OK = 0, EXIT_STEP_FAILED = 1, EXIT_USAGE = 2, EXIT_KILN = 3 };

enum when { WHEN_AUTO, WHEN_ALWAYS, WHEN_NEVER };

/* The command line; strings point into argv. */
struct options {
    const char *command; /* "run", "watch" ... */
    const char
        *subcommand; /* of cache: "stats", "gc", "verify", "clear"; of hook: "run", "install" ... */
    const char *directory, *config; /* -C, --config */
    enum when color;
    bool help;
    const char **args; /* what is left: steps; owned */
    size_t n_args;
    bool plain, json, tui, keep_going, dry_run, no_cache, rehash, force, dot, mermaid, yes,
        settings;
    bool update_images, failed, screen_reader, last_pass, overwrite;
    const char *shell_command; /* shell, debug: --command */
    const char **force_steps;  /* --force=STEP, any number; owned */
    size_t n_force_steps;
    const char **breaks, **breaks_on; /* debug: --break, --break-on; owned */
    size_t n_breaks, n_breaks_on;
    const char *on_failure; /* debug: "pause", "keep", "continue"; NULL: not given */
    const char *output;     /* bundle: --output */
    bool diff, take;        /* debug */
    uint32_t jobs;
    const char *run_id;        /* --run */
    uint32_t speed;            /* --speed; 0: at once */
    const char *junit, *trace; /* --junit, --trace */
    uint32_t shard, shards;    /* --shard: from 1; shards 0: not given */
    const char *durations;     /* --durations */
    bool caches;               /* --caches */
    const char *caches_name;   /* its NAME, or NULL */
    bool size_set;             /* --size */
    uint64_t size;
};

/* Parses; ERR_USAGE with the nearest option or command name. No arguments at all: the command is
 * "watch". */
int options_parse(int argc, char **argv, struct options *out, struct err *err) MUST_CHECK;
void options_release(struct options *options);
/* Adds the help of a command (NULL: of kiln). False when there is no such command. */
bool options_help(const char *command, bool color, struct buf *out);

/* Whether to colour what goes to that descriptor: the flag, NO_COLOR, CLICOLOR_FORCE / FORCE_COLOR,
 * TERM=dumb, is it a terminal. */
bool color_wanted(const struct options *options, int fd);
/* CI is set to something other than "" and "false". */
bool in_ci(void);
/* Flushes standard output at a command's end. Returns code, or EXIT_KILN when what was printed did
 * not all get out (a full disk: said; a reader that went away: not). */
int output_end(const struct options *options, int code);

/* app.c: opens what commands need. */
struct app {
    const struct options *options;
    uv_loop_t loop;
    bool loop_open;
    char *root;
    struct config *config;
    struct stat config_stat;   /* of its file, just before it was read */
    const struct config *made; /* in a pipeline_cb: what the graph is made from, which a generator
                                  may have printed */
    struct cache *cache;
    bool read_only;          /* the cache */
    struct records *records; /* NULL when there is no usable state directory: said once */
    struct history *history; /* likewise */
    struct runner *runner;
    struct runner *box_runner;  /* NULL: nobody has needed it */
    struct image_store *images; /* likewise */
    char *lock_path;            /* kiln.lock's: beside the pipeline's file */
    char *stat_path, *scratch_path;
    struct worktree_ahead *stat_ahead; /* NULL: none to be read */
};

enum {
    APP_CONFIG = 1,
    APP_CACHE = 2,
    APP_STATE = 4,
    APP_RUNNER = 8,
    APP_WATCHES = 16 /* opens nothing; says that it is to go on watching */
};
/* Where the pipeline's file is and which folder is the project's, both absolute; the caller's, also
 * after a failure. */
int app_find(const struct options *options, char **path, char **root, struct err *err) MUST_CHECK;
/* Opens the parts named by flags; what fails is said in err. app_close() also after a failure. */
int app_open(struct app *app, const struct options *options, unsigned parts,
             struct err *err) MUST_CHECK;
/* The same with a pipeline that was found and read already: path and root as app_find() gives them,
 * text what the file holds. What the stat cache knows is not looked at. */
struct app_given {
    const char *path, *root;
    const struct buf *text;
    const char *project; /* root is a copy of this one, which the records are about, with a stat
                            cache of its own; or NULL */
};
int app_open_given(struct app *app, const struct options *options, const struct app_given *given,
                   unsigned parts, struct err *err) MUST_CHECK;
void app_close(struct app *app);
/* cmd_logs.c: the same of what looks at the past: kiln.json may be wrong just now (said). */
int app_open_records(struct app *app, const struct options *options, unsigned parts,
                     struct err *err) MUST_CHECK;
/* The same without a look at what kiln.json says. */
int app_open_past(struct app *app, const struct options *options, unsigned parts,
                  struct err *err) MUST_CHECK;
/* What a run from elsewhere brought along of its steps' results; NULL: it ran here, or nothing. */
struct history *run_history(struct records *records, const char *id);
/* boxes.c: what isolated steps need (engine_options.boxes, but for its ctx); made once. */
int app_boxes(struct app *app, struct engine_boxes *out, struct err *err) MUST_CHECK;
/* Has the cache remove what boxes wrote as it must be removed. */
void app_remove_as_nest(struct app *app);
/* Ends the runners; they are gone when the loop has nothing more to do. */
void app_close_runners(struct app *app);
/* Prints "kiln: ..." on standard error, in red where colour is wanted. */
void complain(const struct options *options, const char *text);
void warn(const struct options *options, const char *text);
void remark(const struct options *options, const char *text);

/* pipeline.c: from a file to a graph, running its generator where it has one. */
typedef void pipeline_cb(void *ctx, struct graph *graph, const char *const *sources,
                         size_t n_sources, int exit_code, const char *error);
/* Makes the graph of app->config; calls back on the loop (perhaps before it returns) with the graph
 * (the callee's) and the files below the root that it was made from, or with NULL, an error to show
 * and the exit code that belongs to it. */
void pipeline_load(struct app *app, pipeline_cb *cb, void *ctx);
/* Whether the pipeline's file is another than the one that was read. */
bool pipeline_is_old(const struct app *app);
/* Reads the file anew first. The old config stays when the new one is wrong. */
void pipeline_reload(struct app *app, pipeline_cb *cb, void *ctx);

/* git_watch.c: tells a view, by EVENT_WATCH_TREE, the branch and how many files are not committed.
 * Subscribe git_watch_event(). Freed once the loop has run the closing callbacks; NULL is fine. */
struct git_watch;
struct git_watch *git_watch_new(uv_loop_t *loop, const char *root, event_cb *tell, void *ctx);
void git_watch_event(void *git, const struct event *event);
void git_watch_free(struct git_watch *git);

/* tidy.c: keeps the cache within its limit. Subscribe tidy_event() while watching: a worker looks
 * whenever nothing is left to do. tidy_end(), when the loop is done, looks a last time and frees;
 * NULL is fine. */
struct tidy;
struct tidy *tidy_new(uv_loop_t *loop, struct cache *cache);
void tidy_event(void *tidy, const struct event *event);
void tidy_end(struct tidy *tidy, const struct options *options);

/* Views: each folds events and prints. */
struct view_plain;
/* explain.c: steps of a plan in words. */
struct explain_style {
    bool color;
    int width;   /* of the terminal; 0: none */
    size_t most; /* reasons to show */
    uint64_t now_ns;
};
/* Adds a line or more a reason, in columns, each line begun with that many blanks. */
void explain_reasons(struct buf *out, const struct plan_step *step,
                     const struct explain_style *style, int indent);
/* The answer to "why does this step run, or not?". needs: the steps that it waits for. */
void explain_step(struct buf *out, const struct plan_step *step, const struct explain_style *style,
                  const char *const *needs, size_t n_needs);
/* The same as fields of an object: reasons, since, result. */
void explain_json(struct buf *out, const struct plan_step *step);

/* last_failure.c: the step of the graph that failed in the newest run, and has not passed since; a
 * new string, and the run's id another. NULL when there is none, or with err. */
char *last_failure(struct records *records, const struct graph *graph, char **run, struct err *err);

struct view_plain_options {
    FILE *out;
    bool color;
    bool live; /* a compact status line under what is printed, redrawn in place (a terminal) */
    bool watching;
    bool groups;       /* logs in groups, where the environment says that a CI has them */
    const char *kiln;  /* how kiln is called for this project, outlives it; NULL: "kiln" */
    const char *again; /* its command that runs everything again; NULL: "run" and the step */
};
struct view_plain *view_plain_new(const struct view_plain_options *options);
void view_plain_event(void *view, const struct event *event);
/* For the live line's clock: call it about ten times a second while something runs; nothing when
 * not live. */
void view_plain_tick(struct view_plain *view);
/* Keeps what there is to print until somebody else is done with the terminal; the status line is
 * put away. */
void view_plain_hold(struct view_plain *view, bool held);
void view_plain_free(struct view_plain *view);

struct view_json;
struct view_json *view_json_new(FILE *out);
void view_json_event(void *view, const struct event *event);
void view_json_free(struct view_json *view);

/* Commands: each returns the exit code. */
int command_run(const struct options *options);       /* run, watch */
int command_plan(const struct options *options);      /* plan, explain, run --dry-run */
int command_last_pass(const struct options *options); /* explain --last-pass */
int command_bundle(const struct options *options);
int command_compare(const struct options *options);
int command_logs(const struct options *options);
int command_runs(const struct options *options);
int command_replay(const struct options *options);
int command_shell(const struct options *options);
int command_debug(const struct options *options);
int command_cache(const struct options *options);
int command_hook(const struct options *options);
int command_init(const struct options *options);
int command_ci(const struct options *options);
int command_doctor(const struct options *options);
int command_schema(const struct options *options);
int command_version(const struct options *options);
int command_help(const struct options *options);
int command_completion(const struct options *options);
/* What kiln runs itself: the arguments behind "internal". */
int command_internal(int argc, char **argv);

#endif
