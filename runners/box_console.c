/*
 * box_console.c - how the terminal that the runtime makes in a box gets to kiln.
 *
 * The runtime connects to a socket in the box's directory (--console-socket of runc and crun) and
 * sends one message of at least a byte with one descriptor (SCM_RIGHTS): the terminal's leader.
 * Nothing in the box can reach the socket, and nobody but the nest's owner can connect.
 */
#include "runners/box_private.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct box_console {
    uv_poll_t listening, connection;
    int listen_fd, connection_fd; /* -1: none */
    int n_handles;                /* not closed yet */
    bool closing;
    char *path;
    void (*made)(void *ctx, int leader);
    void *ctx;
};

static void console_free(struct box_console *console)
{
    if (console->listen_fd >= 0)
        close(console->listen_fd);
    if (console->connection_fd >= 0)
        close(console->connection_fd);
    unlink(console->path);
    free(console->path);
    free(console);
}

static void handle_closed(uv_handle_t *handle)
{
    struct box_console *console = handle->data;
    if (--console->n_handles == 0 && console->closing)
        console_free(console);
}

static void close_handle(uv_poll_t *poll)
{
    if (!uv_is_closing((uv_handle_t *)poll))
        uv_close((uv_handle_t *)poll, handle_closed);
}

/* The message's terminal; -1 when there is none in it. */
static int receive(int socket)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    char words[4096]; /* what the runtime calls it */
    struct iovec data = {words, sizeof words};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    unsigned number;
    int fd = -1;
    if (recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
        return -1;
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
        head->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(head), sizeof fd);
    int flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);
    if (fd >= 0 && (flags < 0 || ioctl(fd, TIOCGPTN, &number) < 0 ||
                    fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void on_message(uv_poll_t *poll, int status, int events)
{
    struct box_console *console = poll->data;
    (void)events;
    int leader = status < 0 ? -1 : receive(console->connection_fd);
    close_handle(poll);
    if (leader >= 0)
        console->made(console->ctx, leader);
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct box_console *console = poll->data;
    (void)events;
    if (status == 0)
        console->connection_fd =
            accept4(console->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (status == 0 && console->connection_fd < 0 && errno == EAGAIN)
        return;
    close_handle(poll);
    unlink(console->path);
    if (console->connection_fd >= 0 &&
        uv_poll_init(poll->loop, &console->connection, console->connection_fd) < 0) {
        close(console->connection_fd);
        console->connection_fd = -1;
    }
    if (console->connection_fd < 0)
        return;
    console->connection.data = console;
    console->n_handles++;
    uv_poll_start(&console->connection, UV_READABLE, on_message);
}

/* Binds the socket, also where its path is longer than an address may be; it belongs to whom the
 * directory does. */
static int bind_in(int fd, const char *dir)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat owner;
    int at = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/" BOX_CONSOLE, at);
    int rc = at < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
                     fstat(at, &owner) < 0 ||
                     fchownat(at, BOX_CONSOLE, owner.st_uid, owner.st_gid, AT_SYMLINK_NOFOLLOW) < 0
                 ? -1
                 : 0;
    int errnum = errno;
    if (at >= 0)
        close(at);
    errno = errnum;
    return rc;
}

int box_console_open(uv_loop_t *loop, const char *dir, void (*made)(void *ctx, int leader),
                     void *ctx, struct box_console **out, struct err *err)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct box_console *console = mem_zalloc(1, sizeof *console);
    console->listen_fd = fd;
    console->connection_fd = -1;
    console->path = path_join(dir, BOX_CONSOLE);
    console->made = made;
    console->ctx = ctx;
    if (fd < 0 || bind_in(fd, dir) < 0 || listen(fd, 1) < 0) {
        int errnum = errno;
        console_free(console);
        return err_sys(err, errnum, "cannot make a socket for a box's terminal in %s", dir);
    }
    int rc = uv_poll_init(loop, &console->listening, fd);
    if (rc < 0) {
        console_free(console);
        return err_sys(err, -rc, "cannot wait for a box's terminal");
    }
    console->listening.data = console;
    console->n_handles = 1;
    uv_poll_start(&console->listening, UV_READABLE, on_connection);
    *out = console;
    return 0;
}

const char *box_console_path(const struct box_console *console)
{
    return console->path;
}

void box_console_close(struct box_console *console)
{
    if (!console)
        return;
    console->closing = true;
    if (console->n_handles == 0) {
        console_free(console);
        return;
    }
    close_handle(&console->listening);
    if (console->connection_fd >= 0)
        close_handle(&console->connection);
}
