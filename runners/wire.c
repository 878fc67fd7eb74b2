#include "runners/wire.h"

#include "base/crypt.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void drop_payload(struct wire_message *message)
{
    if (message->secret)
        crypt_free(message->payload, message->request.size);
    else
        free(message->payload);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Puts the payload where the warden finds it. False when there is no room for now. */
static bool place(struct wire *wire, struct wire_message *message)
{
    const size_t align = sizeof(char *);
    size_t at = 0, i = 0;
    if (message->request.size > WARDEN_SHARED) { /* more than exec can take, and told like that */
        drop_payload(message);
        message->payload = NULL;
        message->request.size = 0;
    }
    for (; i < wire->payloads.n && wire->payloads.v[i].at < at + message->request.size; i++)
        at = (wire->payloads.v[i].end + align - 1) / align * align;
    if (at > WARDEN_SHARED || message->request.size > WARDEN_SHARED - at)
        return false;
    if (message->request.size)
        memcpy(wire->shared + at, message->payload, message->request.size);
    message->request.at = at;
    struct wire_payload taken = {message->request.id, at, at + message->request.size,
                                 message->secret};
    vec_push(&wire->payloads, taken);
    memmove(&wire->payloads.v[i + 1], &wire->payloads.v[i],
            (wire->payloads.n - 1 - i) * sizeof taken);
    wire->payloads.v[i] = taken;
    return true;
}

/* Returns 0, or errno: EAGAIN when there is no room. */
static int send_now(struct wire *wire, struct wire_message *message)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof message->fds)];
    } control;
    size_t n_fds = 0;
    while (n_fds < WARDEN_FDS && message->fds[n_fds] >= 0)
        n_fds++;
    struct iovec iov = {&message->request, sizeof message->request};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
    if (message->request.kind == WARDEN_START) {
        if (!place(wire, message)) {
            wire->full = false;
            return EAGAIN;
        }
        memset(&control, 0, sizeof control);
        header.msg_control = control.bytes;
        header.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *head = CMSG_FIRSTHDR(&header);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(head), message->fds, n_fds * sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(wire->sock, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    /* Too many descriptors on their way, no memory for them: it passes as the warden takes them. */
    int errnum = n < 0 ? errno : 0;
    if (errnum == ETOOMANYREFS || errnum == ENOBUFS || errnum == ENOMEM)
        errnum = EAGAIN;
    wire->full = errnum == EAGAIN;
    if (errnum && message->request.kind == WARDEN_START)
        wire_answered(wire, message->request.id);
    return errnum;
}

void wire_post(struct wire *wire, struct wire_message *message)
{
    if (wire->queue.n || send_now(wire, message) == EAGAIN) {
        vec_push(&wire->queue, *message);
        return;
    }
    drop_payload(message);
}

void wire_flush(struct wire *wire)
{
    size_t n = 0;
    while (n < wire->queue.n && send_now(wire, &wire->queue.v[n]) != EAGAIN)
        drop_payload(&wire->queue.v[n++]);
    if (n == 0)
        return;
    wire->queue.n -= n;
    memmove(wire->queue.v, wire->queue.v + n, wire->queue.n * sizeof wire->queue.v[0]);
}

void wire_answered(struct wire *wire, uint64_t id)
{
    size_t i = 0;
    while (i < wire->payloads.n && wire->payloads.v[i].id != id)
        i++;
    if (i == wire->payloads.n)
        return;
    const struct wire_payload *gone = &wire->payloads.v[i];
    if (gone->secret)
        explicit_bzero(wire->shared + gone->at, gone->end - gone->at);
    wire->payloads.n--;
    memmove(&wire->payloads.v[i], &wire->payloads.v[i + 1],
            (wire->payloads.n - i) * sizeof wire->payloads.v[0]);
}

void wire_drop(struct wire *wire)
{
    vec_each (struct wire_message, message, &wire->queue)
        drop_payload(message);
    vec_clear(&wire->queue);
    wire->full = false;
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

struct wire_message wire_start(const struct runner_request *request, const char *folder,
                               const struct buf *nest, uint64_t id)
{
    struct warden_payload head = {0};
    size_t argv_size = string_sizes(request->argv, &head.argc);
    size_t envp_size = string_sizes(request->envp, &head.envc);
    head.strings = sizeof head + ((size_t)head.argc + head.envc + 3) * sizeof(char *);
    head.scratch = head.strings + strlen(folder) + 1 + argv_size + envp_size;
    size_t size = head.scratch + scratch_size(request);
    if (nest) {
        head.nest = (size + 7) / 8 * 8;
        size = head.nest + nest->len;
    }
    char *payload = request->secret ? crypt_alloc(size) : mem_zalloc(size, 1);
    memcpy(payload, &head, sizeof head);
    char *at = put_string(payload + head.strings, folder);
    for (uint32_t i = 0; i < head.argc; i++)
        at = put_string(at, request->argv[i]);
    for (uint32_t i = 0; i < head.envc; i++)
        at = put_string(at, request->envp[i]);
    if (nest)
        memcpy(payload + head.nest, nest->data, nest->len);
    return (struct wire_message){.request = {.kind = WARDEN_START, .id = id, .size = size},
                                 .fds = {-1, -1, -1, -1, -1},
                                 .payload = payload,
                                 .secret = request->secret};
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

int wire_open(struct wire *wire)
{
    int pair[2] = {-1, -1}, self = -1, errnum = 0;
    struct warden *warden = NULL;
    *wire = (struct wire){.sock = -1};
    wire->shared = mmap(NULL, WARDEN_SHARED, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (wire->shared == MAP_FAILED) {
        wire->shared = NULL;
        return errno;
    }
    (void)madvise(wire->shared, WARDEN_SHARED, MADV_DONTDUMP); /* it may hold secrets */
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0 ||
        (pair[1] = above_standard(pair[1])) < 0 || !(warden = warden_reserve())) {
        errnum = errno;
    } else {
        sigset_t all, before;
        /* Tells the warden of our end even when somebody else holds our end of the socket. Before
         * Linux 5.3 there is only the socket. */
        self = above_standard((int)syscall(SYS_pidfd_open, getpid(), 0));
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        wire->warden = fork();
        if (wire->warden == 0)
            warden_run(warden, wire->shared, pair[1], self);
        errnum = wire->warden < 0 ? errno : 0;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    if (warden)
        warden_unreserve(warden);
    close_fd(&pair[1]);
    close_fd(&self);
    wire->sock = pair[0];
    if (errnum) {
        wire->warden = 0;
        wire_close(wire);
    }
    return errnum;
}

void wire_close(struct wire *wire)
{
    wire_drop(wire);
    vec_release(&wire->queue);
    vec_release(&wire->payloads);
    close_fd(&wire->sock);
    if (wire->shared)
        munmap(wire->shared, WARDEN_SHARED);
    wire->shared = NULL;
}
