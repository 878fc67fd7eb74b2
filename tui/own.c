#include "tui/own.h"

#include "base/mem.h"
#include "tui/acts.h"
#include "tui/keymap.h"
#include "tui/log_private.h"
#include "tui/settings.h"

#include <stdlib.h>
#include <string.h>

/* What is filled in, where words have it in braces. */
struct filling {
    const char *name;
    char *value;       /* NULL: there is none */
    const char *error; /* then */
};
enum { FILL_STEP, FILL_FILE, FILL_LINE, FILL_RUN, FILL_LOG, FILL_ROOT, FILLINGS };

static char *copy(const char *text)
{
    return text ? mem_strdup(text) : NULL;
}

static void fill(struct app *app, struct filling fillings[FILLINGS])
{
    const struct model_step *step = app_selected(app);
    uint64_t nth;
    struct link link;
    char *file = NULL;
    bool placed = step && log_target(app, &nth, &link, &file);
    fillings[FILL_STEP] =
        (struct filling){"{step}", copy(step ? step->name : NULL), "there is no step"};
    fillings[FILL_FILE] = (struct filling){"{file}", file, "no line here names a file"};
    fillings[FILL_LINE] = (struct filling){"{line}", placed ? mem_printf("%u", link.line) : NULL,
                                           "no line here names a file"};
    fillings[FILL_RUN] =
        (struct filling){"{run}", copy(app->model.run_id), "nothing has run here yet"};
    fillings[FILL_LOG] = (struct filling){"{log}", copy(app->log.path), "this step has no log"};
    fillings[FILL_ROOT] =
        (struct filling){"{root}", copy(app->model.root), "there is no pipeline yet"};
}

/* The word with all of them filled in, or NULL: *error says why. */
static char *filled(const char *word, const struct filling fillings[FILLINGS], const char **error)
{
    struct buf out = BUF_INIT;
    while (*word) {
        size_t i = 0;
        while (i < FILLINGS && strncmp(word, fillings[i].name, strlen(fillings[i].name)) != 0)
            i++;
        if (i == FILLINGS) {
            buf_addc(&out, *word++);
        } else if (fillings[i].value) {
            buf_adds(&out, fillings[i].value);
            word += strlen(fillings[i].name);
        } else {
            *error = fillings[i].error;
            buf_release(&out);
            return NULL;
        }
    }
    return buf_detach(&out);
}

static void run(struct app *app, int which, int unused)
{
    const struct own_command *command = &app->own.v.v[which];
    struct filling fillings[FILLINGS];
    const char *error = NULL;
    VEC(char *) argv = VEC_INIT;
    (void)unused;
    fill(app, fillings);
    for (char **word = command->words; *word && !error; word++) {
        char *text = filled(*word, fillings, &error);
        if (text)
            vec_push(&argv, text);
    }
    vec_push(&argv, NULL);
    if (error)
        app_say(app, "%s: %s", command->name, error);
    else
        app_run_program(app, (const char *const *)argv.v, app->model.root);
    vec_each (char *, word, &argv)
        free(*word);
    vec_release(&argv);
    for (size_t i = 0; i < FILLINGS; i++)
        free(fillings[i].value);
}

void own_add(struct app *app, const struct settings_command *command)
{
    struct own_command own = {.name = mem_strdup(command->name)};
    struct buf help = BUF_INIT, shown = BUF_INIT;
    size_t n = 0;
    while (command->words[n])
        n++;
    own.words = mem_zalloc(n + 1, sizeof *own.words);
    for (size_t i = 0; i < n; i++) {
        own.words[i] = mem_strdup(command->words[i]);
        buf_addf(&help, "%s%s", i ? " " : "", own.words[i]);
    }
    buf_add_shown(&shown, buf_str(&help), help.len);
    own.help = buf_detach(&shown);
    buf_release(&help);
    struct action action = {.name = own.name,
                            .group = "Yours",
                            .contexts = IN_PANES,
                            .help = own.help,
                            .with = {run, (int)app->own.v.n, 0}};
    for (size_t i = 0; i < command->n_keys && i < KEYMAP_KEYS; i++)
        action.keys[i] = command->keys[i];
    vec_push(&app->own.v, own);
    keymap_add(&app->keymap, &action);
}

void own_release(struct own_commands *own)
{
    vec_each (struct own_command, command, &own->v) {
        for (char **word = command->words; *word; word++)
            free(*word);
        free(command->words);
        free(command->name);
        free(command->help);
    }
    vec_release(&own->v);
}
