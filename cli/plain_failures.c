/*
 * plain_failures.c - what a run ends with in the plain view: the steps that failed, each with its
 * command, its whole log and what there is to say about it.
 */
#include "cli/plain_private.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define RULE_WIDTH 80

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
                                    .log = mem_strdup(log),
                                    .command = command ? mem_strdup(command) : NULL,
                                    .how = mem_printf("FAILED%s", how),
                                    .kept = event->u.finished.box != NULL};
    for (size_t i = 0; i < event->u.finished.n_hints; i++)
        vec_push(&failure.hints, mem_strdup(event->u.finished.hints[i]));
    vec_push(&failures->list, failure);
}

/* A command of megabytes tells nobody anything. */
static void add_command(struct buf *out, const char *command)
{
    const size_t most = 4096;
    size_t n = strlen(command);
    char *shown = mem_strndup(command, n < most ? n : most);
    buf_adds(out, "$ ");
    plain_lines(out, shown);
    if (n > most)
        buf_addf(out, "  ... (%zu bytes)\n", n);
    free(shown);
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

static void show(const struct plain_failure *failure, FILE *out, bool color, struct buf *text)
{
    struct buf after = BUF_INIT;
    bool wrote = strcmp(failure->log, EVENT_NO_LOG) != 0, empty = false;
    buf_addc(text, '\n');
    buf_addf(&after, ": %s", failure->how);
    rule(text, color, "", failure->step, buf_str(&after));
    if (failure->command)
        add_command(text, failure->command);
    plain_put(out, text);
    if (!wrote || !plain_log(out, failure->log, color, &empty))
        buf_adds(text, wrote ? "(its log cannot be read)\n" : "(it wrote nothing)\n");
    else if (empty)
        buf_adds(text, "(it wrote nothing)\n");
    vec_each (char *, hint, &failure->hints)
        plain_hint(text, color, failure->step, *hint);
    if (failure->kept) {
        buf_adds(text, "(kiln shell ");
        plain_name(text, failure->step);
        buf_adds(text, " --failed opens a shell where it failed)\n");
    }
    buf_reset(&after);
    if (wrote) {
        buf_adds(&after, ", log: ");
        plain_name(&after, failure->log);
    }
    rule(text, color, "end of ", failure->step, buf_str(&after));
    buf_release(&after);
}

size_t plain_failures_show(struct plain_failures *failures, const char *run, FILE *out, bool color,
                           struct buf *text)
{
    size_t kept = 0, shown = 0;
    for (size_t i = 0; i < failures->list.n; i++) {
        struct plain_failure *failure = &failures->list.v[i];
        if (strcmp(failure->run, run) != 0) {
            failures->list.v[kept++] = *failure;
            continue;
        }
        show(failure, out, color, text);
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
