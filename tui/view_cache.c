/* view_cache.c - the cache: its size, its hits, what gc would do. */
#include "tui/view.h"

static void title(struct app *app, struct buf *left, struct buf *right)
{
    (void)app;
    (void)right;
    buf_adds(left, "Cache");
}

static void draw(struct app *app, struct area area)
{
    (void)app;
    (void)area;
}

static void move(struct app *app, enum motion motion, int amount)
{
    (void)app;
    (void)motion;
    (void)amount;
}

const struct view view_cache = {"cache", title, draw, move, NULL};
