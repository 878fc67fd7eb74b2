#include "tui/layout.h"

#define MAX_PLACES 5

#define BIT(pane) (1U << (pane))
#define BELOW_LOG (BIT(PANE_N) - 1 - BIT(PANE_STEPS) - BIT(PANE_LOG))

struct places {
    struct {
        unsigned panes; /* bits */
        struct area area;
    } v[MAX_PLACES];
    size_t n;
};

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

static void add(struct places *places, unsigned panes, struct area area)
{
    places->v[places->n].panes = panes;
    places->v[places->n++].area = area;
}

/* Fills the places; what has none of its own may be shown in the last. */
static void fill(struct layout *layout, struct places *places, const struct layout_want *want)
{
    unsigned placed = 0;
    for (size_t i = 0; i < places->n; i++)
        placed |= places->v[i].panes;
    places->v[places->n - 1].panes |= (BIT(PANE_N) - 1) & ~placed;
    for (size_t i = 0; i < places->n; i++) {
        enum pane best = PANE_N;
        for (enum pane pane = 0; pane < PANE_N; pane++) {
            if ((places->v[i].panes & BIT(pane)) &&
                (best == PANE_N || want->recent[pane] > want->recent[best]))
                best = pane;
        }
        put(layout, best, places->v[i].area);
    }
}

/* How many of h rows that place gets below the log: its usual share, but the greater one when it
 * had the keys after the log had them. */
static int below_log(const struct layout_want *want, unsigned place, int h, int usual)
{
    for (enum pane pane = 0; pane < PANE_N; pane++) {
        if ((place & BIT(pane)) && want->recent[pane] > want->recent[PANE_LOG])
            return clamp((h + 1) / 2 + 1, usual, h);
    }
    return usual;
}

static void stack(struct places *places, struct area body, const struct layout_want *want)
{
    int rows = want->steps > 1000 ? 1000 : want->steps > 0 ? (int)want->steps : 4;
    int top = clamp(rows + 1, 4, body.h >= 18 ? body.h * 9 / 20 : body.h / 2);
    int low = body.h >= 18 ? below_log(want, BELOW_LOG, body.h - top, clamp(body.h / 4, 5, 7)) : 0;
    add(places, BIT(PANE_STEPS), rows_of(body, 0, top));
    add(places, BIT(PANE_LOG), rows_of(body, top, body.h - top - low));
    if (low > 0)
        add(places, BIT(PANE_WHY), rows_of(body, body.h - low, low));
}

static struct area split(struct layout *layout, struct area *area, int left)
{
    struct area right = {area->x + left + 1, area->y, area->w - left - 1, area->h};
    layout->lines[layout->n_lines++] = (struct area){area->x + left, area->y, 1, area->h};
    area->w = left;
    return right;
}

static void beside(struct layout *layout, struct places *places, struct area body,
                   const struct layout_want *want, int left)
{
    int low = below_log(want, BELOW_LOG, body.h, clamp(body.h / 4, 6, 14));
    struct area right = split(layout, &body, left);
    add(places, BIT(PANE_STEPS), body);
    add(places, BIT(PANE_LOG), rows_of(right, 0, right.h - low));
    add(places, BIT(PANE_WHY), rows_of(right, right.h - low, low));
}

static void wide(struct layout *layout, struct places *places, struct area body,
                 const struct layout_want *want, int left)
{
    int lanes = body.h >= 40 ? clamp(body.h / 3, 12, 22) : 0;
    unsigned place = lanes ? BELOW_LOG & ~BIT(PANE_TIMELINE) : BELOW_LOG;
    int low = below_log(want, place, body.h, clamp(body.h / 4, 6, 16));
    struct area right = split(layout, &body, left);
    struct area bottom = rows_of(right, right.h - low, low);
    struct area beside_it = split(layout, &bottom, bottom.w * 11 / 20);
    add(places, BIT(PANE_STEPS), rows_of(body, 0, body.h - lanes));
    add(places, BIT(PANE_LOG), rows_of(right, 0, right.h - low));
    add(places, BIT(PANE_WHY), bottom);
    add(places, BIT(PANE_INPUTS), beside_it);
    if (lanes)
        add(places, BIT(PANE_TIMELINE), rows_of(body, body.h - lanes, lanes));
}

struct layout layout_of(const struct layout_want *want)
{
    struct layout layout = {.kind = LAYOUT_STATUS};
    struct places places = {.n = 0};
    int cols = want->cols, rows = want->rows;
    layout.header = (struct area){0, 0, cols, 1};
    if (cols < 30 || rows < 6)
        return layout;
    int notice = clamp(want->notice_rows, 0, rows / 4);
    layout.footer = (struct area){0, rows - 1, cols, 1};
    layout.notice = (struct area){0, rows - 1 - notice, cols, notice};
    struct area body = {0, 1, cols, rows - 2 - notice};
    layout.kind = cols < 60 || rows < 12      ? LAYOUT_SINGLE
                  : cols >= 160 && rows >= 30 ? LAYOUT_WIDE
                  : cols >= 100 && rows >= 20 ? LAYOUT_BESIDE
                                              : LAYOUT_STACKED;
    if (want->zoom || layout.kind == LAYOUT_SINGLE) {
        put(&layout, want->focus, body);
        return layout;
    }
    if (layout.kind == LAYOUT_STACKED)
        stack(&places, body, want);
    else if (layout.kind == LAYOUT_BESIDE)
        beside(&layout, &places, body, want, clamp(cols - 81, 40, 62));
    else
        wide(&layout, &places, body, want, clamp(cols * 47 / 100, 78, 110));
    fill(&layout, &places, want);
    return layout;
}

enum pane layout_next(const struct layout *layout, enum pane from, int step)
{
    size_t shown = 0;
    for (enum pane pane = 0; pane < PANE_N; pane++)
        shown += layout->panes[pane].shown;
    enum pane to = from;
    do
        to = (enum pane)(((int)to + step + PANE_N) % PANE_N);
    while (shown > 1 && !layout->panes[to].shown);
    return to;
}
