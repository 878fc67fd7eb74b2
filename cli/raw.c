#include "cli/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

bool raw_possible(void)
{
    struct termios modes;
    return isatty(STDOUT_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp() &&
           tcgetattr(STDIN_FILENO, &modes) == 0;
}

int raw_open(struct raw *raw, struct err *err)
{
    raw->fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (raw->fd < 0 || tcgetattr(raw->fd, &raw->before) != 0)
        return err_sys(err, errno, "cannot open the terminal");
    return 0;
}

void raw_begin(struct raw *raw)
{
    struct guard_terms terms = {
        .fd = raw->fd, .sane = raw->before, .raw = raw->before, .restore = ""};
    struct err none = ERR_INIT; /* without a guard it is only kill -9 that nobody puts right */
    cfmakeraw(&terms.raw);
    raw->modes = terms.raw;
    if (guard_new(&terms, &raw->guard, &none) == 0)
        guard_hold(raw->guard, true);
    err_release(&none);
    raw->on = tcsetattr(raw->fd, TCSADRAIN, &terms.raw) == 0;
}

void raw_end(struct raw *raw)
{
    if (raw->on)
        (void)tcsetattr(raw->fd, TCSANOW, &raw->before);
    raw->on = false;
    guard_free(raw->guard);
    raw->guard = NULL;
}

void raw_stop(struct raw *raw, uv_signal_t *signal, uv_signal_cb cb)
{
    bool on = raw->on;
    if (on)
        raw_end(raw);
    /* With nobody listening it has its default effect again. */
    uv_signal_stop(signal);
    kill(0, SIGTSTP);
    uv_signal_start(signal, cb, SIGTSTP);
    if (on)
        raw_begin(raw);
}

void raw_go_on(struct raw *raw)
{
    if (raw->on)
        (void)tcsetattr(raw->fd, TCSADRAIN, &raw->modes);
}

void raw_close(struct raw *raw)
{
    if (raw->fd >= 0)
        close(raw->fd);
    raw->fd = -1;
}
