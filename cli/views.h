/*
 * views.h - what a person or a script sees of a run: the full screen, plain lines with or without a
 * live one, or events.
 *
 * Ownership: struct views is the caller's storage: views_init(), views_close() while the loop still
 * runs, views_release() when it is done. Loop thread.
 */
#ifndef KILN_CLI_VIEWS_H
#define KILN_CLI_VIEWS_H

#include "cli/cli.h"
#include "cli/settings.h"
#include "tui/tui.h"

struct views {
    const struct options *options;
    uv_loop_t *loop;
    bool watching;
    void (*unread)(void *ctx); /* watching: nobody reads what is written any more */
    void *ctx;
    const char *again; /* the command that runs it all again; NULL: kiln's "run" and the step */
    /* The rest is views.c's; tui is NULL where there is no screen. */
    struct tui *tui;
    struct cli_settings settings; /* with it */
    bool settings_loaded;
    struct view_plain *plain;
    struct view_json *json;
    struct report *files; /* as options->junit and the like; or NULL */
    FILE *report;         /* the plain view of what the screen shows */
    char *report_text;
    size_t report_size;
    struct attach *attach; /* for plain, on a terminal */
    struct git_watch *git; /* for tui */
    char *exe, *config;
    const char *self[4]; /* of these */
    uv_timer_t tick;
    uv_timer_t unread_timer; /* to tell of it, not from within an event */
    bool live, tick_open, unread_open;
    size_t n_running;
    char *kiln; /* how a person calls kiln for this project, from where they called it now */
};

/* Opens nothing. The loop may not be there yet. */
void views_init(struct views *views, const struct options *options, uv_loop_t *loop, bool watching);
/* Whether there will be a screen. */
bool views_want_tui(const struct views *views);
/* Who can type to steps: only who sees what a step asks can answer. */
enum engine_typing views_who_types(const struct views *views);
/* What a screen of kiln's needs to be opened, but for the pipeline's part; with the person's
 * settings. */
struct tui_options views_terminal(struct views *views);
/* Opens what the options and the terminal ask for and subscribes it. Fails with ERR_USAGE where
 * --tui can't be had. */
int views_open(struct views *views, struct engine *engine, struct control *control,
               const struct app *app, struct err *err) MUST_CHECK;
/* An event that somebody else's engine tells of, and the moments between: views without a screen
 * need no engine. */
void views_told(struct views *views, const struct event *event);
void views_told_tick(struct views *views);
/* Writes the files that the options ask for, when all is told. Returns code, or that they could not
 * be written. */
int views_write(struct views *views, int code);
/* Takes the screen down; what is left to read is printed. Its handles close on the loop. */
void views_close(struct views *views);
void views_release(struct views *views);
/* How a person calls kiln for this project, from where they called it now; owned by views. */
const char *views_kiln(struct views *views);

#endif
