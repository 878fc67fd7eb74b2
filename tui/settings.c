#include "tui/settings.h"

#include "base/mem.h"
#include "tui/keymap.h"
#include "tui/look.h"
#include "tui/step_list.h"

#include <stdlib.h>
#include <string.h>

const char *const settings_themes[] = {"auto", "dark", "light", "high-contrast", "mono", NULL};
const char *const settings_notify[] = {"off", "bell", "desktop", NULL};
const char *const settings_forms[] = {
    [STEPS_TREE] = "tree", [STEPS_LEVELS] = "levels", [STEPS_FLAT] = "flat", [STEPS_FORMS] = NULL};
const char *const settings_sorts[] = {[SORT_PIPELINE] = "pipeline",
                                      [SORT_STATE] = "state",
                                      [SORT_DURATION] = "duration",
                                      [SORT_NAME] = "name",
                                      [SORT_PROCESSOR] = "processor",
                                      [SORT_MEMORY] = "memory",
                                      [SORTS] = NULL};

void settings_init(struct settings *settings)
{
    *settings = (struct settings){
        .theme = -1, .mouse = true, .notify = NOTIFY_BELL, .notify_after_ms = 30000};
}

void settings_release(struct settings *settings)
{
    for (size_t i = 0; i < settings->n_keys; i++) {
        free(settings->keys[i].action);
        free(settings->keys[i].keys);
    }
    free(settings->keys);
    for (size_t i = 0; i < settings->n_commands; i++) {
        struct settings_command *command = &settings->commands[i];
        for (char **word = command->words; *word; word++)
            free(*word);
        free(command->words);
        free(command->keys);
        free(command->name);
    }
    free(settings->commands);
    settings->commands = NULL;
    settings->n_commands = 0;
    free(settings->file);
    free(settings->file_shown);
    settings->file = settings->file_shown = NULL;
    settings->keys = NULL;
    settings->n_keys = 0;
}

size_t settings_n_actions(void)
{
    return keymap_n;
}

const char **settings_actions(struct arena *arena)
{
    const char **names = arena_zalloc(arena, keymap_n, sizeof *names);
    for (size_t i = 0; i < keymap_n; i++)
        names[i] = keymap_actions[i].name;
    return names;
}

const char **settings_action_help(struct arena *arena)
{
    const char **help = arena_zalloc(arena, keymap_n, sizeof *help);
    for (size_t i = 0; i < keymap_n; i++)
        help[i] = keymap_actions[i].help;
    return help;
}

const char **settings_key_names(struct arena *arena)
{
    size_t n = 0;
    char text[16];
    while (key_named(n) != KEY_NONE)
        n++;
    const char **names = arena_zalloc(arena, n + 1, sizeof *names);
    for (size_t i = 0; i < n; i++)
        names[i] = arena_strdup(arena, key_name(key_named(i), text));
    return names;
}

size_t settings_most_keys(void)
{
    return KEYMAP_KEYS;
}

bool settings_is_key(const char *name)
{
    return key_of_name(name) != KEY_NONE;
}

void settings_set_theme(struct settings *settings, const char *word)
{
    if (strcmp(word, settings_themes[0]) == 0)
        settings->theme = -1;
    for (int i = 0; i < THEME_N; i++)
        if (strcmp(word, look_themes[i]) == 0)
            settings->theme = i;
}

void settings_set_notify(struct settings *settings, const char *word)
{
    for (enum notify_how i = 0; i < NOTIFY_N; i++)
        if (strcmp(word, settings_notify[i]) == 0)
            settings->notify = i;
}

static void set_word(int *setting, const char *const *words, const char *word)
{
    for (int i = 0; words[i]; i++)
        if (strcmp(word, words[i]) == 0)
            *setting = i;
}

void settings_set_steps(struct settings *settings, const char *word)
{
    set_word(&settings->steps, settings_forms, word);
}

void settings_set_sort(struct settings *settings, const char *word)
{
    set_word(&settings->sort, settings_sorts, word);
}

void settings_choose(struct settings_choices *choices, const char *name, const char *word)
{
    size_t i = 0;
    while (i < choices->n && strcmp(choices->v[i].name, name) != 0)
        i++;
    choices->v[i] = (struct settings_choice){name, word};
    choices->n += i == choices->n;
}

void settings_add_keys(struct settings *settings, const char *action, const char *const *keys,
                       size_t n)
{
    settings->keys = mem_realloc(settings->keys, settings->n_keys + 1, sizeof *settings->keys);
    struct settings_keys *add = &settings->keys[settings->n_keys++];
    *add = (struct settings_keys){mem_strdup(action), mem_zalloc(n + 1, sizeof *add->keys), n};
    for (size_t i = 0; i < n; i++)
        add->keys[i] = key_of_name(keys[i]);
}

void settings_add_command(struct settings *settings, const char *name, const char *const *keys,
                          size_t n, const char *const *words)
{
    struct settings_command add = {
        .name = mem_strdup(name), .keys = mem_zalloc(n + 1, sizeof *add.keys), .n_keys = n};
    size_t n_words = 0;
    while (words[n_words])
        n_words++;
    add.words = mem_zalloc(n_words + 1, sizeof *add.words);
    for (size_t i = 0; i < n_words; i++)
        add.words[i] = mem_strdup(words[i]);
    for (size_t i = 0; i < n; i++)
        add.keys[i] = key_of_name(keys[i]);
    settings->commands =
        mem_realloc(settings->commands, settings->n_commands + 1, sizeof *settings->commands);
    settings->commands[settings->n_commands++] = add;
}
