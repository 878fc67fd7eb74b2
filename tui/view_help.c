#include "tui/keymap.h"
#include "tui/view.h"

#include <string.h>

#define KEYS_WIDTH 16
#define WIDTH      72

/* Every row of the help, headings and blanks among them, drawn where it is seen; returns their number. */
static int draw_rows(struct app *app, struct area area, int top)
{
    const char *group = "";
    int count = 0;
    struct buf keys = BUF_INIT;
    for (size_t i = 0; i < keymap_n; i++) {
        const struct action *action = &keymap_actions[i];
        if (!action->help)
            continue;
        if (strcmp(action->group, group) != 0) {
            if (count > 0)
                count++;
            group = action->group;
            screen_puts(&app->screen, area, 1, count++ - top, look_style(ROLE_FOCUS), group);
        }
        buf_reset(&keys);
        keymap_keys(action, &keys);
        screen_fit(&app->screen, area, 3, count - top, KEYS_WIDTH - 1, look_style(ROLE_KEY),
                   buf_str(&keys), false);
        screen_fit(&app->screen, area, 3 + KEYS_WIDTH, count - top, area.w - KEYS_WIDTH - 4,
                   look_style(ROLE_TEXT), action->help, false);
        count++;
    }
    buf_release(&keys);
    return count;
}

static void draw(struct app *app, struct area screen)
{
    int w = screen.w < WIDTH + 4 ? screen.w : WIDTH + 4;
    struct area nothing = {0, 0, 0, 0};
    app->help_rows = draw_rows(app, nothing, 0);
    int h = screen.h - 1 < app->help_rows + 2 ? screen.h - 1 : app->help_rows + 2;
    struct area box = {(screen.w - w) / 2, (screen.h - 1 - h) / 2, w, h};
    struct area inner = {box.x + 2, box.y + 1, w - 4, h - 2};
    int most = app->help_rows > inner.h ? app->help_rows - inner.h : 0;
    if (app->help_top > most)
        app->help_top = most;
    struct style rule = look_style(ROLE_RULE);
    for (int y = 0; y < h; y++) {
        screen_rule(&app->screen, box, 0, y, w, rule, " ");
        screen_puts(&app->screen, box, 0, y, rule, "│");
        screen_puts(&app->screen, box, w - 1, y, rule, "│");
    }
    screen_rule(&app->screen, box, 0, 0, w, rule, "─");
    screen_rule(&app->screen, box, 0, h - 1, w, rule, "─");
    screen_puts(&app->screen, box, 0, 0, rule, "┌");
    screen_puts(&app->screen, box, w - 1, 0, rule, "┐");
    screen_puts(&app->screen, box, 0, h - 1, rule, "└");
    screen_puts(&app->screen, box, w - 1, h - 1, rule, "┘");
    screen_puts(&app->screen, box, 2, 0, look_style(ROLE_FOCUS), " Help ");
    if (most > 0) {
        struct pen_row row = {&app->screen, box, w - 14, 0};
        row_printf(&row, ROLE_DIM, " %d/%d ", app->help_top + inner.h, app->help_rows);
    }
    draw_rows(app, inner, app->help_top);
}

static void title(struct app *app, struct buf *left, struct buf *right)
{
    (void)app;
    (void)right;
    buf_adds(left, "Help");
}

static void move(struct app *app, enum motion motion, int amount)
{
    int height = app->screen.rows - 3;
    int most = app->help_rows > height ? app->help_rows - height : 0;
    int to = app->help_top + motion_lines(motion, amount, height);
    if (motion == MOVE_START || to < 0)
        to = 0;
    if (motion == MOVE_END || to > most)
        to = most;
    app->help_top = to;
}

const struct view view_help = {title, draw, move};
