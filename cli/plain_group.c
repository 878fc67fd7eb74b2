/* plain_group.c - the log of a step as soon as it has ended, folded, for a CI (see
 * plain_private.h).
 */
#include "cli/plain_private.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define MAX_MARKS  10   /* GitHub shows no more of a job's step */
#define MAX_PLACES 1000 /* that are looked for */

static bool may_mark(struct plain_marks *marks)
{
    bool may = marks->set < MAX_MARKS;
    marks->set += may;
    marks->left += !may;
    return may;
}

static void mark_places(const struct plain_group *group, struct buf *orders)
{
    struct plain_places places = {0};
    if (group->root && group->log)
        plain_places_find(&places, MAX_PLACES, group->log, group->root, group->mount);
    vec_each (struct plain_place, place, &places.list) {
        if (may_mark(group->marks))
            plain_ci_error_at(orders, group->step, place);
    }
    if (!places.list.n && may_mark(group->marks))
        plain_ci_error(orders, group->step, group->how);
    plain_places_release(&places);
}

void plain_mark(const struct plain_group *group, const struct plain_to *to)
{
    struct buf orders = BUF_INIT;
    if (group->how && to->ci == PLAIN_CI_GITHUB)
        mark_places(group, &orders);
    plain_order(to, &orders);
    buf_release(&orders);
}

void plain_group(const struct plain_group *group, const struct plain_to *to)
{
    struct buf text = BUF_INIT, orders = BUF_INIT;
    struct plain_ci_hush hush;
    bool empty;
    plain_ci_open(to->ci, &orders, group->id, group->title, group->how != NULL,
                  clock_realtime_ns());
    plain_order(to, &orders);
    if (group->command)
        plain_command(&text, group->command);
    plain_put(to, &text);
    plain_ci_hush(to->ci, &orders, &hush);
    plain_order(to, &orders);
    bool read = plain_log(to->out, group->log, to->color, &empty);
    plain_ci_unhush(to->ci, &orders, &hush);
    plain_order(to, &orders);
    if (!read)
        buf_adds(&text, "(its log cannot be read)\n");
    plain_put(to, &text);
    plain_ci_close(to->ci, &orders, group->id, clock_realtime_ns());
    plain_order(to, &orders);
    buf_release(&text);
    buf_release(&orders);
    plain_mark(group, to);
}
