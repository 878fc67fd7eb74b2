/*
 * view_changes.c - what was changed in the box that the selected step's failure left, as a diff.
 *
 * Asked for when it is shown for another step, when a run begins or ends, when the step comes into
 * another state (held once more, after it was tried again), when a program had the terminal (a
 * shell, perhaps), and by its key.
 */
#include "tui/acts.h"
#include "tui/view.h"

#include "base/mem.h"
#include "tui/asking.h"
#include "tui/past.h"
#include "tui/width.h"

#include <stdlib.h>
#include <string.h>

void changes_release(struct changes_view *changes)
{
    free(changes->step);
    free(changes->text);
    free(changes->error);
    vec_release(&changes->lines);
    *changes = (struct changes_view){0};
}

/* -- asking ------------------------------------------------------------------------------------ */

static void answered(struct app *app, struct question *question)
{
    if (!app)
        return;
    struct changes_view *changes = &app->changes;
    changes->asking = false;
    free(changes->text);
    free(changes->error);
    vec_clear(&changes->lines);
    changes->known = true;
    changes->files = question->changed;
    changes->text = question->found && question->text ? mem_strdup(question->text) : NULL;
    changes->error = question->found ? NULL : mem_strdup(question->error ? question->error : "");
    for (char *line = changes->text; line && *line;) {
        char *end = line + strcspn(line, "\n");
        vec_push(&changes->lines, line);
        line = *end ? end + 1 : end;
        *end = '\0';
    }
}

void changes_forget(struct app *app)
{
    app->changes.stale = true;
}

/* Whether what is known is about the step that is selected. */
static bool is_about(const struct changes_view *changes, const struct model_step *step)
{
    return step && changes->step && strcmp(changes->step, step->name) == 0;
}

static void sync_changes(struct app *app, const struct model_step *step)
{
    struct changes_view *changes = &app->changes;
    uint64_t stamp = app_stamp(app);
    bool other = !is_about(changes, step);
    if (changes->asking || (!other && !changes->stale && changes->as_of == stamp &&
                            changes->state_no == step->state_no))
        return;
    if (other) {
        changes_release(changes);
        changes->step = mem_strdup(step->name);
    }
    changes->stale = false;
    changes->as_of = stamp;
    changes->state_no = step->state_no;
    changes->asking =
        app_ask(app, &(struct question){.kind = QUESTION_BOX, .step = step->name}, answered);
    changes->nobody = !changes->asking;
}

/* -- taking ------------------------------------------------------------------------------------ */

static void taken(struct app *app, struct question *question)
{
    if (!app)
        return;
    app->changes.taking = false;
    changes_forget(app);
    if (!question->found)
        app_say(app, "%s", question->error ? question->error : "that could not be done");
    else if (question->changed && app->changes.step)
        app_say(app, "%s; r runs %s again", question->text, app->changes.step);
    else
        app_say(app, "%s", question->text);
}

bool act_has_box(const struct app *app)
{
    const struct model_step *step = act_step(app);
    return step && step->box && (step->state == STATE_FAILED || step->held_failed);
}

void act_changes(struct app *app)
{
    changes_forget(app);
    app_focus(app, PANE_CHANGES);
}

bool act_can_take(const struct app *app)
{
    const struct changes_view *changes = &app->changes;
    return is_about(changes, act_step(app)) && changes->files > 0 && !changes->error &&
           !changes->taking && !app->past.id && !app->replay && !app->quitting;
}

void act_take(struct app *app)
{
    struct changes_view *changes = &app->changes;
    changes->taking =
        app_ask(app, &(struct question){.kind = QUESTION_TAKE, .step = changes->step}, taken);
}

/* -- drawing ----------------------------------------------------------------------------------- */

static void put_file(struct pen_row *row, const char *line)
{
    size_t word = strcspn(line, " ");
    char *what = mem_strndup(line, word);
    bool made = strcmp(what, "made") == 0;
    for (char *c = what; *c; c++)
        *c = *c == '-' ? ' ' : *c;
    row_put(row, made ? ROLE_DIM : ROLE_WARNING, what);
    row->x = row->x < 10 ? 10 : row->x + 1;
    row_put(row, made ? ROLE_TEXT : ROLE_STRONG, line + word + (line[word] == ' '));
    free(what);
}

