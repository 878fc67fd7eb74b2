#include "runners/wire.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void wire_drop(struct wire_message *out)
{
    for (int i = 0; i < WARDEN_FDS; i++)
        close_fd(&out->fds[i]);
}

int wire_send(int sock, struct wire_message *out)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof out->fds)];
    } control;
    struct iovec iov = {&out->request, sizeof out->request};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    if (out->fds[0] >= 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof out->fds);
        memcpy(CMSG_DATA(head), out->fds, sizeof out->fds);
    }
    ssize_t n;
    do
        n = sendmsg(sock, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return 0;
    /* Too many descriptors on their way, no memory for them: it passes as the warden takes them. */
    return errno == ETOOMANYREFS || errno == ENOBUFS || errno == ENOMEM ? EAGAIN : errno;
}

static size_t string_sizes(const char *const *strings, uint32_t *count)
{
    size_t size = 0;
    *count = 0;
    for (; strings && strings[*count]; ++*count)
        size += strlen(strings[*count]) + 1;
    return size;
}

static char *put_string(char *at, const char *string)
{
    size_t n = strlen(string) + 1;
    memcpy(at, string, n);
    return at + n;
}

/* Room for any name that the lookup can make. */
static size_t scratch_size(const struct runner_request *request)
{
    const char *path = WARDEN_DEFAULT_PATH;
    for (const char *const *var = request->envp; var && *var; var++)
        if (strncmp(*var, "PATH=", 5) == 0) {
            path = *var + 5;
            break;
        }
    return strlen(path) + strlen(request->argv[0]) + 2;
}

int wire_pack(const struct runner_request *request, const char *folder, uint64_t *size)
{
    struct warden_payload head;
    size_t argv_size = string_sizes(request->argv, &head.argc);
    size_t envp_size = string_sizes(request->envp, &head.envc);
    head.strings = sizeof head + ((size_t)head.argc + head.envc + 3) * sizeof(char *);
    head.scratch = head.strings + strlen(folder) + 1 + argv_size + envp_size;
    *size = head.scratch + scratch_size(request);
    char *payload = mem_zalloc(*size, 1);
    memcpy(payload, &head, sizeof head);
    char *at = put_string(payload + head.strings, folder);
    for (uint32_t i = 0; i < head.argc; i++)
        at = put_string(at, request->argv[i]);
    for (uint32_t i = 0; i < head.envc; i++)
        at = put_string(at, request->envp[i]);
    int fd = memfd_create("kiln-request", MFD_CLOEXEC);
    if (fd >= 0 && file_write_all(fd, payload, *size) != 0) {
        int errnum = errno;
        close_fd(&fd);
        errno = errnum;
    }
    free(payload);
    return fd;
}

/* Moves a descriptor above the standard ones, which the warden needs for itself. */
static int above_standard(int fd)
{
    if (fd < 0 || fd > 2)
        return fd;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    close(fd);
    return high;
}

pid_t wire_open(int *sock)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return -1;
    pair[1] = above_standard(pair[1]);
    /* Tells the warden of our end even when somebody else holds our end of the socket. Before
     * Linux 5.3 there is only the socket. */
    int self = above_standard((int)syscall(SYS_pidfd_open, getpid(), 0));
    struct warden *warden = warden_reserve();
    pid_t pid = -1;
    if (warden && pair[1] >= 0) {
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        pid = fork();
        if (pid == 0)
            warden_run(warden, pair[1], self);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    int errnum = errno;
    if (warden)
        warden_unreserve(warden);
    close_fd(&pair[1]);
    close_fd(&self);
    if (pid < 0)
        close_fd(&pair[0]);
    *sock = pair[0];
    errno = errnum;
    return pid;
}
