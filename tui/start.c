#include "tui/start.h"

#include "base/mem.h"
#include "tui/view.h"
#include "tui/width.h"

#include <stdlib.h>
#include <string.h>

#define MOST_COLUMNS 76

void start_set(struct start *start, const struct tui_start *given)
{
    static const enum role roles[] = {[TUI_PLAIN] = ROLE_TEXT,
                                      [TUI_STRONG] = ROLE_STRONG,
                                      [TUI_QUIET] = ROLE_DIM,
                                      [TUI_GOOD] = ROLE_GOOD,
                                      [TUI_BAD] = ROLE_BAD};
    start_release(start);
    for (size_t i = 0; i < given->n; i++)
        vec_push(&start->lines, (struct start_line){roles[given->lines[i].tone],
                                                    mem_strdup(given->lines[i].text)});
    start->can_init = given->can_init;
}

void start_release(struct start *start)
{
    vec_each (struct start_line, line, &start->lines)
        free(line->text);
    vec_release(&start->lines);
    start->can_init = false;
    start->top = start->most = 0;
}

/* Draws it from that row on, or only counts. Returns the rows taken. */
static int put_line(const struct start_line *line, struct screen *screen, struct area area, int y,
                    bool draw)
{
    const char *text = line->text;
    int indent = (int)strspn(text, " "), rows = 0;
    text += indent;
    do {
        size_t n = width_row(text, strlen(text), area.w - indent);
        if (draw && y + rows >= 0 && y + rows < area.h)
            screen_put(screen, area, indent, y + rows, look_style(line->role), text, n);
        text += n;
        text += strspn(text, " ");
        rows++;
    } while (*text);
    return rows;
}

void start_draw(struct start *start, struct screen *screen, struct area area)
{
    int rows = 0, y, columns = 0;
    struct area inner = area;
    inner.w = area.w > 4 ? area.w - 4 : area.w;
    inner.w = inner.w > MOST_COLUMNS ? MOST_COLUMNS : inner.w;
    vec_each (const struct start_line, line, &start->lines) {
        int width = width_text(line->text, strlen(line->text));
        columns = width > columns ? width : columns;
        rows += put_line(line, screen, inner, 0, false);
    }
    inner.w = columns < inner.w ? columns : inner.w;
    inner.x += (area.w - inner.w) / 2;
    start->height = area.h;
    start->most = rows > area.h ? rows - area.h : 0;
    start->top = start->top < start->most ? start->top : start->most;
    y = rows < area.h ? (area.h - rows) / 3 : -start->top;
    vec_each (const struct start_line, line, &start->lines)
        y += put_line(line, screen, inner, y, true);
}

void start_move(struct start *start, enum motion motion, int amount)
{
    start->top =
        (int)motion_to(motion, amount, start->height, (uint64_t)start->top, (uint64_t)start->most);
}
