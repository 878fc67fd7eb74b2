#include "screen.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "driver.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vterm.h>

#define DEADLINE_MS 30000

struct pty {
    struct pty_options options;
    char dir[32]; /* the driver's logs */
    int master, script, replies, shell_say, shell_tell;
    pid_t shell, job;
    struct termios before;
    struct buf pending; /* replies not looked at yet */
    struct buf line, row;
    unsigned long long read;
    unsigned long typed;
    VTerm *vt;
    VTermScreen *screen;
    bool alternate, cursor_shown;
    int mouse;
};

static _Noreturn void give_up(struct pty *pty, const char *what)
{
    fprintf(stderr, "screen test: %s; the screen is:\n", what);
    for (int row = 0; pty && row < pty->options.rows; row++)
        fprintf(stderr, "|%s\n", pty_row(pty, row));
    abort();
}

static int on_prop(VTermProp prop, VTermValue *value, void *user)
{
    struct pty *pty = user;
    if (prop == VTERM_PROP_ALTSCREEN)
        pty->alternate = value->boolean;
    if (prop == VTERM_PROP_CURSORVISIBLE)
        pty->cursor_shown = value->boolean;
    if (prop == VTERM_PROP_MOUSE)
        pty->mouse = value->number;
    return 1;
}

static const VTermScreenCallbacks callbacks = {.settermprop = on_prop};

