/* view_palette.c - everything that can be done, and every step, by a few letters of its name. */
#include "tui/view.h"

#include "base/mem.h"
#include "tui/acts.h"
#include "tui/fuzzy.h"
#include "tui/keymap.h"
#include "tui/width.h"

#include <stdlib.h>
#include <string.h>

#define MOST       200 /* items that are offered */
#define ROWS       12
#define KEYS_WIDTH 9 /* at least, so that what helps ends in one column mostly */

static void offer(struct palette *palette, const struct palette_item *item)
{
    /* The best first; of equals, the one that came first. */
    size_t at = palette->n;
    if (item->score < 0 || (at == MOST && palette->items[MOST - 1].score >= item->score))
        return;
    if (at == MOST)
        at--;
    else
        palette->n++;
    for (; at > 0 && palette->items[at - 1].score < item->score; at--)
        palette->items[at] = palette->items[at - 1];
    palette->items[at] = *item;
}

static bool is_offered(const struct action *action)
{
    return action->help && (action->contexts & IN_PANES) && strcmp(action->name, "palette") != 0;
}

/* Letters that are in its help count half of what they would in its name. So do those in the name
 * of what would do nothing now, for who asks for just that and is to be told why it does not. */
static int score_of(const struct app *app, const char *typed, const struct action *action)
{
    int name = fuzzy_score(typed, action->name), words = fuzzy_score(typed, action->help);
    words = words < 0 ? words : words / 2;
    if (action->able && !action->able(app))
        return *typed && name >= 0 && act_refusal(app, action->name) ? name / 2 : -1;
    return name > words ? name : words;
}

static void find(struct app *app)
{
    struct palette *palette = &app->palette;
    const char *typed = buf_str(&app->typed);
    if (!palette->items)
        palette->items = mem_alloc(MOST * sizeof *palette->items);
    palette->n = palette->selected = palette->top = 0;
    for (size_t i = 0; palette->breaks && i < act_now(app)->breaks.n; i++)
        offer(palette,
              &(struct palette_item){ITEM_BREAK, i, fuzzy_score(typed, act_now(app)->breaks.v[i])});
    if (palette->breaks)
        return;
    for (size_t i = 0; i < app->keymap.n; i++) {
        const struct action *action = &app->keymap.actions[i];
        if (is_offered(action))
            offer(palette, &(struct palette_item){ITEM_ACTION, i, score_of(app, typed, action)});
    }
    for (size_t i = 0; i < app->model.steps.n && *typed; i++)
        offer(palette,
              &(struct palette_item){ITEM_STEP, i, fuzzy_score(typed, app->model.steps.v[i].name)});
}

void palette_move(struct app *app, int rows)
{
    struct palette *palette = &app->palette;
    long to = (long)palette->selected + rows;
    if (to >= (long)palette->n)
        to = (long)palette->n - 1;
    palette->selected = to < 0 ? 0 : (size_t)to;
}

static bool key(struct app *app, uint32_t key)
{
    bool down = key == KEY_DOWN || key == KEY_TAB || key == KEY_CTRL('n');
    bool up = key == KEY_UP || key == KEY_BACK_TAB || key == KEY_CTRL('p');
    if (down || up)
        palette_move(app, down ? 1 : -1);
    return down || up;
}

static void ended(struct app *app, bool accepted)
{
    const struct palette *palette = &app->palette;
    app->overlay = OVERLAY_NONE;
    if (!accepted || palette->selected >= palette->n)
        return;
    const struct palette_item *item = &palette->items[palette->selected];
    if (item->kind == ITEM_ACTION) {
        keymap_run(app, &app->keymap.actions[item->index]);
    } else if (item->kind == ITEM_BREAK && item->index < act_now(app)->breaks.n) {
        char *rule = mem_strdup(act_now(app)->breaks.v[item->index]);
        app_send_rule(app, COMMAND_UNBREAK, rule);
        app_say(app, "taken away: %s", rule);
        free(rule);
    } else if (item->kind == ITEM_STEP && item->index < app->model.steps.n) {
        app->hands_off = false;
        app_select(app, item->index);
        app_focus(app, PANE_STEPS);
    }
}

static const struct prompt palette_prompt = {":", key, find, ended};

static void open_with(struct app *app, bool breaks)
{
    app->palette.breaks = breaks;
    app->overlay = OVERLAY_PALETTE;
    app_prompt(app, &palette_prompt);
    find(app);
}

void palette_open(struct app *app)
{
    open_with(app, false);
}

