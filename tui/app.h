/*
 * app.h - what the person at the terminal sees and has chosen: the model, the panes, the selection,
 * the log that is open.
 *
 * No terminal and no loop in it: keys come in through app_key(), a picture goes out through
 * app_draw(), so that all of it can be tested as plain functions.
 *
 * Ownership: the struct is the caller's, app_init() to app_release(). Loop thread only.
 */
#ifndef KILN_TUI_APP_H
#define KILN_TUI_APP_H

#include "engine/command.h"
#include "tui/estimate.h"
#include "tui/keys.h"
#include "tui/layout.h"
#include "tui/log_view.h"
#include "tui/look.h"
#include "tui/model.h"
#include "tui/own.h"
#include "tui/past.h"
#include "tui/screen.h"
#include "tui/settings.h"
#include "tui/start.h"
#include "tui/step_list.h"
#include "tui/usage.h"

#define KEYMAP_KEYS 5
#define KEY_SPOTS   32

struct action;

/* The runs on record, as of the last answer. */
struct runs_view {
    struct arena arena; /* of the list */
    struct run_facts *v;
    size_t n;
    bool known, asking;
    uint64_t as_of;       /* app_stamp() when it was asked for */
    size_t selected, top; /* rows; the first is what happens now */
};

/* What the held step runs as, as it was when it came to be held (view_why.c). */
struct held_view {
    bool known;
    char *step;
    uint64_t state_no;
    struct step_facts facts;
};

struct cache_view {
    struct arena arena;
    struct cache_facts facts;
    bool known, asking;
    char *error; /* or NULL */
    uint64_t as_of;
    int top, rows;
};

/* What was changed in a step's box, as of the last answer. */
struct changes_view {
    char *step;                        /* that it is about; NULL: nobody has asked yet */
    char *text, *error;                /* of the answer */
    VEC(char *) lines;                 /* in text */
    size_t top, files;                 /* the first line shown; inputs that were changed */
    uint64_t as_of, state_no;          /* app_stamp() and the step's when it was asked for */
    bool known, asking, stale, nobody; /* nobody: there is nobody to ask */
    bool taking;
};

struct inputs_view {
    size_t step;        /* that it was drawn for */
    uint64_t top, rows; /* the first row shown, and how many there are */
    bool counting;      /* there is more to count before anything can be shown */
};

/* Changes of files as text, as they were asked for. */
struct diffs {
    struct diff {
        char *path, *text; /* text: NULL until it is answered */
        struct digest old, now;
        uint64_t no;
    } * v;
    size_t n, asking;
    uint64_t no; /* the last one given */
};

/* What the palette has found for what is typed. */
struct palette {
    struct palette_item {
        enum { ITEM_ACTION, ITEM_STEP, ITEM_BREAK } kind;
        size_t index; /* of an action, a step, a rule of the model */
        int score;
    } * items;
    bool breaks; /* it offers the rules to be taken away, and nothing else */
    size_t n, selected, top;
    struct area list; /* where they were drawn */
};

/* The actions that there are, those of keymap_actions first, and the keys of each, as the person
 * has bound them. */
struct keymap {
    struct action *actions;
    uint32_t (*keys)[KEYMAP_KEYS];
    size_t n;
};

struct app;

/* A line being typed at the foot of the screen: search, filter and their kin. */
struct prompt {
    const char *mark;                              /* before it: "/" */
    bool (*key)(struct app *app, uint32_t key);    /* has every key first; NULL: wants none */
    void (*changed)(struct app *app);              /* after each key; NULL: nothing */
    void (*ended)(struct app *app, bool accepted); /* the text is app->typed until it returns */
};

