#include "tui/layout.h"

static int clamp(int value, int low, int high)
{
    return value < low ? low : value > high ? high : value;
}

static void put(struct layout *layout, enum pane pane, struct area whole)
{
    layout->panes[pane].shown = true;
    layout->panes[pane].title = (struct area){whole.x, whole.y, whole.w, 1};
    layout->panes[pane].body = (struct area){whole.x, whole.y + 1, whole.w, whole.h - 1};
}

static struct area rows_of(struct area area, int from, int h)
{
    return (struct area){area.x, area.y + from, area.w, h};
}

static void stack(struct layout *layout, struct area body, enum pane focus, size_t steps)
{
    int want = steps > 1000 ? 1000 : steps > 0 ? (int)steps : 4;
    int top = clamp(want + 1, 4, body.h >= 18 ? body.h * 9 / 20 : body.h / 2);
    int why = body.h >= 18 ? clamp(body.h / 4, 5, 7) : 0;
    put(layout, PANE_STEPS, rows_of(body, 0, top));
    /* Where three do not fit, the lower place is the log's, or why's while it has the focus. */
    enum pane lower = why == 0 && focus == PANE_WHY ? PANE_WHY : PANE_LOG;
    put(layout, lower, rows_of(body, top, body.h - top - why));
    if (why > 0)
        put(layout, PANE_WHY, rows_of(body, body.h - why, why));
}

static void beside(struct layout *layout, struct area body, int left)
{
    int why = clamp(body.h / 4, 6, 14);
    struct area right = {body.x + left + 1, body.y, body.w - left - 1, body.h};
    layout->divider = body.x + left;
    put(layout, PANE_STEPS, (struct area){body.x, body.y, left, body.h});
    put(layout, PANE_LOG, rows_of(right, 0, body.h - why));
    put(layout, PANE_WHY, rows_of(right, body.h - why, why));
}

struct layout layout_of(int cols, int rows, enum pane focus, bool zoom, size_t steps,
                        int notice_rows)
{
    struct layout layout = {.divider = -1};
    if (cols < 30 || rows < 6) {
        layout.kind = LAYOUT_STATUS;
        layout.header = (struct area){0, 0, cols, 1};
        return layout;
    }
    int notice = clamp(notice_rows, 0, rows / 4);
    layout.header = (struct area){0, 0, cols, 1};
    layout.footer = (struct area){0, rows - 1, cols, 1};
    layout.notice = (struct area){0, rows - 1 - notice, cols, notice};
    struct area body = {0, 1, cols, rows - 2 - notice};
    layout.kind = cols < 60 || rows < 12      ? LAYOUT_SINGLE
                  : cols >= 160 && rows >= 30 ? LAYOUT_WIDE
                  : cols >= 100 && rows >= 20 ? LAYOUT_BESIDE
                                              : LAYOUT_STACKED;
    if (zoom || layout.kind == LAYOUT_SINGLE)
        put(&layout, focus, body);
    else if (layout.kind == LAYOUT_STACKED)
        stack(&layout, body, focus, steps);
    else if (layout.kind == LAYOUT_BESIDE)
        beside(&layout, body, clamp(cols - 81, 40, 62));
    else
        beside(&layout, body, clamp(cols * 47 / 100, 78, 110));
    return layout;
}