void palette_open_breaks(struct app *app)
{
    open_with(app, true);
}

const char *palette_name(const struct app *app)
{
    const struct palette *palette = &app->palette;
    if (palette->selected >= palette->n)
        return "";
    size_t index = palette->items[palette->selected].index;
    switch (palette->items[palette->selected].kind) {
    case ITEM_STEP: return index < app->model.steps.n ? app->model.steps.v[index].name : "";
    case ITEM_BREAK: return index < act_now(app)->breaks.n ? act_now(app)->breaks.v[index] : "";
    default: return app->keymap.actions[index].name;
    }
}

static void draw_item(struct app *app, struct area area, int y, size_t index)
{
    const struct palette_item *item = &app->palette.items[index];
    struct screen *screen = &app->screen;
    struct buf keys = BUF_INIT;
    if (item->kind == ITEM_BREAK && item->index < act_now(app)->breaks.n) {
        const char *rule = act_now(app)->breaks.v[item->index];
        buf_add_shown(&keys, rule, strlen(rule));
        screen_fit(screen, area, 1, y, area.w - 22, look_style(ROLE_TEXT), buf_str(&keys), false);
        screen_fit_right(screen, area, area.w - 20, y, 19, look_style(ROLE_DIM),
                         "Enter takes it away");
    } else if (item->kind == ITEM_STEP && item->index < app->model.steps.n) {
        const struct model_step *step = &app->model.steps.v[item->index];
        buf_add_shown(&keys, step->name, strlen(step->name));
        screen_fit(screen, area, 1, y, area.w - 12, look_style(ROLE_TEXT), buf_str(&keys), false);
        screen_fit_right(screen, area, area.w - 10, y, 9, look_style(ROLE_DIM), "step");
    } else if (item->kind == ITEM_ACTION) {
        const struct action *action = &app->keymap.actions[item->index];
        keymap_keys(&app->keymap, action, &keys);
        int wide = width_text(buf_str(&keys), keys.len);
        wide = wide < KEYS_WIDTH ? KEYS_WIDTH : wide;
        screen_fit(screen, area, 1, y, 19, look_style(ROLE_TEXT), action->name, false);
        screen_fit(screen, area, 21, y, area.w - wide - 23, look_style(ROLE_DIM), action->help,
                   false);
        screen_fit_right(screen, area, area.w - wide - 1, y, wide, look_style(ROLE_KEY),
                         buf_str(&keys));
    }
    if (index == app->palette.selected) {
        struct style all = look_style(ROLE_SELECTED);
        all.attrs |= ATTR_BOLD;
        screen_restyle(screen, area, 0, y, area.w, all);
    }
    buf_release(&keys);
}

bool palette_click(struct app *app, int x, int y)
{
    struct palette *palette = &app->palette;
    struct area list = palette->list;
    size_t row = palette->top + (size_t)(y - list.y);
    (void)x;
    if (y < list.y || y >= list.y + list.h || row >= palette->n)
        return false;
    palette->selected = row;
    app_prompt_end(app, true);
    return true;
}

/* Above the line that is typed. */
void palette_draw(struct app *app)
{
    struct palette *palette = &app->palette;
    struct screen *screen = &app->screen;
    struct area foot = app->layout.footer;
    int most = foot.y - 2 < ROWS ? foot.y - 2 : ROWS, w = foot.w;
    int rows = palette->n == 0 ? 1 : palette->n < (size_t)most ? (int)palette->n : most;
    struct area box = {0, foot.y - rows - 1, w, rows + 1};
    if (palette->selected < palette->top)
        palette->top = palette->selected;
    if (palette->selected >= palette->top + (size_t)rows)
        palette->top = palette->selected - (size_t)rows + 1;
    screen_rule(screen, box, 0, 0, w, look_style(ROLE_RULE), "─");
    screen_puts(screen, box, 1, 0, look_style(ROLE_FOCUS),
                palette->breaks ? " Breakpoints " : " Palette ");
    struct area list = {box.x, box.y + 1, w, rows};
    palette->list = list;
    for (int y = 0; y < rows; y++) {
        screen_rule(screen, list, 0, y, w, look_style(ROLE_TEXT), " ");
        if (palette->top + (size_t)y < palette->n)
            draw_item(app, list, y, palette->top + (size_t)y);
    }
    if (palette->n == 0)
        screen_puts(screen, list, 1, 0, look_style(ROLE_DIM),
                    palette->breaks && act_now(app)->breaks.n == 0
                        ? "Nothing is to be held."
                        : "Nothing is called like that.");
}