static void put_line(struct pen_row *row, const char *line)
{
    struct buf text = BUF_INIT;
    if (*line == '=') {
        row->x = 1;
        put_file(row, line + 1);
        return;
    }
    row->x = 3;
    buf_add_shown(&text, line + 1, strlen(line + 1));
    switch (*line) {
    case '-': row_printf(row, ROLE_OLD, "− %s", buf_str(&text)); break;
    case '+': row_printf(row, ROLE_NEW, "+ %s", buf_str(&text)); break;
    case '@': row_printf(row, ROLE_DIM, "@%s", buf_str(&text)); break;
    case '#': row_put(row, ROLE_DIM, buf_str(&text)); break;
    default: row_printf(row, ROLE_DIM, "  %s", buf_str(&text)); break;
    }
    buf_release(&text);
}

/* In place of lines; NULL: there are some. */
static const char *word_for_none(const struct app *app, const struct model_step *step)
{
    const struct changes_view *changes = &app->changes;
    if (app->past.id || app->replay)
        return "Boxes are of what happens now, not of a run of the past.";
    if (changes->nobody)
        return "Nothing is known of boxes here.";
    if (!changes->known || !is_about(changes, step))
        return "Looking …";
    return changes->error ? changes->error
           : changes->lines.n == 0
               ? "Nothing was changed in the box that its failure left. s opens "
                 "a shell in it."
               : NULL;
}

static void put_sentence(struct app *app, struct area area, const char *text)
{
    struct pen_row row = {&app->screen, area, 1, 0};
    while (*text && row.y < area.h) {
        size_t n = width_row(text, strlen(text), area.w > 2 ? area.w - 2 : 1);
        screen_put(&app->screen, area, 1, row.y++, look_style(ROLE_DIM), text, n);
        text += n;
        text += strspn(text, " ");
    }
}

static void draw(struct app *app, struct area area)
{
    struct changes_view *changes = &app->changes;
    const struct model_step *step = app_selected(app);
    if (!step)
        return;
    if (!app->past.id && !app->replay)
        sync_changes(app, step);
    const char *none = word_for_none(app, step);
    if (none) {
        put_sentence(app, area, none);
        return;
    }
    size_t room = area.h > 0 ? (size_t)area.h : 0;
    size_t most = changes->lines.n > room ? changes->lines.n - room : 0;
    changes->top = changes->top > most ? most : changes->top;
    for (size_t i = changes->top; i < changes->lines.n && i - changes->top < room; i++) {
        struct pen_row row = {&app->screen, area, 1, (int)(i - changes->top)};
        put_line(&row, changes->lines.v[i]);
    }
}

static void title(struct app *app, struct buf *left, struct buf *right)
{
    const struct changes_view *changes = &app->changes;
    const struct model_step *step = app_selected(app);
    buf_adds(left, "Changes");
    if (!step)
        return;
    buf_addf(left, ": %s", step->name);
    if (word_for_none(app, step))
        return;
    buf_addf(right, "%zu file%s", changes->files, changes->files == 1 ? "" : "s");
    size_t height = (size_t)app->layout.panes[PANE_CHANGES].body.h;
    if (changes->lines.n > height && height > 0)
        buf_addf(right, "  %zu/%zu", changes->top + height, changes->lines.n);
}

static void move(struct app *app, enum motion motion, int amount)
{
    struct changes_view *changes = &app->changes;
    int height = app->layout.panes[PANE_CHANGES].body.h;
    size_t room = height > 0 ? (size_t)height : 0;
    size_t most = changes->lines.n > room ? changes->lines.n - room : 0;
    changes->top = (size_t)motion_to(motion, amount, height, changes->top, most);
}

const struct view view_changes = {"changes", title, draw, move, NULL};