struct app {
    struct model model;
    const struct control *control;
    const char *const *self; /* kiln itself, with what names the project; or NULL; borrowed */
    struct screen screen;
    enum theme theme;
    struct style looks[ROLE_N]; /* of it */
    bool auto_theme, light;     /* as the background is: so it is */
    int colours;                /* that the terminal has; 0: every theme is mono */
    struct start start;         /* in place of the panes, when it says something */
    struct layout layout;
    uint64_t now_ns;
    struct estimate left; /* of the run, when the header was last drawn ... */
    uint64_t left_ns;     /* ... at that time ... */
    uint64_t left_run;    /* ... in that run */
    char *project;
    enum pane focus;
    unsigned recent[PANE_N], focused; /* layout_want's; the last number given */
    bool zoom, zoom_by_enter;
    size_t selected; /* index of a step */
    bool hands_off;  /* the person has chosen nothing yet: the selection goes with the work */
    struct step_list steps;
    size_t steps_top; /* first row shown */
    struct map marks; /* names of steps (marks.h) */
    int why_top, why_rows;
    struct diffs diffs;
    struct held_view held;
    size_t timeline_top; /* first lane shown */
    struct inputs_view inputs;
    struct runs_view runs;
    struct cache_view cache;
    struct changes_view changes;
    struct past past;
    struct usages usages;
    bool replay;               /* there is no now: all of it is of the past */
    VEC(struct asked *) asked; /* questions under way */
    /* Something has come that is to be drawn; NULL: nobody draws by himself. */
    void (*wake)(void *ctx);
    void *wake_ctx;
    uint64_t clock_ns; /* now_ns, but also while the past is looked at */
    struct log_view log;
    enum { OVERLAY_NONE, OVERLAY_HELP, OVERLAY_PALETTE } overlay;
    struct palette palette;
    struct keymap keymap;
    struct own_commands own;
    uint32_t held_key; /* the first of a pair; KEY_NONE: none */
    int help_top, help_rows, help_height;
    /* What the key line offers, and where, as it was drawn last. */
    struct key_spot {
        int x, w;
        size_t action;
    } key_spots[KEY_SPOTS];
    size_t n_key_spots;
    const struct prompt *prompt; /* what is being typed; NULL: nothing */
    struct buf typed;
    bool quitting;
    struct {
        char *step;         /* keys go there (typing.h); NULL: they are kiln's */
        bool zoomed;        /* the log has the whole screen for that */
        int rows, cols;     /* that the engine was told of ... */
        uint64_t structure; /* ... for that pipeline */
    } typing;
    bool mouse; /* the terminal tells of it; off, its own selection works */
    /* What only the owner of the terminal can do; it looks after each key. */
    bool want_suspend, want_redraw;
    struct {
        VEC(char *) argv; /* empty: none wanted; else it ends with NULL */
        char *cwd;        /* or NULL */
    } want_program;
    struct settings_choices want_keep; /* in the person's settings */
    struct buf want_clip;              /* text for the clipboard; empty: none */
    struct buf to_terminal;            /* bytes to send as they are, with the next frame */
    char *said;                        /* in place of the key line until the next key; or NULL */
};

void app_init(struct app *app, const struct control *control, const char *project, bool utf8);
void app_release(struct app *app);
void app_event(struct app *app, const struct event *event);
/* Acts on one key. */
void app_key(struct app *app, uint32_t key);
/* Acts on the mouse, as it is on what was drawn last (mouse.c). */
void app_mouse(struct app *app, const struct mouse *mouse);
/* Takes what was pasted as typed text, where there is something to type. */
void app_paste(struct app *app, const char *text, size_t n);
/* Draws everything into app->screen as it is at that wall-clock time. */
void app_draw(struct app *app, uint64_t now_ns);
/* Does a bounded piece of looking through the log; true when there is more to do. */
bool app_work(struct app *app);

/* Another one whenever a run begins or ends. */
uint64_t app_stamp(struct app *app);
/* Whether seconds pass on the screen. */
bool app_ticks(struct app *app);

/* The selected step, NULL when there are none. */
struct model_step *app_selected(struct app *app);
void app_select(struct app *app, size_t step);
void app_focus(struct app *app, enum pane pane);
/* Sets how roles look, from the next frame on. */
void app_theme(struct app *app, enum theme theme);
/* The one that goes with the terminal's background. */
void app_theme_auto(struct app *app);
/* Sends the terminal what is no part of the picture: a sequence that copies, or tells something.
 * Whole sequences only; the terminal must be one that passes over those it does not know
 * (caps.private_modes). */
void app_tell_terminal(struct app *app, const char *bytes, size_t n);
/* Forgets what it has told. */
void app_unsay(struct app *app);
/* Tells the person something that holds until the next key. */
void app_say(struct app *app, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Has a program run in the terminal, in that directory (NULL: kiln's own). */
void app_run_program(struct app *app, const char *const *argv, const char *cwd);
/* Has that word (of constant storage, as the name) kept as the setting of that name. */
void app_keep(struct app *app, const char *name, const char *word);
/* Forgets that one is wanted. */
void app_program_started(struct app *app);
/* Begins to ask for a line. */
void app_prompt(struct app *app, const struct prompt *prompt);
/* Ends it, as Enter and Esc do. */
void app_prompt_end(struct app *app, bool accepted);
void app_send(struct app *app, enum command_type type, const char *step);
/* COMMAND_BREAK or COMMAND_UNBREAK of a rule. */
void app_send_rule(struct app *app, enum command_type type, const char *rule);

#endif
