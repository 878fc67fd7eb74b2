/*
 * view_inputs.c - the files that the selected step reads: those that differ from what they were for
 * its last result first, then all.
 *
 * The engine is asked for what is to be seen and no more, however many there are.
 */
#include "tui/view.h"

#include "base/text.h"

#include <inttypes.h>
#include <string.h>

#define WORD 9
#define SIZE 9

static bool ask(const struct app *app, uint64_t from, size_t n, struct inputs_page *page)
{
    const struct control *control = app->control;
    *page = (struct inputs_page){.known = false};
    if (!control->inputs || app->selected >= app->model.steps.n)
        return false;
    control->inputs(control->ctx, app->model.steps.v[app->selected].name, from, n, page);
    return true;
}

bool inputs_work(struct app *app)
{
    struct inputs_page page;
    if (!app->inputs.counting)
        return false;
    app->inputs.counting = ask(app, 0, 0, &page) && page.counting;
    arena_release(&page.arena);
    return app->inputs.counting;
}

/* Those that come first, and the row between them and the rest. */
static uint64_t head_of(const struct inputs_page *page)
{
    uint64_t n = page->changed < INPUTS_CHANGED ? page->changed : INPUTS_CHANGED;
    return n > 0 ? n + 1 : 0;
}

static void draw_file(struct app *app, struct area area, int y, const struct input_file *file)
{
    static const struct {
        const char *word;
        enum role role;
    } changes[] = {
        [INPUT_SAME] = {"", ROLE_DIM},
        [INPUT_CHANGED] = {"changed", ROLE_WARNING},
        [INPUT_ADDED] = {"added", ROLE_NEW},
        [INPUT_REMOVED] = {"removed", ROLE_OLD},
    };
    struct buf text = BUF_INIT;
    char size[16];
    buf_add_shown(&text, file->path, strlen(file->path));
    if (file->target) {
        buf_adds(&text, " → ");
        buf_add_shown(&text, file->target, strlen(file->target));
    }
    screen_puts(&app->screen, area, 1, y, look_style(changes[file->change].role),
                changes[file->change].word);
    int x = 1 + WORD, w = area.w - x - SIZE - 2;
    screen_fit(&app->screen, area, x, y, w > 4 ? w : 4,
               look_style(file->change == INPUT_SAME ? ROLE_TEXT : ROLE_STRONG), buf_str(&text),
               true);
    if (!file->target && w > 4)
        screen_fit_right(&app->screen, area, area.w - SIZE - 1, y, SIZE, look_style(ROLE_DIM),
                         text_size(file->bytes, size));
    buf_release(&text);
}

static void draw_rows(struct app *app, struct area area, const struct inputs_page *page,
                      uint64_t from)
{
    uint64_t head = head_of(page);
    for (int y = 0; y < area.h && app->inputs.top + (uint64_t)y < app->inputs.rows; y++) {
        uint64_t row = app->inputs.top + (uint64_t)y;
        if (head > 0 && row == head - 1) {
            struct pen_row words = {&app->screen, area, 1, y};
            row_printf(&words, ROLE_DIM, "all %" PRIu64 " files", page->files);
            continue;
        }
        uint64_t at = (row < head || head == 0 ? row : row - 1) - from;
        if (at < page->n)
            draw_file(app, area, y, &page->v[at]);
    }
}

/* On as many rows as they take, broken at blanks. */
static void draw_words(struct app *app, struct area area, const char *text)
{
    for (int y = area.h > 2 ? 1 : 0; *text && y < area.h; y++) {
        size_t n = strlen(text);
        while ((int)n > area.w - 3) {
            size_t end = n;
            while (n > 0 && text[n - 1] != ' ')
                n--;
            if (n == 0) {
                n = end;
                break;
            }
            n--;
        }
        screen_put(&app->screen, area, 2, y, look_style(ROLE_DIM), text, n);
        text += n;
        text += strspn(text, " ");
    }
}

static void draw(struct app *app, struct area area)
{
    struct inputs_view *inputs = &app->inputs;
    struct inputs_page page;
    if (inputs->step != app->selected)
        inputs->top = 0;
    inputs->step = app->selected;
    /* How many come first is told with the window, so it may have to be asked for once more. */
    uint64_t from = inputs->top;
    size_t height = area.h > 0 ? (size_t)area.h : 0;
    bool asked = ask(app, from, height + 1, &page);
    uint64_t head = head_of(&page), rows = page.files + head;
    if (page.known && !page.counting) {
        inputs->rows = rows;
        if (inputs->top + height > rows)
            inputs->top = rows > height ? rows - height : 0;
        uint64_t want = inputs->top >= head && head > 0 ? inputs->top - 1 : inputs->top;
        if (want != from) {
            arena_release(&page.arena);
            from = want;
            asked = ask(app, from, height + 1, &page);
        }
    } else {
        inputs->rows = 0;
    }
    inputs->counting = page.counting;
    if (!asked)
        draw_words(app, area, "What it reads is not known here.");
    else if (page.counting)
        draw_words(app, area, "Counting …");
    else if (!page.known)
        draw_words(app, area, "Not known yet: it, or what it needs, has no result.");
    else if (page.files == 0 && page.changed == 0)
        draw_words(app, area, "It reads no files.");
    else
        draw_rows(app, area, &page, from);
    arena_release(&page.arena);
}

static void title(struct app *app, struct buf *left, struct buf *right)
{
    struct inputs_page page;
    const struct model_step *step = app_selected(app);
    char size[16];
    buf_adds(left, "Inputs");
    if (step)
        buf_addf(left, ": %s", step->name);
    ask(app, 0, 0, &page);
    if (page.known && !page.counting) {
        if (page.changed > 0)
            buf_addf(right, "%" PRIu64 " changed, ", page.changed);
        buf_addf(right, "%" PRIu64 " file%s, %s", page.files, page.files == 1 ? "" : "s",
                 text_size(page.bytes, size));
        if (!page.current)
            buf_adds(right, ", as of its last result");
        else if (page.unread)
            buf_adds(right, ", changing");
        else if (app->past.id)
            buf_adds(right, ", as they are now");
    }
    arena_release(&page.arena);
}

static void move(struct app *app, enum motion motion, int amount)
{
    struct inputs_view *inputs = &app->inputs;
    int height = app->layout.panes[PANE_INPUTS].body.h;
    uint64_t most = inputs->rows > (uint64_t)height ? inputs->rows - (uint64_t)height : 0;
    inputs->top = motion_to(motion, amount, height, inputs->top, most);
}

const struct view view_inputs = {"inputs", title, draw, move, NULL};
