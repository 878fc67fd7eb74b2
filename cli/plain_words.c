/*
 * plain_words.c - what the plain view's lines are made of: names, times, colours, how a step
 * failed.
 */
#include "cli/plain_private.h"

#include "base/mem.h"
#include "base/text.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const char *const style_codes[] = {"32", "36", "1;31", "33", "1"};

void plain_name(struct buf *out, const char *text)
{
    buf_add_shown(out, text, strlen(text));
}

void plain_paint(struct buf *out, bool color, enum plain_style style, const char *text)
{
    if (color)
        buf_addf(out, "\033[%sm%s\033[0m", style_codes[style], text);
    else
        buf_adds(out, text);
}

void plain_duration(struct buf *out, uint64_t ms)
{
    char text[16];
    buf_adds(out, text_duration(ms, text));
}

void plain_lines(struct buf *out, const char *text)
{
    for (;;) {
        size_t n = strcspn(text, "\n");
        buf_add_shown(out, text, n);
        buf_addc(out, '\n');
        text += n;
        while (*text == '\n')
            text++;
        if (!*text)
            return;
        buf_adds(out, "  ");
    }
}

/* A command of megabytes tells nobody anything. */
void plain_command(struct buf *out, const char *command)
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

void plain_how_failed(const struct event *event, struct buf *out)
{
    const char *error = event->u.finished.error;
    bool ran = event->u.finished.exit_code >= 0 || event->u.finished.signal;
    if (event->u.finished.timed_out) {
        buf_adds(out, ": timed out");
    } else if (event->u.finished.signal) {
        const char *name = sigabbrev_np(event->u.finished.signal);
        if (name)
            buf_addf(out, ": killed by SIG%s", name);
        else
            buf_addf(out, ": killed by signal %d", event->u.finished.signal);
    } else if (event->u.finished.exit_code > 0 || (ran && !error)) {
        buf_addf(out, " with exit code %d", event->u.finished.exit_code);
    }
    if (ran || event->u.finished.timed_out || event->u.finished.duration_ms) {
        buf_adds(out, " after ");
        plain_duration(out, event->u.finished.duration_ms);
    }
    if (error) {
        buf_adds(out, ": ");
        plain_name(out, error);
    }
}

void plain_hint(struct buf *out, bool color, const char *step, const char *hint)
{
    plain_name(out, step);
    buf_adds(out, ": ");
    plain_paint(out, color, PLAIN_ODD, "hint");
    buf_adds(out, ": ");
    plain_lines(out, hint);
}

void plain_put(const struct plain_to *to, struct buf *text)
{
    if (to->ci == PLAIN_CI_NONE) {
        plain_order(to, text);
        return;
    }
    struct buf words = BUF_INIT;
    plain_ci_words(to->ci, buf_str(text), text->len, &words);
    plain_order(to, &words);
    buf_release(&words);
    buf_reset(text);
}

void plain_order(const struct plain_to *to, struct buf *orders)
{
    fwrite(buf_str(orders), 1, orders->len, to->out);
    buf_reset(orders);
}
