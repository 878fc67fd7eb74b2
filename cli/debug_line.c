/*
 * debug_line.c - kiln debug without panes: for scripts, and for people who listen.
 *
 * Commands are about the step that has been held longest, unless they name another. Standard input
 * is read only while something is held, so what a script writes there waits for the next pause.
 */
#include "cli/debug_line_private.h"

#include "base/mem.h"
#include "base/text.h"
#include "cli/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void advance(struct debug_line *line);

/* -- words ------------------------------------------------------------------------------------- */

struct held *debug_line_find(const struct debug_line *line, const char *step)
{
    vec_each (struct held, held, &line->held)
        if (!step || strcmp(held->step, step) == 0)
            return held;
    return NULL;
}

/* What the other words of the line do not tell already. */
static const char *reason_of(const struct debug_line *line, const struct event *event)
{
    const struct break_rule *rule =
        event->u.paused.rule ? break_rules_find(&line->debugging->rules, event->u.paused.rule)
                             : NULL;
    bool plain = rule && (rule->kind == BREAK_BEFORE || rule->kind == BREAK_AFTER ||
                          rule->kind == BREAK_FAILURE);
    return plain ? NULL : event->u.paused.reason;
}

static void say_paused(struct debug_line *line, const struct event *event)
{
    struct buf text = BUF_INIT;
    const char *reason = reason_of(line, event);
    char took[16];
    if (line->prompted)
        fputc('\n', line->out);
    buf_add_shown(&text, event->step, strlen(event->step));
    buf_adds(&text, " is held");
    if (!event->u.paused.failed && !event->u.paused.passed)
        buf_adds(&text, " before it starts");
    else
        buf_addf(&text, ": it %s after %s", event->u.paused.failed ? "failed" : "passed",
                 text_duration(event->u.paused.duration_ms, took));
    if (event->u.paused.failed && event->u.paused.exit_code > 0)
        buf_addf(&text, ", exit %d", event->u.paused.exit_code);
    else if (event->u.paused.failed && event->u.paused.signal)
        buf_addf(&text, ", killed by signal %d", event->u.paused.signal);
    if (reason)
        buf_addf(&text, "; %s", reason);
    if (event->u.paused.rule)
        buf_addf(&text, " (%s)", event->u.paused.rule);
    fprintf(line->out, "%s\n", buf_str(&text));
    if (line->person && !line->greeted)
        fputs("help lists the commands\n", line->out);
    line->greeted = true;
    fflush(line->out);
    buf_release(&text);
}

/* -- orders ---------------------------------------------------------------------------------- */

/* The last thing on the loop that belongs to it is gone. */
static void let_go(struct debug_line *line)
{
    if (--line->n_left > 0)
        return;
    vec_each (struct held, held, &line->held)
        free(held->step);
    vec_release(&line->held);
    buf_release(&line->input);
    debug_child_release(&line->child);
    if (line->fd > STDIN_FILENO)
        close(line->fd);
    free(line);
}

static void handle_closed(uv_handle_t *handle)
{
    let_go(handle->data);
}

void debug_line_order(struct debug_line *line, enum command_type type, const char *step)
{
    char *name = step ? mem_strdup(step) : NULL;
    line->control->send(line->control->ctx, &(struct command){.type = type, .step = name});
    free(name);
}

static void child_ended(void *ctx)
{
    struct debug_line *line = ctx;
    bool go_on = line->go_on_then;
    if (line->tell_code && line->child.code)
        fprintf(line->out, "it ended with exit code %d\n", line->child.code);
    fflush(line->out);
    line->go_on_then = line->tell_code = false;
    if (!line->closing && go_on && line->held.n)
        debug_line_order(line, COMMAND_CONTINUE, line->held.v[0].step);
    if (line->closing)
        let_go(line);
    else
        advance(line);
}

void debug_line_kiln(struct debug_line *line, bool terminal, const char *const *arguments)
{
    debug_child_run(&line->child, line->out, terminal, arguments);
}

/* A shell, or a command, where the step is held. */
void debug_line_shell(struct debug_line *line, const struct held *held, const char *command)
{
    const char *arguments[6] = {"shell"};
    size_t n = 1;
    if (held->box)
        arguments[n++] = "--failed"; /* where it left things */
    if (command) {
        arguments[n++] = "--command";
        arguments[n++] = command;
    } else if (!line->person || !raw_possible()) {
        fputs("a shell needs a terminal; \"shell COMMAND\" runs one command without\n", line->out);
        return;
    }
    arguments[n++] = held->step;
    line->tell_code = command != NULL;
    debug_line_kiln(line, !command, arguments);
}

/* -- input ------------------------------------------------------------------------------------- */

/* The next line, NULL when there is none yet; the caller's. */
static char *next_line(struct debug_line *line)
{
    size_t left = line->input.len - line->taken;
    const char *start = buf_str(&line->input) + line->taken;
    const char *newline = left ? memchr(start, '\n', left) : NULL;
    if (!left || (!newline && !line->ended))
        return NULL;
    size_t n = newline ? (size_t)(newline - start) : left;
    line->taken += n + (newline != NULL);
    while (n && strchr(" \t\r", *start)) {
        start++;
        n--;
    }
    while (n && strchr(" \t\r", start[n - 1]))
        n--;
    char *text = mem_strndup(start, n);
    if (line->taken == line->input.len) {
        buf_reset(&line->input);
        line->taken = 0;
    }
    return text;
}

