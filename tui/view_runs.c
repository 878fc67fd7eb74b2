/* view_runs.c - the runs of this project. */
#include "tui/view.h"

static void title(struct app *app, struct buf *left, struct buf *right)
{
    (void)app;
    (void)right;
    buf_adds(left, "Runs");
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

const struct view view_runs = {"runs", title, draw, move, NULL};
