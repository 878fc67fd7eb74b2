/*
 * plain_failures.c - what a run ends with in the plain view: the steps that failed, each with its
 * command, its log, what there is to say about it, and how to run it again.
 *
 * The log is whole, except in a CI where it was shown in a group before: there it is its end.
 */
#include "cli/plain_private.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define RULE_WIDTH 80
#define TAIL_LINES 40

static void forget(struct plain_failure *failure)
{
    free(failure->run);
    free(failure->step);
    free(failure->log);
    free(failure->command);
    free(failure->how);
    vec_each (char *, hint, &failure->hints)
        free(*hint);
    vec_release(&failure->hints);
}

void plain_failures_add(struct plain_failures *failures, const struct event *event,
                        const char *command, const char *log, const char *how)
{
    struct plain_failure failure = {.run = mem_strdup(event->run ? event->run : ""),
                                    .step = mem_strdup(event->step),
                                    .log = log ? mem_strdup(log) : NULL,
                                    .command = command ? mem_strdup(command) : NULL,
                                    .how = mem_printf("FAILED%s", how),
                                    .kept = event->u.finished.box != NULL,
                                    .ran = event->u.finished.exit_code >= 0 ||
                                           event->u.finished.signal != 0};
    for (size_t i = 0; i < event->u.finished.n_hints; i++)
        vec_push(&failure.hints, mem_strdup(event->u.finished.hints[i]));
    vec_push(&failures->list, failure);
}

static void rule(struct buf *out, bool color, const char *before, const char *name,
                 const char *after)
{
    struct buf line = BUF_INIT;
    buf_addf(&line, "---- %s", before);
    plain_name(&line, name);
    buf_adds(&line, after);
    if (line.len + 1 < RULE_WIDTH)
        buf_addc(&line, ' ');
    while (line.len < RULE_WIDTH)
        buf_addc(&line, '-');
    plain_paint(out, color, PLAIN_STRONG, line.data);
    buf_addc(out, '\n');
    buf_release(&line);
}

/* A command that can be copied. */
static void add_remedy(struct buf *text, const char *step, const char *what, const char *kiln,
                       const char *command)
{
    plain_name(text, step);
    buf_addf(text, ": %s: %s %s ", what, kiln, command);
    plain_name(text, step);
    buf_addc(text, '\n');
}

static void add_past(struct buf *text, const struct plain_failure *failure, const char *kiln)
{
    char *command = mem_printf("debug --run %s", failure->run);
    add_remedy(text, failure->step, "to look into it", kiln, command);
    free(command);
}

static void show_tail(const struct plain_failure *failure, const struct plain_to *to,
                      struct buf *text, bool *empty)
{
    struct buf tail = BUF_INIT, order = BUF_INIT;
    struct plain_ci_hush hush;
    bool whole = true, readable;
    readable = plain_log_tail(failure->log, TAIL_LINES, to->color, &tail, &whole);
    *empty = readable && !tail.len;
    if (!readable)
        buf_adds(text, "(its log cannot be read)\n");
    else if (!whole)
        buf_addf(text, "(the last %d lines; all of it is above)\n", TAIL_LINES);
    plain_put(to, text);
    if (tail.len) {
        plain_ci_hush(to->ci, &order, &hush);
        buf_add(&order, tail.data, tail.len);
        plain_ci_unhush(to->ci, &order, &hush);
        plain_order(to, &order);
    }
    buf_release(&tail);
    buf_release(&order);
}

static void show_log(const struct plain_failure *failure, const struct plain_to *to,
                     struct buf *text)
{
    bool empty = true;
    if (strcmp(failure->log, EVENT_NO_LOG) != 0) {
        plain_put(to, text);
        if (to->ci != PLAIN_CI_NONE) {
            show_tail(failure, to, text, &empty);
        } else if (!plain_log(to->out, failure->log, to->color, &empty)) {
            buf_adds(text, "(its log cannot be read)\n");
            empty = false;
        }
    }
    if (empty)
        buf_adds(text, "(it wrote nothing)\n");
}

static void show(const struct plain_failure *failure, const struct plain_to *to, struct buf *text)
{
    struct buf after = BUF_INIT;
    bool color = to->color, wrote = failure->log && strcmp(failure->log, EVENT_NO_LOG) != 0;
    buf_addc(text, '\n');
    buf_addf(&after, ": %s", failure->how);
    rule(text, color, "", failure->step, buf_str(&after));
    if (failure->command)
        plain_command(text, failure->command);
    if (failure->log)
        show_log(failure, to, text);
    vec_each (char *, hint, &failure->hints)
        plain_hint(text, color, failure->step, *hint);
    buf_reset(&after);
    if (wrote) {
        buf_adds(&after, ", log: ");
        plain_name(&after, failure->log);
    }
    if (failure->log)
        rule(text, color, "end of ", failure->step, buf_str(&after));
    if (to->again)
        buf_addf(text, "to run it again: %s\n", to->again);
    else if (!to->watching)
        add_remedy(text, failure->step, "to run it again", to->kiln, "run");
    if (failure->kept)
        add_remedy(text, failure->step, "to look into it", to->kiln, "shell --failed");
    else if (failure->ran && *failure->run && !to->again)
        add_past(text, failure, to->kiln);
    buf_release(&after);
}

size_t plain_failures_show(struct plain_failures *failures, const char *run,
                           const struct plain_to *to, struct buf *text)
{
    size_t kept = 0, shown = 0;
    for (size_t i = 0; i < failures->list.n; i++) {
        struct plain_failure *failure = &failures->list.v[i];
        if (strcmp(failure->run, run) != 0) {
            failures->list.v[kept++] = *failure;
            continue;
        }
        show(failure, to, text);
        forget(failure);
        shown++;
    }
    failures->list.n = kept;
    return shown;
}

void plain_failures_release(struct plain_failures *failures)
{
    vec_each (struct plain_failure, failure, &failures->list)
        forget(failure);
    vec_release(&failures->list);
}