static void open_input(struct debug_line *line, uv_loop_t *loop)
{
    line->fd = open("/proc/self/fd/0", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (line->fd < 0)
        line->fd = dup(STDIN_FILENO); /* a socket */
    line->polls = line->fd >= 0 && uv_poll_init(loop, &line->poll, line->fd) == 0;
    line->poll.data = line;
    if (!line->polls && line->fd >= 0) { /* a file: what is in it is there at once */
        close(line->fd);
        line->fd = STDIN_FILENO;
    }
}

static void take_input(struct debug_line *line)
{
    char bytes[4096];
    ssize_t n = read(line->fd, bytes, sizeof bytes);
    if (n > 0)
        buf_add(&line->input, bytes, (size_t)n);
    else if (n == 0 || (errno != EINTR && errno != EAGAIN))
        line->ended = true;
    line->prompted = false;
}

static void on_input(uv_poll_t *poll, int status, int events)
{
    struct debug_line *line = poll->data;
    (void)status;
    (void)events;
    take_input(line);
    advance(line);
}

static void stop_reading(struct debug_line *line)
{
    if (line->reading)
        uv_poll_stop(&line->poll);
    line->reading = false;
}

/* Reads, or has what can be read told. */
static bool wait_for_input(struct debug_line *line)
{
    if (line->person && !line->prompted) {
        fprintf(line->out, "(%s) ", line->held.v[0].step);
        fflush(line->out);
        line->prompted = true;
    }
    if (!line->polls) {
        take_input(line);
        return false;
    }
    if (!line->reading)
        uv_poll_start(&line->poll, UV_READABLE, on_input);
    line->reading = true;
    return true;
}

static void give_up(struct debug_line *line)
{
    const struct break_rules *rules = &line->debugging->rules;
    if (line->person)
        fputc('\n', line->out);
    fputs("end of input: all goes on without more pauses\n", line->out);
    fflush(line->out);
    while (rules->v.n) {
        char *text = mem_strdup(rules->v.v[0].text);
        line->control->send(line->control->ctx,
                            &(struct command){.type = COMMAND_UNBREAK, .rule = text});
        free(text);
    }
    debug_line_order(line, COMMAND_CONTINUE, NULL);
}

/* Does what there is to do for what is held. */
static void advance(struct debug_line *line)
{
    const char *command = line->debugging->options->shell_command;
    while (!line->closing && !line->child.on && line->held.n) {
        char *text = command ? NULL : next_line(line);
        if (command) {
            line->go_on_then = true;
            debug_line_shell(line, &line->held.v[0], command);
        } else if (text) {
            if (*text)
                debug_line_obey(line, text);
            free(text);
        } else if (line->ended) {
            give_up(line);
            break;
        } else if (wait_for_input(line)) {
            return;
        }
    }
    stop_reading(line);
}

static void on_soon(uv_timer_t *timer)
{
    advance(timer->data);
}

/* -- what happens ------------------------------------------------------------------------------ */

static void forget(struct debug_line *line, const char *step)
{
    for (size_t i = 0; i < line->held.n; i++) {
        if (strcmp(line->held.v[i].step, step) != 0)
            continue;
        free(line->held.v[i].step);
        memmove(&line->held.v[i], &line->held.v[i + 1],
                (line->held.n - i - 1) * sizeof *line->held.v);
        line->held.n--;
        return;
    }
}

void debug_line_event(void *ctx, const struct event *event)
{
    struct debug_line *line = ctx;
    if (line->closing)
        return;
    if (event->type == EVENT_STEP_RESUMED || event->type == EVENT_STEP_FINISHED)
        forget(line, event->step);
    if (line->prompted && (event->type == EVENT_STEP_STARTED ||
                           event->type == EVENT_STEP_FINISHED)) { /* of which others tell */
        line->prompted = false;
        uv_timer_start(&line->soon, on_soon, 0, 0);
    }
    if (event->type != EVENT_STEP_PAUSED)
        return;
    forget(line, event->step);
    struct held held = {.step = mem_strdup(event->step),
                        .failed = event->u.paused.failed,
                        .passed = event->u.paused.passed,
                        .box = event->u.paused.box != NULL};
    vec_push(&line->held, held);
    say_paused(line, event);
    line->prompted = false;
    uv_timer_start(&line->soon, on_soon, 0, 0);
}

struct debug_line *debug_line_new(const struct debugging *debugging, uv_loop_t *loop,
                                  const struct control *control, const char *root)
{
    const struct options *o = debugging->options;
    struct debug_line *line = mem_zalloc(1, sizeof *line);
    line->debugging = debugging;
    line->control = control;
    debug_child_init(&line->child, loop, o, root);
    line->child.ended = child_ended;
    line->child.ctx = line;
    line->out = o->json ? stderr : stdout;
    line->person = !o->shell_command && isatty(STDIN_FILENO);
    uv_timer_init(loop, &line->soon);
    line->soon.data = line;
    open_input(line, loop);
    return line;
}

void debug_line_close(struct debug_line *line)
{
    if (!line || line->closing)
        return;
    line->closing = true;
    line->n_left = 1 + line->polls + line->child.on;
    debug_child_end(&line->child);
    if (line->polls)
        uv_close((uv_handle_t *)&line->poll, handle_closed);
    uv_close((uv_handle_t *)&line->soon, handle_closed);
}
