#include "cli/attach.h"

#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "cli/plain_private.h"
#include "cli/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PIECE 4096

struct attach {
    uv_loop_t *loop;
    const struct control *control;
    struct view_plain *view;
    struct map interactive; /* names of steps */
    char *step;             /* that has the terminal; or NULL */
    struct raw raw;
    bool opened, ended, dumb;
    struct escape escape; /* of a dumb one */
    uv_poll_t keys;
    uv_signal_t signals[3]; /* while a step has it */
    char last;              /* byte that it wrote */
};

struct attach *attach_new(uv_loop_t *loop, const struct control *control, struct view_plain *view,
                          bool dumb)
{
    struct attach *attach = mem_zalloc(1, sizeof *attach);
    *attach = (struct attach){
        .loop = loop, .control = control, .view = view, .dumb = dumb, .raw = RAW_INIT};
    return attach;
}

static void handle_closed(uv_handle_t *handle)
{
    (void)handle;
}

/* -- in ---------------------------------------------------------------------------------------- */

static void on_keys(uv_poll_t *poll, int status, int events)
{
    struct attach *attach = poll->data;
    char bytes[PIECE];
    (void)events;
    ssize_t n = status < 0 ? 0 : read(attach->raw.fd, bytes, sizeof bytes);
    if (n > 0 && attach->step) {
        struct command command = {
            .type = COMMAND_INPUT, .step = attach->step, .bytes = bytes, .n = (size_t)n};
        attach->control->send(attach->control->ctx, &command);
        explicit_bzero(bytes, (size_t)n); /* it may be a password */
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        uv_poll_stop(poll); /* the terminal is gone, of which SIGHUP tells */
    }
}

static void tell_size(struct attach *attach)
{
    struct winsize size;
    struct command command = {.type = COMMAND_TERMINAL};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
        return;
    command.rows = size.ws_row;
    command.cols = size.ws_col;
    attach->control->send(attach->control->ctx, &command);
}

static const int numbers[] = {SIGWINCH, SIGTSTP, SIGCONT};

static void on_signal(uv_signal_t *handle, int number)
{
    struct attach *attach = handle->data;
    if (number == SIGTSTP)
        raw_stop(&attach->raw, handle, on_signal);
    else if (number == SIGCONT)
        raw_go_on(&attach->raw);
    tell_size(attach);
}

/* -- out --------------------------------------------------------------------------------------- */

static bool print(struct attach *attach, const char *bytes, size_t n)
{
    if (!attach->dumb)
        return file_write_all(STDOUT_FILENO, bytes, n) == 0;
    struct buf text = BUF_INIT;
    escape_filter(&attach->escape, bytes, n, &text);
    bool ok = file_write_all(STDOUT_FILENO, text.data, text.len) == 0;
    buf_release(&text);
    return ok;
}

static void print_log(struct attach *attach, const struct event *event)
{
    char bytes[PIECE];
    int fd = event->u.log.log ? open(event->u.log.log, O_RDONLY | O_CLOEXEC) : -1;
    uint64_t at = event->u.log.offset, end = at + event->u.log.n;
    while (fd >= 0 && at < end) {
        size_t want = end - at < sizeof bytes ? (size_t)(end - at) : sizeof bytes;
        ssize_t n = pread(fd, bytes, want, (off_t)at);
        if (n <= 0 || !print(attach, bytes, (size_t)n))
            break;
        attach->last = bytes[n - 1];
        at += (uint64_t)n;
    }
    if (fd >= 0)
        close(fd);
}

/* -- from start to end ------------------------------------------------------------------------- */

static bool open_terminal(struct attach *attach)
{
    struct err err = ERR_INIT;
    if (attach->opened || attach->ended)
        return attach->opened && !attach->ended;
    if (raw_open(&attach->raw, &err) < 0 ||
        uv_poll_init(attach->loop, &attach->keys, attach->raw.fd) < 0) {
        err_release(&err);
        raw_close(&attach->raw);
        return false;
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uv_signal_init(attach->loop, &attach->signals[i]);
        uv_unref((uv_handle_t *)&attach->signals[i]);
        attach->signals[i].data = attach;
    }
    attach->keys.data = attach;
    return attach->opened = true;
}

/* Without a terminal the step waits for what nobody can type: its timeout, or a person, ends it. */
static void begin(struct attach *attach, const char *step)
{
    if (attach->step || !open_terminal(attach))
        return;
    view_plain_hold(attach->view, true);
    attach->step = mem_strdup(step);
    attach->last = '\n';
    attach->escape = (struct escape){.keep_color = false};
    raw_begin(&attach->raw);
    tell_size(attach);
    uv_poll_start(&attach->keys, UV_READABLE, on_keys);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        uv_signal_start(&attach->signals[i], on_signal, numbers[i]);
}

/* What it left of colours and the like ends with it. */
static void end(struct attach *attach)
{
    static const char plain[] = "\x1b[0m\x1b[?25h", line[] = "\r\n";
    if (!attach->step)
        return;
    uv_poll_stop(&attach->keys);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        uv_signal_stop(&attach->signals[i]);
    if (!attach->dumb)
        (void)!write(STDOUT_FILENO, plain, strlen(plain));
    if (attach->last != '\n')
        (void)!write(STDOUT_FILENO, line, strlen(line));
    raw_end(&attach->raw);
    free(attach->step);
    attach->step = NULL;
    view_plain_hold(attach->view, false);
}

static void on_pipeline(struct attach *attach, const struct event *event)
{
    bool any = false;
    map_release(&attach->interactive);
    for (size_t i = 0; i < event->u.pipeline.n_steps; i++) {
        const struct event_step_info *info = &event->u.pipeline.steps[i];
        if (info->interactive)
            map_put_str(&attach->interactive, info->name, attach);
        any |= info->interactive;
    }
    if (any)
        tell_size(attach);
}

void attach_event(void *ctx, const struct event *event)
{
    struct attach *attach = ctx;
    bool its = attach->step && event->step && strcmp(event->step, attach->step) == 0;
    if (event->type == EVENT_STEP_LOG && its)
        print_log(attach, event);
    if (event->type == EVENT_STEP_FINISHED && its)
        end(attach);
    view_plain_event(attach->view, event);
    if (event->type == EVENT_PIPELINE_LOADED)
        on_pipeline(attach, event);
    if (event->type == EVENT_STEP_STARTED && map_get_str(&attach->interactive, event->step))
        begin(attach, event->step);
}

void attach_end(struct attach *attach)
{
    if (!attach || attach->ended)
        return;
    end(attach);
    attach->ended = true;
    if (!attach->opened)
        return;
    uv_close((uv_handle_t *)&attach->keys, handle_closed);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        uv_close((uv_handle_t *)&attach->signals[i], handle_closed);
}

void attach_free(struct attach *attach)
{
    if (!attach)
        return;
    raw_close(&attach->raw);
    map_release(&attach->interactive);
    free(attach->step);
    free(attach);
}
