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
    config_settings_free(settings);
    err_release(&err);
    return 0;
}
