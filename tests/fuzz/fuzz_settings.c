/* Any bytes as a person's settings: taken, or refused with their place. */
#include "tests/fuzz/fuzz.h"

#include "config/settings.h"

static const char *const themes[] = {"auto", "dark", "light"};
static const char *const notify[] = {"off", "bell"};
static const char *const actions[] = {"retry", "quit"};

static bool is_key(const char *name)
{
    return name[0] && !name[1];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct config_settings_known known = {.themes = {themes, 3},
                                                .notify = {notify, 2},
                                                .actions = {actions, 2},
                                                .most_keys = 5,
                                                .is_key = is_key};
    struct config_settings *settings;
    struct err err = ERR_INIT;
    int rc =
        config_settings_parse((const char *)data, size, "config.json", &known, &settings, &err);
    CLAIM((rc == 0) == (settings != NULL));
    CLAIM(rc == 0 ? !*err_text(&err) : strncmp(err_text(&err), "config.json:", 12) == 0);
    for (size_t i = 0; settings && i < settings->n_keys; i++) {
        CLAIM(settings->keys[i].n <= 5 && strlen(settings->keys[i].action) > 0);
        for (size_t k = 0; k < settings->keys[i].n; k++)
            CLAIM(is_key(settings->keys[i].keys[k]));
    }
    struct buf put = BUF_INIT;
    /* What can be read with a theme that is a string can be read with another one. */
    int changed =
        config_settings_put((const char *)data, size, "config.json", "theme", "light", &put, NULL);
    CLAIM(rc < 0 || changed == 0);
    if (changed == 0) {
        struct config_settings *after;
        struct err again = ERR_INIT;
        int rc_after =
            config_settings_parse(buf_str(&put), put.len, "config.json", &known, &after, &again);
        CLAIM(rc < 0 || rc_after == 0);
        CLAIM(!after || strcmp(after->theme, "light") == 0);
        CLAIM(!after || !settings || after->n_keys == settings->n_keys);
        config_settings_free(after);
        err_release(&again);
    }
    buf_release(&put);
    config_settings_free(settings);
    err_release(&err);
    return 0;
}
