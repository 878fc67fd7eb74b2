/*
 * settings.h - what a person can choose of the terminal, once for all projects.
 *
 * The file is read by whoever starts the terminal; the words that may stand in it are here.
 *
 * Ownership: the struct is the caller's, settings_init() to settings_release(). Loop thread only.
 */
#ifndef KILN_TUI_SETTINGS_H
#define KILN_TUI_SETTINGS_H

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum notify_how { NOTIFY_OFF, NOTIFY_BELL, NOTIFY_DESKTOP, NOTIFY_N };

/* Words to be kept as settings, each by its name, all of constant storage. */
struct settings_choices {
    struct settings_choice {
        const char *name, *word;
    } v[3];
    size_t n;
};

struct settings {
    int theme; /* enum theme; -1: dark or light, as the terminal says its background is */
    bool mouse;
    int steps, sort; /* enum steps_form, enum steps_sort */
    enum notify_how notify;
    uint64_t notify_after_ms; /* of runs that take at least so long */
    struct settings_keys {
        char *action;
        uint32_t *keys;
        size_t n;
    } * keys;
    size_t n_keys;
    struct settings_command {
        char *name;
        uint32_t *keys;
        size_t n_keys;
        char **words; /* ends with NULL */
    } * commands;
    size_t n_commands;
    /* The person's file, also as people write it; and what writes one choice into it, on a thread
     * of its own, in the file's words. NULL: choices are for the moment. */
    char *file, *file_shown;
    int (*keep)(const char *file, const char *shown, const char *name, const char *word,
                struct err *err);
};

/* What holds where nothing is said. */
void settings_init(struct settings *settings);
void settings_release(struct settings *settings);
/* The words there are, terminated by NULL: of themes, of ways to notify, of how and in which order
 * steps are shown. */
extern const char *const settings_themes[], *const settings_notify[NOTIFY_N + 1],
                                                *const settings_forms[], *const settings_sorts[];
/* The names of actions; what each of them does (or NULL), as many; both of the same length, which
 * is settings_n_actions. The names of keys that go by a word, terminated by NULL. In the arena. */
const char **settings_actions(struct arena *arena);
const char **settings_action_help(struct arena *arena);
size_t settings_n_actions(void);
const char **settings_key_names(struct arena *arena);
size_t settings_most_keys(void);
bool settings_is_key(const char *name);
/* Takes what such a word says; one that is none changes nothing. */
void settings_set_theme(struct settings *settings, const char *word);
void settings_set_notify(struct settings *settings, const char *word);
void settings_set_steps(struct settings *settings, const char *word);
void settings_set_sort(struct settings *settings, const char *word);
/* Adds the choice, in place of one of that name. */
void settings_choose(struct settings_choices *choices, const char *name, const char *word);
void settings_add_keys(struct settings *settings, const char *action, const char *const *keys,
                       size_t n);
/* words end with NULL. */
void settings_add_command(struct settings *settings, const char *name, const char *const *keys,
                          size_t n, const char *const *words);

#endif