/* Waits until one can be read; returns which, -1 when the time is up. */
static int wait_for(const int *fds, int n)
{
    struct pollfd polls[4];
    for (int i = 0; i < n; i++)
        polls[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    if (poll(polls, (nfds_t)n, DEADLINE_MS) <= 0)
        return -1;
    for (int i = 0; i < n; i++)
        if (polls[i].revents)
            return i;
    return -1;
}

static bool read_terminal(struct pty *pty)
{
    char bytes[65536];
    ssize_t n = read(pty->master, bytes, sizeof bytes);
    if (n <= 0)
        return false;
    pty->read += (unsigned long long)n;
    vterm_input_write(pty->vt, bytes, (size_t)n);
    return true;
}

/* The shell's part: one job in the foreground; "S" when it stops, "X" and its status when it ends;
 * "c" continues it, the end of the pipe ends all. Only a stopped one is continued: SIGCONT takes
 * back a SIGSTOP that is on its way, and the look for leaks attaches by one. */
static _Noreturn void be_shell(const struct driver_options *driver, int told, int say)
{
    signal(SIGTTOU, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    pid_t job = fork();
    if (job == 0) {
        setpgid(0, 0);
        tcsetpgrp(0, getpid());
        signal(SIGTTOU, SIG_DFL);
        signal(SIGHUP, SIG_DFL);
        close(told);
        close(say);
        _exit(driver_run(driver));
    }
    close(driver->script);
    close(driver->replies);
    if (write(say, &job, sizeof job) != sizeof job)
        _exit(1);
    for (;;) {
        int status;
        char what;
        if (waitpid(job, &status, WUNTRACED) != job)
            _exit(1);
        tcsetpgrp(0, getpgrp());
        what = WIFSTOPPED(status) ? 'S' : 'X';
        if (write(say, &what, 1) != 1 || write(say, &status, sizeof status) != sizeof status)
            _exit(1);
        if (read(told, &what, 1) != 1 || what != 'c') {
            if (WIFSTOPPED(status))
                kill(-job, SIGCONT);
            _exit(0);
        }
        tcsetpgrp(0, job);
        kill(-job, SIGCONT);
    }
}

static void make_pipe(int ends[2])
{
    if (pipe2(ends, O_CLOEXEC) != 0)
        give_up(NULL, "pipe");
}

struct pty *pty_start(const struct pty_options *options)
{
    struct pty *pty = mem_zalloc(1, sizeof *pty);
    int script[2], replies[2], told[2], say[2];
    pty->options = *options;
    snprintf(pty->dir, sizeof pty->dir, "/tmp/kiln-screen-XXXXXX");
    if (!mkdtemp(pty->dir))
        give_up(NULL, "no directory for logs");
    make_pipe(script);
    make_pipe(replies);
    make_pipe(told);
    make_pipe(say);
    pty->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (pty->master < 0 || grantpt(pty->master) != 0 || unlockpt(pty->master) != 0)
        give_up(NULL, "no pty");
    int slave = open(ptsname(pty->master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct winsize size = {.ws_col = (unsigned short)options->cols,
                           .ws_row = (unsigned short)options->rows};
    ioctl(pty->master, TIOCSWINSZ, &size);
    tcgetattr(pty->master, &pty->before);
    pty->cursor_shown = true;
    pty->vt = vterm_new(options->rows, options->cols);
    vterm_set_utf8(pty->vt, 1);
    pty->screen = vterm_obtain_screen(pty->vt);
    vterm_screen_enable_altscreen(pty->screen, 1);
    vterm_screen_set_callbacks(pty->screen, &callbacks, pty);
    vterm_screen_reset(pty->screen, 1);
    pty->shell = fork();
    if (pty->shell == 0) {
        setsid();
        ioctl(slave, TIOCSCTTY, 0);
        dup2(slave, 0);
        dup2(slave, 1);
        close(pty->master);
        close(script[1]);
        close(replies[0]);
        close(told[1]);
        close(say[0]);
        struct driver_options driver = {.script = script[0],
                                        .replies = replies[1],
                                        .terminal = 1,
                                        .dir = pty->dir,
                                        .term = options->term,
                                        .utf8 = options->utf8,
                                        .colour = options->colour};
        be_shell(&driver, told[0], say[1]);
    }
    close(slave);
    close(script[0]);
    close(replies[1]);
    close(told[0]);
    close(say[1]);
    pty->script = script[1];
    pty->replies = replies[0];
    pty->shell_tell = told[1];
    pty->shell_say = say[0];
    if (read(pty->shell_say, &pty->job, sizeof pty->job) != sizeof pty->job)
        give_up(pty, "the shell did not start");
    /* Before the terminal is taken over keys would be echoed, and mean signals. */
    pty_sync(pty);
    return pty;
}

void pty_end(struct pty *pty)
{
    close(pty->script);
    /* Whoever still writes must not wait for a reader. */
    if (pty->master >= 0)
        close(pty->master);
    close(pty->shell_tell);
    int status;
    while (waitpid(pty->shell, &status, 0) < 0 && errno == EINTR)
        ;
    close(pty->replies);
    close(pty->shell_say);
    struct err err = ERR_INIT;
    if (file_remove_tree(AT_FDCWD, pty->dir, &err) != 0)
        fprintf(stderr, "screen test: %s\n", err_text(&err));
    err_release(&err);
    vterm_free(pty->vt);
    buf_release(&pty->pending);
    buf_release(&pty->line);
    buf_release(&pty->row);
    free(pty);
}

void pty_end_left(struct pty *pty)
{
    pty_wait_left(pty);
    if (!pty_sane(pty))
        give_up(pty, "the terminal's modes are not what they were");
    pty_end(pty);
}

void pty_say(struct pty *pty, const char *format, ...)
{
    struct buf line = BUF_INIT;
    va_list args;
    va_start(args, format);
    buf_vaddf(&line, format, args);
    va_end(args);
    buf_addc(&line, '\n');
    if (file_write_all(pty->script, line.data, line.len) != 0)
        give_up(pty, "the driver does not listen");
    buf_release(&line);
}

void pty_type(struct pty *pty, const char *keys)
{
    pty->typed += strlen(keys);
    if (file_write_all(pty->master, keys, strlen(keys)) != 0)
        give_up(pty, "the terminal takes no keys");
}

void pty_type_away(struct pty *pty, const char *keys)
{
    pty_type(pty, keys);
    pty->typed -= strlen(keys);
}

/* The next line of the driver's, if one is there whole. */
static bool take_reply(struct pty *pty)
{
    char *newline = pty->pending.len > 0 ? memchr(pty->pending.data, '\n', pty->pending.len) : NULL;
    if (!newline)
        return false;
    size_t n = (size_t)(newline - pty->pending.data);
    buf_reset(&pty->line);
    buf_add(&pty->line, pty->pending.data, n);
    memmove(pty->pending.data, newline + 1, pty->pending.len - n - 1);
    buf_truncate(&pty->pending, pty->pending.len - n - 1);
    return true;
}

static const char *next_reply(struct pty *pty, bool read_too)
{
    while (!take_reply(pty)) {
        int fds[] = {pty->replies, pty->master};
        int ready = wait_for(fds, read_too ? 2 : 1);
        if (ready < 0)
            give_up(pty, "no answer from the driver");
        if (ready == 1) {
            read_terminal(pty);
            continue;
        }
        char bytes[4096];
        ssize_t n = read(pty->replies, bytes, sizeof bytes);
        if (n <= 0)
            give_up(pty, "the driver has ended");
        buf_add(&pty->pending, bytes, (size_t)n);
    }
    return buf_str(&pty->line);
}

const char *pty_reply(struct pty *pty, const char *kind)
{
    const char *line;
    do
        line = next_reply(pty, pty->master >= 0);
    while (strncmp(line, kind, strlen(kind)) != 0);
    return line;
}

void pty_sync(struct pty *pty)
{
    unsigned long long written;
    pty_say(pty, "sync %lu %d %d", pty->typed, pty->options.cols, pty->options.rows);
    while (sscanf(next_reply(pty, true), "ok %llu", &written) != 1)
        ; /* commands that the test has not asked for */
    while (pty->read < written)
        if (wait_for(&pty->master, 1) < 0 || !read_terminal(pty))
            give_up(pty, "the terminal gives less than was written");
}

void pty_said(struct pty *pty)
{
    pty_say(pty, "echo");
    while (strcmp(next_reply(pty, false), "echo") != 0)
        ;
}

void pty_resize(struct pty *pty, int cols, int rows)
{
    struct winsize size = {.ws_col = (unsigned short)cols, .ws_row = (unsigned short)rows};
    pty->options.cols = cols;
    pty->options.rows = rows;
    vterm_set_size(pty->vt, rows, cols);
    ioctl(pty->master, TIOCSWINSZ, &size);
}

static VTermScreenCell cell_at(struct pty *pty, int x, int y)
{
    VTermScreenCell cell;
    memset(&cell, 0, sizeof cell);
    vterm_screen_get_cell(pty->screen, (VTermPos){.row = y, .col = x}, &cell);
    return cell;
}

const char *pty_row(struct pty *pty, int row)
{
    buf_reset(&pty->row);
    size_t end = 0;
    for (int x = 0; x < pty->options.cols;) {
        VTermScreenCell cell = cell_at(pty, x, row);
        if (cell.chars[0] == 0)
            buf_addc(&pty->row, ' ');
        for (int i = 0; i < VTERM_MAX_CHARS_PER_CELL && cell.chars[i]; i++) {
            char bytes[4];
            buf_add(&pty->row, bytes, utf8_encode(cell.chars[i], bytes));
        }
        if (cell.chars[0] != 0 && cell.chars[0] != ' ')
            end = pty->row.len;
        x += cell.width > 0 ? cell.width : 1;
    }
    buf_truncate(&pty->row, end);
    return buf_str(&pty->row);
}

/* One character a cell: a colour's letter, large when bold; '#' reversed, '*' bold, '_' underlined.
 */
static void styles_of(struct pty *pty, int row, struct buf *out)
{
    size_t start = out->len, end = out->len;
    for (int x = 0; x < pty->options.cols;) {
        VTermScreenCell cell = cell_at(pty, x, row);
        char c = '.';
        if (cell.attrs.reverse)
            c = '#';
        else if (VTERM_COLOR_IS_INDEXED(&cell.fg) && !VTERM_COLOR_IS_DEFAULT_FG(&cell.fg))
            c = (cell.attrs.bold ? "KRGYBMCW" : "krgybmcw")[cell.fg.indexed.idx & 7];
        else if (cell.attrs.bold)
            c = '*';
        else if (cell.attrs.underline)
            c = '_';
        /* The right half of a wide one has no style of its own. */
        for (int i = 0; i < (cell.width > 0 ? cell.width : 1); i++, x++)
            buf_addc(out, c);
        if (c != '.')
            end = out->len;
    }
    buf_truncate(out, end > start ? end : start);
}

bool pty_shows(struct pty *pty, const char *text)
{
    for (int row = 0; row < pty->options.rows; row++)
        if (strstr(pty_row(pty, row), text))
            return true;
    return false;
}

/* The column in which the byte of a row lies. */
static int column_of(struct pty *pty, int row, size_t byte)
{
    int x = 0;
    for (size_t n = 0; x < pty->options.cols;) {
        VTermScreenCell cell = cell_at(pty, x, row);
        char bytes[4];
        if (n >= byte)
            return x;
        for (int i = 0; i < VTERM_MAX_CHARS_PER_CELL && cell.chars[i]; i++)
            n += utf8_encode(cell.chars[i], bytes);
        n += cell.chars[0] == 0;
        x += cell.width > 0 ? cell.width : 1;
    }
    return x;
}

static int colour_number(const VTermColor *colour, bool is_default)
{
    return is_default ? -1 : VTERM_COLOR_IS_INDEXED(colour) ? colour->indexed.idx : -3;
}

bool pty_colours_of(struct pty *pty, const char *text, struct pty_colours *out)
{
    for (int row = 0; row < pty->options.rows; row++) {
        const char *line = pty_row(pty, row), *found = strstr(line, text);
        if (!found)
            continue;
        VTermScreenCell cell = cell_at(pty, column_of(pty, row, (size_t)(found - line)), row);
        out->fg = colour_number(&cell.fg, VTERM_COLOR_IS_DEFAULT_FG(&cell.fg));
        out->bg = colour_number(&cell.bg, VTERM_COLOR_IS_DEFAULT_BG(&cell.bg));
        return true;
    }
    return false;
}

bool pty_alternate(const struct pty *pty)
{
    return pty->alternate;
}

bool pty_cursor_shown(const struct pty *pty)
{
    return pty->cursor_shown;
}

int pty_mouse(const struct pty *pty)
{
    return pty->mouse;
}

VTermScreen *pty_cells(struct pty *pty)
{
    return pty->screen;
}

void pty_same_file(struct pty *pty, const char *path, const struct buf *seen)
{
    const char *update = getenv("KILN_UPDATE_GOLDEN");
    char *full = mem_printf("%s/%s", SOURCE_DIR, path);
    struct buf want = BUF_INIT;
    struct err err = ERR_INIT;
    if (update && *update) {
        if (file_write_atomic(full, seen->data, seen->len, 0644, &err) != 0)
            give_up(pty, err_text(&err));
    } else if (file_read(full, 1 << 20, &want, &err) != 0) {
        give_up(pty, err_text(&err));
    } else if (want.len != seen->len || memcmp(want.data, seen->data, seen->len) != 0) {
        fprintf(stderr,
                "%s differs (KILN_UPDATE_GOLDEN=1 rewrites it); it has:\n%s\nand now:\n%s\n", full,
                buf_str(&want), buf_str(seen));
        give_up(pty, path);
    }
    err_release(&err);
    free(full);
    buf_release(&want);
}

void pty_golden(struct pty *pty, const char *name)
{
    struct buf seen = BUF_INIT;
    VTermPos cursor;
    vterm_state_get_cursorpos(vterm_obtain_state(pty->vt), &cursor);
    for (int row = 0; row < pty->options.rows; row++)
        buf_addf(&seen, "|%s\n", pty_row(pty, row));
    for (int row = 0; row < pty->options.rows; row++) {
        buf_addc(&seen, ':');
        styles_of(pty, row, &seen);
        buf_addc(&seen, '\n');
    }
    if (pty->cursor_shown)
        buf_addf(&seen, "cursor %d %d\n", cursor.col, cursor.row);
    else
        buf_adds(&seen, "cursor hidden\n");
    char *path = mem_printf("tests/screen/golden/%s.txt", name);
    pty_same_file(pty, path, &seen);
    free(path);
    buf_release(&seen);
}

void pty_signal(struct pty *pty, int number)
{
    kill(pty->job, number);
}

static int wait_shell(struct pty *pty, char wanted)
{
    char what = 0;
    int status = 0;
    for (;;) {
        int fds[] = {pty->shell_say, pty->master};
        int ready = wait_for(fds, pty->master >= 0 ? 2 : 1);
        if (ready < 0)
            give_up(pty, "the shell sees nothing happen");
        if (ready == 0)
            break;
        read_terminal(pty);
    }
    if (read(pty->shell_say, &what, 1) != 1 ||
        read(pty->shell_say, &status, sizeof status) != sizeof status || what != wanted)
        give_up(pty, "the shell saw something else");
    return status;
}

void pty_wait_stopped(struct pty *pty)
{
    wait_shell(pty, 'S');
}

void pty_continue(struct pty *pty)
{
    if (write(pty->shell_tell, "c", 1) != 1)
        give_up(pty, "the shell has gone");
}

int pty_wait_ended(struct pty *pty)
{
    return wait_shell(pty, 'X');
}

int pty_terminated(struct pty *pty)
{
    pty_signal(pty, SIGTERM);
    int status = pty_wait_ended(pty);
    if (!WIFEXITED(status))
        give_up(pty, "the driver did not end by itself at SIGTERM");
    return WEXITSTATUS(status);
}

void pty_hang_up(struct pty *pty)
{
    close(pty->master);
    pty->master = -1;
}

void pty_wait_left(struct pty *pty)
{
    while (pty->alternate || !pty->cursor_shown)
        if (wait_for(&pty->master, 1) < 0 || !read_terminal(pty))
            give_up(pty, "the alternate screen was not left");
}

void pty_wait_shows(struct pty *pty, const char *text)
{
    while (!pty_shows(pty, text))
        if (wait_for(&pty->master, 1) < 0 || !read_terminal(pty))
            give_up(pty, text);
}

bool pty_sane(struct pty *pty)
{
    struct termios now = {0};
    /* Modes give no event to wait for: look again after a moment, until the deadline. */
    for (int i = 0; i < DEADLINE_MS / 10; i++) {
        tcgetattr(pty->master, &now);
        if (now.c_lflag == pty->before.c_lflag && now.c_iflag == pty->before.c_iflag &&
            now.c_oflag == pty->before.c_oflag)
            return true;
        poll(NULL, 0, 10);
    }
    return false;
}
