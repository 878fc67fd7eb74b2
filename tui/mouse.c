/* mouse.c - what clicks and the wheel do: on panes, on what is in them, on what lies over them, and
 * on the key line.
 */
#include "tui/keymap.h"
#include "tui/view.h"

#define WHEEL_LINES 3

static bool inside(struct area area, int x, int y)
{
    return x >= area.x && x < area.x + area.w && y >= area.y && y < area.y + area.h;
}

/* PANE_N: none is there. */
static enum pane pane_at(const struct app *app, int x, int y, bool *in_body)
{
    for (enum pane pane = 0; pane < PANE_N; pane++) {
        if (!app->layout.panes[pane].shown)
            continue;
        *in_body = inside(app->layout.panes[pane].body, x, y);
        if (*in_body || inside(app->layout.panes[pane].title, x, y))
            return pane;
    }
    return PANE_N;
}

/* What the key line offers there; NULL: nothing. */
static const struct action *offered(const struct app *app, int x, int y)
{
    if (!inside(app->layout.footer, x, y) || app->prompt || app->said)
        return NULL;
    for (size_t i = 0; i < app->n_key_spots; i++)
        if (x >= app->key_spots[i].x && x < app->key_spots[i].x + app->key_spots[i].w)
            return &app->keymap.actions[app->key_spots[i].action];
    return NULL;
}

static void press(struct app *app, const struct mouse *mouse)
{
    bool in_body = false;
    enum pane pane = pane_at(app, mouse->x, mouse->y, &in_body);
    if (pane == PANE_N)
        return;
    if (app->prompt)
        app_prompt_end(app, false);
    if (app->focus != pane)
        app_focus(app, pane);
    if (!in_body || !views[pane]->click)
        return;
    struct area area = app->layout.panes[pane].body;
    views[pane]->click(app, area, mouse->x - area.x, mouse->y - area.y);
}

static void wheel(struct app *app, const struct mouse *mouse, int lines)
{
    bool in_body = false;
    enum pane pane = pane_at(app, mouse->x, mouse->y, &in_body);
    if (pane != PANE_N)
        views[pane]->move(app, MOVE_LINES, lines);
}

void app_mouse(struct app *app, const struct mouse *mouse)
{
    int lines = mouse->what == MOUSE_WHEEL_UP     ? -WHEEL_LINES
                : mouse->what == MOUSE_WHEEL_DOWN ? WHEEL_LINES
                                                  : 0;
    bool pressed = mouse->what == MOUSE_PRESS && mouse->button == 0;
    if (!lines && !pressed)
        return;
    const struct action *action = pressed ? offered(app, mouse->x, mouse->y) : NULL;
    app_unsay(app);
    if (app->start.lines.n) {
        if (action)
            keymap_run(app, action);
        else
            start_move(&app->start, MOVE_LINES, lines);
        return;
    }
    switch (app->overlay) {
    case OVERLAY_NONE:
        if (action)
            keymap_run(app, action);
        else if (lines)
            wheel(app, mouse, lines);
        else
            press(app, mouse);
        break;
    case OVERLAY_HELP:
        if (lines)
            view_help.move(app, MOVE_LINES, lines);
        else
            app->overlay = OVERLAY_NONE;
        break;
    case OVERLAY_PALETTE:
        if (lines)
            palette_move(app, lines);
        else if (!palette_click(app, mouse->x, mouse->y))
            app_prompt_end(app, false);
        break;
    }
}
