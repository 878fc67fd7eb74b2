#include "tui/keymap.h"

#include "base/mem.h"
#include "tui/acts.h"

#include <stdlib.h>
#include <string.h>

unsigned keymap_context(const struct app *app)
{
    return app->start.lines.n             ? IN_START
           : app->overlay == OVERLAY_HELP ? IN_HELP
                                          : IN_PANE(app->focus);
}

void keymap_init(struct keymap *keymap)
{
    keymap->n = keymap_n;
    keymap->keys = mem_alloc(keymap_n * sizeof *keymap->keys);
    keymap->actions = mem_alloc(keymap_n * sizeof *keymap->actions);
    memcpy(keymap->actions, keymap_actions, keymap_n * sizeof *keymap->actions);
    for (size_t i = 0; i < keymap_n; i++)
        memcpy(keymap->keys[i], keymap_actions[i].keys, sizeof keymap->keys[i]);
}

void keymap_release(struct keymap *keymap)
{
    free(keymap->keys);
    free(keymap->actions);
    *keymap = (struct keymap){0};
}

const struct action *keymap_find(const struct keymap *keymap, uint32_t key, unsigned context)
{
    for (size_t i = 0; i < keymap->n && key != KEY_NONE; i++)
        for (size_t k = 0; k < KEYMAP_KEYS; k++)
            if (keymap->keys[i][k] == key && (keymap->actions[i].contexts & context))
                return &keymap->actions[i];
    return NULL;
}

bool keymap_begins(const struct keymap *keymap, uint32_t key, unsigned context)
{
    for (size_t i = 0; i < keymap->n && key < 0x80; i++)
        for (size_t k = 0; k < KEYMAP_KEYS; k++)
            if (keymap->keys[i][k] >= KEY_PAIR(0, 0) &&
                keymap->keys[i][k] == KEY_PAIR(key, keymap->keys[i][k] & 0xff) &&
                (keymap->actions[i].contexts & context))
                return true;
    return false;
}

/* Leaves no holes: the first key is what the key line shows. */
static void unbind(struct keymap *keymap, uint32_t key, unsigned contexts)
{
    for (size_t i = 0; i < keymap->n; i++) {
        size_t kept = 0;
        for (size_t k = 0; k < KEYMAP_KEYS; k++) {
            uint32_t have = keymap->keys[i][k];
            if (have != key || !(keymap->actions[i].contexts & contexts))
                keymap->keys[i][kept++] = have;
        }
        for (; kept < KEYMAP_KEYS; kept++)
            keymap->keys[i][kept] = KEY_NONE;
    }
}

bool keymap_bind(struct keymap *keymap, const char *name, const uint32_t *keys, size_t n)
{
    bool found = false;
    for (size_t i = 0; i < keymap->n; i++) {
        const struct action *action = &keymap->actions[i];
        if (strcmp(action->name, name) != 0)
            continue;
        found = true;
        if (action->keys[0] == KEY_NONE && !action->help)
            continue; /* it only puts a label on the key line */
        memset(keymap->keys[i], 0, sizeof keymap->keys[i]);
        for (size_t k = 0; k < n && k < KEYMAP_KEYS; k++)
            unbind(keymap, keys[k], action->contexts);
        for (size_t k = 0; k < n && k < KEYMAP_KEYS; k++)
            keymap->keys[i][k] = keys[k];
    }
    return found;
}

void keymap_add(struct keymap *keymap, const struct action *action)
{
    size_t n = 0;
    keymap->actions = mem_realloc(keymap->actions, keymap->n + 1, sizeof *keymap->actions);
    keymap->keys = mem_realloc(keymap->keys, keymap->n + 1, sizeof *keymap->keys);
    keymap->actions[keymap->n] = *action;
    memset(keymap->keys[keymap->n++], 0, sizeof *keymap->keys);
    while (n < KEYMAP_KEYS && action->keys[n] != KEY_NONE)
        n++;
    (void)keymap_bind(keymap, action->name, action->keys, n);
}

uint32_t keymap_key(const struct keymap *keymap, const struct action *action)
{
    return keymap->keys[action - keymap->actions][0];
}

void keymap_keys(const struct keymap *keymap, const struct action *action, struct buf *out)
{
    const uint32_t *keys = keymap->keys[action - keymap->actions];
    for (size_t k = 0; k < KEYMAP_KEYS && keys[k] != KEY_NONE; k++) {
        char name[16];
        buf_addf(out, "%s%s", k ? " " : "", key_name(keys[k], name));
    }
}

void keymap_do(struct app *app, const struct action *action)
{
    if (action->run)
        action->run(app);
    else
        action->with.run(app, action->with.what, action->with.n);
}

void keymap_run(struct app *app, const struct action *action)
{
    if (!(action->contexts & keymap_context(app))) {
        for (enum pane pane = 0; pane < PANE_N; pane++) {
            if (action->contexts & IN_PANE(pane)) {
                app_focus(app, pane);
                break;
            }
        }
    }
    if (!action->able || action->able(app))
        keymap_do(app, action);
    else if (act_refusal(app, action->name))
        app_say(app, "%s", act_refusal(app, action->name));
}
