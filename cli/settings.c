#include "cli/settings.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "config/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MOST_BYTES (1U << 20)

static struct config_words words(const char *const *v)
{
    struct config_words out = {v, 0};
    while (v[out.n])
        out.n++;
    return out;
}

static void take(struct cli_settings *out, const struct config_settings *said)
{
    if (said->theme)
        settings_set_theme(&out->tui, said->theme);
    if (said->notify)
        settings_set_notify(&out->tui, said->notify);
    if (said->steps)
        settings_set_steps(&out->tui, said->steps);
    if (said->sort)
        settings_set_sort(&out->tui, said->sort);
    if (said->notify_after_ms)
        out->tui.notify_after_ms = said->notify_after_ms;
    if (said->mouse != CONFIG_UNSAID)
        out->tui.mouse = said->mouse == CONFIG_YES;
    if (said->screen_reader != CONFIG_UNSAID)
        out->screen_reader = said->screen_reader == CONFIG_YES;
    for (size_t i = 0; i < said->n_commands; i++) {
        const struct config_command *command = &said->commands[i];
        settings_add_command(&out->tui, command->name, command->keys, command->n_keys,
                             command->run);
    }
    for (size_t i = 0; i < said->n_keys; i++)
        settings_add_keys(&out->tui, said->keys[i].action, said->keys[i].keys, said->keys[i].n);
}

static struct config_settings_known what_is_known(struct arena *arena)
{
    size_t n = settings_n_actions();
    return (struct config_settings_known){.themes = words(settings_themes),
                                          .notify = words(settings_notify),
                                          .forms = words(settings_forms),
                                          .sorts = words(settings_sorts),
                                          .actions = {settings_actions(arena), n},
                                          .action_help = {settings_action_help(arena), n},
                                          .key_names = words(settings_key_names(arena)),
                                          .most_keys = settings_most_keys(),
                                          .is_key = settings_is_key};
}

void cli_settings_schema(struct buf *out)
{
    struct arena arena = ARENA_INIT;
    struct config_settings_known known = what_is_known(&arena);
    config_settings_schema(&known, out);
    arena_release(&arena);
}

/* The path as people write it. */
static char *shown(const char *path)
{
    const char *home = getenv("HOME");
    size_t n = home ? strlen(home) : 0;
    if (n > 1 && strncmp(path, home, n) == 0 && path[n] == '/')
        return mem_printf("~%s", path + n);
    return mem_strdup(path);
}

static int keep_in(const char *file, const char *shown, const char *name, const char *word,
                   struct err *err)
{
    struct buf text = BUF_INIT, now = BUF_INIT;
    struct stat st;
    int code = stat(file, &st) < 0 ? err_sys(err, errno, "cannot look at %s", shown) : 0;
    if (code == 0 && !S_ISREG(st.st_mode))
        code = err_set(err, ERR_CONFIG, "%s is no file", shown);
    if (code == 0)
        code = file_read(file, MOST_BYTES, &text, err);
    if (code == 0)
        code = config_settings_put(buf_str(&text), text.len, shown, name, word, &now, err);
    if (code == 0)
        code = file_write_atomic(file, now.data, now.len, 0600, err);
    if (code == 0 && chmod(file, st.st_mode & 07777) < 0)
        code = err_sys(err, errno, "cannot give %s its mode back", shown);
    buf_release(&text);
    buf_release(&now);
    return code;
}

static int keep_in_new(const char *file, const char *name, const char *word, struct err *err)
{
    static const char none[] = "{}\n";
    struct buf text = BUF_INIT;
    char *dir = mem_strndup(file, (size_t)(strrchr(file, '/') - file));
    int code = file_mkdirs(dir, 0700, err);
    if (code == 0)
        code = config_settings_put(none, strlen(none), file, name, word, &text, err);
    if (code == 0)
        code = file_write_atomic(file, text.data, text.len, 0644, err);
    buf_release(&text);
    free(dir);
    return code;
}

int cli_settings_keep(const char *file, const char *shown, const char *name, const char *word,
                      struct err *err)
{
    struct stat st;
    char *real = realpath(file, NULL);
    int code;
    if (real)
        code = keep_in(real, shown, name, word, err);
    else if (errno == ENOENT && lstat(file, &st) < 0 && errno == ENOENT)
        code = keep_in_new(file, name, word, err);
    else
        code = err_sys(err, errno ? errno : ENOENT, "cannot find out what %s is", shown);
    free(real);
    return code;
}

static void read_settings(struct cli_settings *out, const char *path)
{
    struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    struct config_settings *said = NULL;
    struct arena arena = ARENA_INIT;
    char *name = shown(path);
    struct config_settings_known known = what_is_known(&arena);
    int code = file_read(path, MOST_BYTES, &text, &err);
    if (code == 0)
        code = config_settings_parse(buf_str(&text), text.len, name, &known, &said, &err);
    if (code == 0)
        take(out, said);
    else if (err.errnum != ENOENT && err.errnum != ENOTDIR)
        out->problem = mem_printf("%s; kiln goes on as if there were no settings", err_text(&err));
    config_settings_free(said);
    err_release(&err);
    arena_release(&arena);
    free(name);
    buf_release(&text);
}

void cli_settings_load(struct cli_settings *settings)
{
    *settings = (struct cli_settings){0};
    settings_init(&settings->tui);
    char *dir = path_xdg("XDG_CONFIG_HOME", ".config");
    if (dir) {
        char *path = mem_printf("%s/config.json", dir);
        read_settings(settings, path);
        settings->tui.file_shown = shown(path);
        settings->tui.file = path;
        settings->tui.keep = cli_settings_keep;
    }
    free(dir);
    const char *reader = getenv("KILN_SCREEN_READER");
    if (reader && *reader)
        settings->screen_reader = strcmp(reader, "0") != 0;
}

void cli_settings_release(struct cli_settings *settings)
{
    settings_release(&settings->tui);
    free(settings->problem);
    settings->problem = NULL;
}
