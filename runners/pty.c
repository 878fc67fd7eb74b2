#include "runners/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void close_both(struct pty *pty)
{
    close_fd(&pty->leader);
    close_fd(&pty->terminal);
}

/* The other end, whatever directory the terminal's name is in. */
static int open_other_end(struct pty *pty)
{
    struct termios modes;
    pty->terminal = ioctl(pty->leader, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (pty->terminal < 0)
        return errno;
    if (tcgetattr(pty->terminal, &modes) == 0 && !(modes.c_iflag & IUTF8)) {
        modes.c_iflag |= IUTF8; /* erasing takes whole characters */
        (void)tcsetattr(pty->terminal, TCSANOW, &modes);
    }
    return ioctl(pty->leader, TIOCSWINSZ, &pty->size) != 0 ? errno : 0;
}

int pty_open(struct pty *pty)
{
    pty->leader = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (pty->leader < 0)
        return errno;
    int errnum = grantpt(pty->leader) != 0 || unlockpt(pty->leader) != 0 ? errno : 0;
    if (!errnum)
        errnum = open_other_end(pty);
    if (errnum)
        close_both(pty);
    return errnum;
}

int pty_adopt(struct pty *pty, int leader)
{
    close_both(pty);
    pty->leader = leader;
    int errnum = open_other_end(pty);
    if (errnum)
        close_both(pty);
    return errnum;
}

static void wipe(struct pty *pty)
{
    if (pty->waiting.data)
        explicit_bzero(pty->waiting.data, pty->waiting.cap);
}

void pty_close(struct pty *pty)
{
    close_both(pty);
    wipe(pty);
    buf_release(&pty->waiting);
}

void pty_resize(struct pty *pty, struct winsize size)
{
    if (size.ws_row == pty->size.ws_row && size.ws_col == pty->size.ws_col)
        return;
    pty->size = size;
    pty->marked = false;
    if (pty->leader >= 0)
        (void)ioctl(pty->leader, TIOCSWINSZ, &size);
}

bool pty_type(struct pty *pty, const char *bytes, size_t n)
{
    pty_flush(pty);
    pty->dropping = n > PTY_WAITING - pty->waiting.len || (pty->dropping && pty->waiting.len > 0);
    if (pty->dropping)
        return false;
    if (!pty->waiting.data) /* in one piece, so that none of it stays where it grew out of */
        (void)buf_reserve(&pty->waiting, PTY_WAITING + 1);
    buf_add(&pty->waiting, bytes, n);
    pty_flush(pty);
    return true;
}

void pty_flush(struct pty *pty)
{
    struct buf *waiting = &pty->waiting;
    size_t done = 0;
    while (pty->leader >= 0 && done < waiting->len) {
        ssize_t n = write(pty->leader, waiting->data + done, waiting->len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    if (done == 0)
        return;
    memmove(waiting->data, waiting->data + done, waiting->len - done);
    explicit_bzero(waiting->data + waiting->len - done, done);
    buf_truncate(waiting, waiting->len - done);
}

bool pty_holds(const struct pty *pty)
{
    struct pollfd wait = {.fd = pty->leader, .events = POLLIN};
    return pty->leader >= 0 && poll(&wait, 1, 0) > 0 && (wait.revents & POLLIN);
}

size_t pty_mark(struct pty *pty, char out[RUNNER_SIZE_MARK])
{
    if (pty->marked)
        return 0;
    pty->marked = true;
    return (size_t)snprintf(out, RUNNER_SIZE_MARK, RUNNER_SIZE_MARK_BEGIN "%u;%u\x1b\\",
                            pty->size.ws_row, pty->size.ws_col);
}
