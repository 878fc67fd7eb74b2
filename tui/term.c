#include "tui/term.h"

#include "base/mem.h"
#include "tui/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* How long a terminal that does not read is waited for when it is given back, and one that has not
 * answered yet. */
#define PATIENCE_MS 500
#define ANSWER_MS   100

struct term {
    struct term_hooks hooks;
    struct caps caps;
    struct guard *guard;
    int fd;
    struct termios sane, raw;
    bool held;    /* taken over */
    bool gone;    /* hung up */
    bool freed;   /* no hooks any more */
    bool lent;    /* somebody else has it */
    bool mouse;   /* wanted */
    bool asked;   /* and not all is answered yet */
    bool resumed; /* by term_suspend(); the signal that tells so comes later */
    struct buf out;
    size_t sent; /* of out */
    uint64_t written;
    int cols, rows;
    uv_poll_t poll;
    uv_signal_t winch, tstp, cont;
    int open_handles;
};

bool term_supported(int fd, const char *name)
{
    if (!isatty(fd) || !name || !*name || strcmp(name, "dumb") == 0 || strcmp(name, "unknown") == 0)
        return false;
    struct caps caps;
    if (caps_load(&caps, name, fd, false) != 0)
        return false;
    caps_release(&caps);
    return true;
}

static void read_size(struct term *term)
{
    struct winsize size = {0};
    if (ioctl(term->fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) {
        size.ws_col = 80;
        size.ws_row = 24;
    }
    /* Sizes beyond any screen are somebody's mistake. */
    term->cols = size.ws_col > 1000 ? 1000 : size.ws_col;
    term->rows = size.ws_row > 500 ? 500 : size.ws_row;
}

static void set_modes(struct term *term, const struct termios *modes)
{
    while (tcsetattr(term->fd, TCSANOW, modes) != 0 && errno == EINTR)
        ;
}

/* The same, without being stopped for it when kiln is a background job that ends. */
static void set_modes_at_end(struct term *term, const struct termios *modes)
{
    sigset_t ttou, before;
    sigemptyset(&ttou);
    sigaddset(&ttou, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &ttou, &before);
    set_modes(term, modes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* A few bytes that must get there, though a terminal that has stopped reading must not hold us for
 * ever. */
static void write_patiently(struct term *term, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t done = write(term->fd, bytes, n);
        if (done > 0) {
            bytes += done;
            n -= (size_t)done;
            term->written += (uint64_t)done;
            continue;
        }
        if (done < 0 && errno == EINTR)
            continue;
        struct pollfd ready = {.fd = term->fd, .events = POLLOUT};
        if (done == 0 || errno != EAGAIN || poll(&ready, 1, PATIENCE_MS) <= 0 ||
            !(ready.revents & POLLOUT))
            return;
    }
}

static void on_poll(uv_poll_t *handle, int status, int events);

static void watch_io(struct term *term)
{
    if (term->gone || term->freed || term->lent)
        return;
    int events = UV_READABLE | (term->sent < term->out.len ? UV_WRITABLE : 0);
    uv_poll_start(&term->poll, events, on_poll);
}

static void take_over(struct term *term)
{
    if (term->gone || term->freed)
        return;
    read_size(term);
    guard_hold(term->guard, true);
    term->held = true;
    set_modes(term, &term->raw);
    struct buf enter = BUF_INIT;
    if (!term->caps.linear)
        buf_addc(&enter, '\x18'); /* ends what a lost frame may have left unfinished */
    buf_adds(&enter, term->caps.enter);
    buf_adds(&enter, term->caps.modes_on);
    buf_adds(&enter, term->mouse ? term->caps.mouse_on : "");
    write_patiently(term, enter.data, enter.len);
    buf_release(&enter);
}

/* What the terminal was asked at the start it should not answer to the shell. Keys typed in this
 * moment are lost, as they would be with what they go to unknown. */
static void await_answers(struct term *term)
{
    struct pollfd ready = {.fd = term->fd, .events = POLLIN};
    char bytes[256];
    while (term->asked && poll(&ready, 1, ANSWER_MS) > 0 && (ready.revents & POLLIN)) {
        ssize_t n = read(term->fd, bytes, sizeof bytes);
        if (n <= 0)
            break;
        /* "ESC [ ? ... c" is the last. */
        term->asked = !memchr(bytes, 'c', (size_t)n);
    }
    term->asked = false;
}

static void give_back(struct term *term)
{
    if (!term->held)
        return;
    term->held = false;
    buf_reset(&term->out);
    term->sent = 0;
    if (!term->gone) {
        struct buf restore = BUF_INIT;
        caps_restore(&term->caps, &restore);
        write_patiently(term, restore.data, restore.len);
        buf_release(&restore);
        await_answers(term);
        set_modes_at_end(term, &term->sane);
    }
    guard_hold(term->guard, false);
}

static void hang_up(struct term *term)
{
    if (term->gone)
        return;
    term->gone = true;
    uv_poll_stop(&term->poll);
    term->hooks.gone(term->hooks.ctx);
}

static void flush(struct term *term)
{
    while (term->sent < term->out.len) {
        ssize_t n = write(term->fd, term->out.data + term->sent, term->out.len - term->sent);
        if (n > 0) {
            term->sent += (size_t)n;
            term->written += (uint64_t)n;
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else if (n < 0 && errno != EAGAIN) {
            hang_up(term);
            return;
        } else {
            watch_io(term);
            return;
        }
    }
    buf_reset(&term->out);
    term->sent = 0;
    watch_io(term);
    term->hooks.written(term->hooks.ctx);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct term *term = handle->data;
    if (status < 0) {
        hang_up(term);
        return;
    }
    if (events & UV_READABLE) {
        char bytes[4096];
        ssize_t n = read(term->fd, bytes, sizeof bytes);
        if (n > 0) {
            term->hooks.input(term->hooks.ctx, bytes, (size_t)n);
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            hang_up(term);
            return;
        }
    }
    if ((events & UV_WRITABLE) && !term->freed && term->sent < term->out.len)
        flush(term);
}

static void on_winch(uv_signal_t *handle, int number)
{
    (void)number;
    struct term *term = handle->data;
    if (!term->held)
        return;
    read_size(term);
    term->hooks.changed(term->hooks.ctx);
}

static void on_tstp(uv_signal_t *handle, int number)
{
    (void)number;
    term_suspend(handle->data);
}

/* After a stop that could not be seen coming the shell has changed the modes and written over the
 * screen. */
static void on_cont(uv_signal_t *handle, int number)
{
    (void)number;
    struct term *term = handle->data;
    if (term->freed || term->gone || term->lent)
        return;
    struct termios now;
    bool resumed = term->resumed;
    term->resumed = false;
    if (resumed && tcgetattr(term->fd, &now) == 0 && now.c_lflag == term->raw.c_lflag)
        return;
    /* What is left of a frame is of an older screen. */
    buf_reset(&term->out);
    term->sent = 0;
    take_over(term);
    watch_io(term);
    term->hooks.changed(term->hooks.ctx);
}

void term_lend(struct term *term)
{
    if (term->freed || term->gone || term->lent)
        return;
    term->lent = true;
    uv_poll_stop(&term->poll);
    give_back(term);
}

void term_take_back(struct term *term)
{
    if (!term->lent)
        return;
    term->lent = false;
    take_over(term);
    watch_io(term);
    if (!term->freed && !term->gone)
        term->hooks.changed(term->hooks.ctx);
}

const char *term_mouse(struct term *term, bool on)
{
    term->mouse = on;
    return on ? term->caps.mouse_on : term->caps.mouse_off;
}

const char *term_ask(struct term *term)
{
    term->asked = term->caps.ask[0] != '\0';
    return term->caps.ask;
}

void term_answered(struct term *term)
{
    term->asked = false;
}

void term_has_sync(struct term *term, bool has)
{
    term->caps.sync = has;
}

int term_fd(const struct term *term)
{
    return term->fd;
}

void term_suspend(struct term *term)
{
    if (term->freed || term->gone || term->lent)
        return;
    give_back(term);
    /* With nobody listening the signal has its default effect again: the whole job stops, what
     * started kiln too. */
    uv_signal_stop(&term->tstp);
    kill(0, SIGTSTP);
    uv_signal_start(&term->tstp, on_tstp, SIGTSTP);
    take_over(term);
    term->resumed = true;
    term->hooks.changed(term->hooks.ctx);
}

/* A description of our own of the same terminal. Where that is not allowed (after su), the shared
 * one, blocking as it is. */
static int reopen(int fd)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int own = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (own < 0 && tcgetpgrp(fd) > 0) /* it is our controlling terminal */
        own = open("/dev/tty", O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    return own >= 0 ? own : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static void make_raw(struct termios *modes)
{
    cfmakeraw(modes);
    modes->c_cc[VMIN] = 1;
    modes->c_cc[VTIME] = 0;
}

static void handle_closed(uv_handle_t *handle)
{
    struct term *term = handle->data;
    if (--term->open_handles > 0)
        return;
    close(term->fd);
    caps_release(&term->caps);
    buf_release(&term->out);
    free(term);
}

static void open_handle(struct term *term, void *handle)
{
    ((uv_handle_t *)handle)->data = term;
    term->open_handles++;
}

static int start_handles(struct term *term, uv_loop_t *loop)
{
    int code = uv_poll_init(loop, &term->poll, term->fd);
    if (code != 0)
        return code;
    uv_signal_init(loop, &term->winch);
    uv_signal_init(loop, &term->tstp);
    uv_signal_init(loop, &term->cont);
    open_handle(term, &term->poll);
    open_handle(term, &term->winch);
    open_handle(term, &term->tstp);
    open_handle(term, &term->cont);
    uv_signal_start(&term->winch, on_winch, SIGWINCH);
    uv_signal_start(&term->tstp, on_tstp, SIGTSTP);
    uv_signal_start(&term->cont, on_cont, SIGCONT);
    return 0;
}

int term_new(const struct term_options *options, const struct term_hooks *hooks, struct term **out,
             struct err *err)
{
    struct term *term = mem_zalloc(1, sizeof *term);
    term->hooks = *hooks;
    int code;
    if (caps_load(&term->caps, options->name, options->fd, options->colour) != 0) {
        free(term);
        return err_set(err, ERR_SYSTEM,
                       "the terminal %s cannot address its cursor; use --plain, or set TERM",
                       options->name);
    }
    if (options->linear)
        caps_linear(&term->caps);
    term->fd = reopen(options->fd);
    if (term->fd < 0 || tcgetattr(term->fd, &term->sane) != 0) {
        code = err_sys(err, errno, "opening the terminal");
        goto failed;
    }
    term->raw = term->sane;
    make_raw(&term->raw);
    if (options->linear)
        term->raw.c_oflag = term->sane.c_oflag | OPOST | ONLCR;
    struct buf restore = BUF_INIT;
    caps_restore(&term->caps, &restore);
    struct guard_terms terms = {term->fd, term->sane, term->raw, restore.data, restore.len};
    code = guard_new(&terms, &term->guard, err);
    buf_release(&restore);
    if (code != 0)
        goto failed;
    int status = start_handles(term, options->loop);
    if (status != 0) {
        code = err_sys(err, -status, "watching the terminal");
        goto failed;
    }
    take_over(term);
    watch_io(term);
    *out = term;
    return 0;
failed:
    guard_free(term->guard);
    if (term->fd >= 0)
        close(term->fd);
    caps_release(&term->caps);
    free(term);
    return code;
}

void term_free(struct term *term)
{
    if (!term)
        return;
    give_back(term);
    term->freed = true;
    guard_free(term->guard);
    term->guard = NULL;
    uv_close((uv_handle_t *)&term->poll, handle_closed);
    uv_close((uv_handle_t *)&term->winch, handle_closed);
    uv_close((uv_handle_t *)&term->tstp, handle_closed);
    uv_close((uv_handle_t *)&term->cont, handle_closed);
}

void term_size(const struct term *term, int *cols, int *rows)
{
    *cols = term->cols;
    *rows = term->rows;
}

const struct caps *term_caps(const struct term *term)
{
    return &term->caps;
}

bool term_busy(const struct term *term)
{
    return !term->held || term->gone || term->sent < term->out.len;
}

struct buf *term_frame(struct term *term)
{
    return &term->out;
}

void term_send(struct term *term)
{
    term->sent = 0;
    if (term->out.len > 0)
        flush(term);
}

uint64_t term_written(const struct term *term)
{
    return term->written;
}

pid_t term_guardian(const struct term *term)
{
    return guard_pid(term->guard);
}
