/*
 * keymap.h - the one table of what can be done (actions.c): it drives the keys, the key line and
 * the help.
 *
 * An action names itself, its keys, where it holds, its words and its function; nothing about a key
 * is said anywhere else.
 */
#ifndef KILN_TUI_KEYMAP_H
#define KILN_TUI_KEYMAP_H

#include "tui/app.h"
#include "tui/keys.h"

enum {
    IN_STEPS = 1 << PANE_STEPS,
    IN_LOG = 1 << PANE_LOG,
    IN_WHY = 1 << PANE_WHY,
    IN_PANES = (1 << PANE_N) - 1,
    IN_HELP = 1 << PANE_N,
    IN_ALL = IN_PANES | IN_HELP,
    IN_START = 1 << (PANE_N + 1), /* the screen in place of the panes */
};

#define IN_PANE(pane) (1U << (pane))

struct action {
    const char *name;           /* as settings would call it */
    const char *group;          /* heading in the help */
    uint32_t keys[KEYMAP_KEYS]; /* unless the person binds others */
    unsigned contexts;
    const char *label; /* on the key line; NULL: not there */
    const char *shown; /* the keys on the key line, where the first key is not enough; or NULL */
    int rank;          /* on a narrow key line the higher go first */
    const char *help;
    bool (*able)(const struct app *app); /* false: it would do nothing now; NULL: always able */
    void (*run)(struct app *app);        /* NULL: the other */
    struct {
        void (*run)(struct app *app, int what, int n);
        int what, n;
    } with;
    int held_rank; /* in place of rank, where the step is held; 0: the same */
};

extern const struct action keymap_actions[];
extern const size_t keymap_n;

/* Where the keys go now. */
unsigned keymap_context(const struct app *app);
/* Gives every action its own keys. */
void keymap_init(struct keymap *keymap);
void keymap_release(struct keymap *keymap);
/* The action of that key there, NULL when it has none. */
const struct action *keymap_find(const struct keymap *keymap, uint32_t key, unsigned context);
/* Whether the key begins a pair there. */
bool keymap_begins(const struct keymap *keymap, uint32_t key, unsigned context);
/* Binds the keys (n, at most KEYMAP_KEYS) to all actions of that name, in place of theirs; what
 * else had one of them in the same place loses it. False: there is no action of that name. */
bool keymap_bind(struct keymap *keymap, const char *name, const uint32_t *keys, size_t n);
/* Adds an action, which is copied, but not its words: they stay until keymap_release(). */
void keymap_add(struct keymap *keymap, const struct action *action);
/* The first key of the action, KEY_NONE when it has none. */
uint32_t keymap_key(const struct keymap *keymap, const struct action *action);
/* All keys of the action, "j Down"; added to out. */
void keymap_keys(const struct keymap *keymap, const struct action *action, struct buf *out);
/* Does it, without asking whether it would do anything. */
void keymap_do(struct app *app, const struct action *action);
/* Does it, where the keys are in a pane that has it, or in one that has. */
void keymap_run(struct app *app, const struct action *action);

#endif
