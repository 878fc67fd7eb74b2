#include "tui/typing.h"

#include "base/mem.h"
#include "tui/acts.h"
#include "tui/logfile.h"
#include "tui/paper.h"
#include "tui/view.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A log pane that is smaller has the whole screen while somebody types. */
#define ROOMY_ROWS 24
#define ROOMY_COLS 80
/* Who computes is rarely silent for so long, right behind the half of a line. */
#define SILENT_NS UINT64_C(1000000000)

bool typing_on(const struct app *app)
{
    return app->typing.step != NULL;
}

const struct model_step *typing_step(const struct app *app)
{
    const struct model *model = &app->model;
    size_t at = model_find(model, app->typing.step);
    return at < model->steps.n ? &model->steps.v[at] : NULL;
}

bool typing_over(const struct app *app)
{
    const struct model_step *step = typing_on(app) ? typing_step(app) : NULL;
    return !step || step->state != STATE_RUNNING;
}

bool typing_here(const struct app *app)
{
    return !typing_over(app) && app->log.own &&
           app->selected == (size_t)(typing_step(app) - app->model.steps.v);
}

bool typing_may_wait(const struct app *app, const struct model_step *step)
{
    char last = '\n';
    if (!step->interactive || step->state != STATE_RUNNING || !step->log || step->log_bytes == 0 ||
        app->past.id || app->replay || app->now_ns < step->log_ns + SILENT_NS)
        return false;
    int fd = open(step->log, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return false;
    bool known = pread(fd, &last, 1, (off_t)(step->log_bytes - 1)) == 1;
    close(fd);
    return known && last != '\n';
}

size_t typing_asks(const struct app *app)
{
    const struct model *model = &app->model;
    size_t i = 0;
    while (i < model->steps.n && !typing_may_wait(app, &model->steps.v[i]))
        i++;
    return i;
}

bool act_can_type(const struct app *app)
{
    const struct model_step *step = act_step(app);
    return step && step->interactive && step->state == STATE_RUNNING && !app->quitting;
}

const char *typing_refusal(const struct app *app)
{
    const struct model_step *step = act_step(app);
    return step && step->interactive
               ? "it does not run: what is typed goes to steps that do"
               : "it takes no input: \"interactive\": true in kiln.json gives a step a terminal";
}

void act_type(struct app *app)
{
    char *step = mem_strdup(act_step(app)->name);
    past_close(app);
    app_select(app, model_find(&app->model, step));
    app->hands_off = false;
    app_focus(app, PANE_LOG);
    log_follow(app, true);
    app->log.left = 0;
    app->typing.zoomed = !app->zoom && (app->log.rows < ROOMY_ROWS || app->log.cols < ROOMY_COLS);
    app->zoom = app->zoom || app->typing.zoomed;
    app->typing.step = step;
    app_say(app, "keys go to %s; ^] comes back to kiln", step);
}

void typing_release(struct app *app)
{
    free(app->typing.step);
    app->typing.step = NULL;
}

static void end(struct app *app)
{
    if (app->typing.zoomed)
        app->zoom = false;
    app->typing.zoomed = false;
    typing_release(app);
    app_say(app, "keys are kiln's again");
}

static void type_bytes(struct app *app, const char *bytes, size_t n)
{
    while (n > 0) {
        struct command command = {.type = COMMAND_INPUT,
                                  .step = app->typing.step,
                                  .bytes = bytes,
                                  .n = n < COMMAND_INPUT_MAX ? n : COMMAND_INPUT_MAX};
        app->control->send(app->control->ctx, &command);
        bytes += command.n;
        n -= command.n;
    }
}

/* Terminals send the arrows, Home and End in two ways, as the program has asked for. */
static void send_key(struct app *app, const struct key_input *input, unsigned modes)
{
    char bytes[3] = {0x1b, modes & PAPER_CURSOR_KEYS ? 'O' : '['};
    if (input->n == 3 && (input->text[1] == '[' || input->text[1] == 'O') &&
        memchr("ABCDHF", input->text[2], 6)) {
        bytes[2] = input->text[2];
        type_bytes(app, bytes, sizeof bytes);
    } else {
        type_bytes(app, input->text, input->n);
    }
}

static bool is_bracket(const struct key_input *input)
{
    return input->n == strlen(KEYS_PASTE_BEGIN) &&
           (memcmp(input->text, KEYS_PASTE_BEGIN, input->n) == 0 ||
            memcmp(input->text, KEYS_PASTE_END, input->n) == 0);
}

bool typing_take(struct app *app, const struct key_input *input)
{
    bool runs = !typing_over(app);
    unsigned modes = logfile_modes(app->log.lines.file);
    if (input->kind != INPUT_KEY && input->kind != INPUT_TEXT && input->kind != INPUT_BYTES)
        return false;
    app_unsay(app);
    if (input->kind == INPUT_KEY &&
        (input->key == TYPING_BACK ||
         (!runs && (input->key == KEY_ESC || input->key == KEY_ENTER)))) {
        end(app);
        return true;
    }
    if (!runs)
        return true;
    log_follow(app, true);
    if (input->kind == INPUT_KEY)
        send_key(app, input, modes);
    else if (input->kind == INPUT_TEXT || !is_bracket(input) || (modes & PAPER_PASTE))
        type_bytes(app, input->text, input->n);
    return true;
}

static bool any_interactive(const struct app *app)
{
    const struct model *model = &app->model;
    for (size_t i = 0; i < model->steps.n; i++)
        if (model->steps.v[i].interactive)
            return true;
    return false;
}

void typing_size(struct app *app)
{
    const struct log_view *log = &app->log;
    int rows = log->rows < PAPER_ROWS ? log->rows : PAPER_ROWS;
    struct command command = {
        .type = COMMAND_TERMINAL, .rows = (uint16_t)rows, .cols = (uint16_t)log->cols};
    if (app->past.id || app->replay || !app->layout.panes[PANE_LOG].shown || rows <= 0 ||
        log->cols <= 0 || log->cols > UINT16_MAX)
        return;
    if (app->typing.rows == rows && app->typing.cols == log->cols &&
        app->typing.structure == app->model.structure)
        return;
    app->typing.rows = rows;
    app->typing.cols = log->cols;
    app->typing.structure = app->model.structure;
    if (any_interactive(app))
        app->control->send(app->control->ctx, &command);
}

void typing_draw(struct app *app, struct area area)
{
    struct pen_row row = {&app->screen, area, 1, 0};
    char name[16];
    key_name(TYPING_BACK, name);
    if (!typing_over(app)) {
        row_put(&row, ROLE_KEY, name);
        row_put(&row, ROLE_DIM, " back to kiln  ");
        row_printf(&row, ROLE_STRONG, "keys go to %s", app->typing.step);
    } else {
        row_printf(&row, ROLE_KEY, "%s Enter", name);
        row_put(&row, ROLE_DIM, " back to kiln  ");
        row_printf(&row, ROLE_STRONG, "%s does not run any more", app->typing.step);
    }
}
