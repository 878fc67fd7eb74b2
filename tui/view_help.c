#include "tui/keymap.h"
#include "tui/view.h"
#include "tui/width.h"

#include <string.h>

#define KEYS_WIDTH 16
#define WIDTH      84 /* of the text in a box */

/* Whether there is room for a box over the panes. */
static bool has_box(struct area screen)
{
    return screen.w >= WIDTH + 24;
}

/* Every row of the help, headings and blanks among them, drawn where it is seen; returns their
 * number. */
static int draw_rows(struct app *app, struct area area, int top)
{
    const char *group = "";
    int count = 0;
    int room = area.w - KEYS_WIDTH - 4;
    struct buf keys = BUF_INIT;
    for (size_t i = 0; i < app->keymap.n; i++) {
        const struct action *action = &app->keymap.actions[i];
        if (!action->help || keymap_key(&app->keymap, action) == KEY_NONE)
            continue;
        if (strcmp(action->group, group) != 0) {
            if (count > 0)
                count++;
            group = action->group;
            screen_puts(&app->screen, area, 1, count++ - top, look_style(ROLE_FOCUS), group);
        }
        buf_reset(&keys);
        keymap_keys(&app->keymap, action, &keys);
        screen_fit(&app->screen, area, 3, count - top, KEYS_WIDTH - 1, look_style(ROLE_KEY),
                   buf_str(&keys), false);
        for (const char *text = action->help; *text; count++) {
            size_t n = width_row(text, strlen(text), room > 0 ? room : 1);
            screen_put(&app->screen, area, 3 + KEYS_WIDTH, count - top, look_style(ROLE_TEXT), text,
                       n);
            text += n;
        }
    }
    buf_release(&keys);
    return count;
}

/* Where there is room, a box over the panes; else the whole body, without the noise at its sides.
 */
static struct area frame(struct app *app, struct area screen)
{
    struct style rule = look_style(ROLE_RULE);
    struct screen *s = &app->screen;
    int h = screen.h - 2 < app->help_rows + 2 ? screen.h - 2 : app->help_rows + 2;
    if (!has_box(screen)) {
        struct area body = {0, 1, screen.w, screen.h - 2};
        for (int y = 0; y < body.h; y++)
            screen_rule(s, body, 0, y, body.w, look_style(ROLE_TEXT), " ");
        screen_rule(s, body, 0, 0, body.w, rule, "─");
        screen_puts(s, body, 1, 0, look_style(ROLE_FOCUS), " Help ");
        return (struct area){0, 2, body.w, body.h - 1};
    }
    int w = WIDTH + 4;
    struct area box = {(screen.w - w) / 2, (screen.h - h) / 2, w, h};
    for (int y = 0; y < h; y++) {
        screen_rule(s, box, 0, y, w, rule, " ");
        screen_puts(s, box, 0, y, rule, "│");
        screen_puts(s, box, w - 1, y, rule, "│");
    }
    screen_rule(s, box, 1, 0, w - 2, rule, "─");
    screen_rule(s, box, 1, h - 1, w - 2, rule, "─");
    screen_puts(s, box, 0, 0, rule, "┌");
    screen_puts(s, box, w - 1, 0, rule, "┐");
    screen_puts(s, box, 0, h - 1, rule, "└");
    screen_puts(s, box, w - 1, h - 1, rule, "┘");
    screen_puts(s, box, 2, 0, look_style(ROLE_FOCUS), " Help ");
    return (struct area){box.x + 2, box.y + 1, w - 4, h - 2};
}

static void draw(struct app *app, struct area screen)
{
    struct area nothing = {0, 0, has_box(screen) ? WIDTH : screen.w, 0};
    app->help_rows = draw_rows(app, nothing, 0);
    struct area inner = frame(app, screen);
    app->help_height = inner.h;
    int most = app->help_rows > inner.h ? app->help_rows - inner.h : 0;
    if (app->help_top > most)
        app->help_top = most;
    if (most > 0) {
        struct area title = {inner.x, inner.y - 1, inner.w, 1};
        struct pen_row row = {&app->screen, title, inner.w - 12, 0};
        row_printf(&row, ROLE_TEXT, " %d/%d ", app->help_top + inner.h, app->help_rows);
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
    int height = app->help_height;
    int most = app->help_rows > height ? app->help_rows - height : 0;
    app->help_top = (int)motion_to(motion, amount, height, (uint64_t)app->help_top, (uint64_t)most);
}

const struct view view_help = {"help", title, draw, move, NULL};
