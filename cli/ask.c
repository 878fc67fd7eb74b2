/*
 * ask.c - the command's side of watcher.h: nothing is opened but a socket, no file of the project
 * but its kiln.json is looked at.
 */
#include "cli/watcher.h"

#include "base/arena.h"
#include "base/mem.h"
#include "base/text.h"
#include "cli/wire.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PIECE   ((size_t)256 * 1024)
#define TICK_MS 100

extern char **environ;

struct talk {
    const struct asking *asking;
    int fd, signals;
    struct buf in;
    size_t at; /* in.data before this was taken */
    struct arena arena;
    bool taken_up, told; /* an ACK has come; an event has */
    bool ended;
    int code;   /* then; -1: it has to be done here */
    int signal; /* that the person sent; 0: none */
};

static uint64_t now_ms(void)
{
    return clock_monotonic_ns() / 1000000;
}

/* A connected socket to a watcher of the same user, or -1. */
static int reach(const struct asking *asking)
{
    struct sockaddr_un address;
    char name[WIRE_NAME_SIZE];
    int dir = wire_dir_open(false);
    if (dir < 0)
        return -1;
    wire_name(asking->root, asking->config, name);
    wire_address(dir, name, &address);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool reached = fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
                   wire_peer_is_me(fd);
    close(dir);
    if (reached)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool make_request(const struct asking *asking, struct buf *out)
{
    struct wire_request request = {.root = asking->root,
                                   .config = asking->config,
                                   .env = (const char *const *)environ,
                                   .steps = asking->options->args,
                                   .n_steps = asking->options->n_args,
                                   .keep_going = asking->options->keep_going,
                                   .tree = asking->tree ? asking->tree : ""};
    struct stat project, config;
    if (!wire_stand(&request.stand) || stat(asking->root, &project) != 0 ||
        stat(asking->config, &config) != 0)
        return false;
    request.project[0] = project.st_dev;
    request.project[1] = project.st_ino;
    wire_stamp(&config, request.stamp);
    while (environ && environ[request.n_env])
        request.n_env++;
    wire_put_request(out, &request);
    return out->len <= WIRE_MAX_REQUEST;
}

/* False when it does not get out in time. */
static bool send_all(int fd, const struct buf *bytes, uint64_t deadline_ms)
{
    for (size_t done = 0; done < bytes->len;) {
        ssize_t n = send(fd, bytes->data + done, bytes->len - done, MSG_NOSIGNAL);
        if (n > 0) {
            done += (size_t)n;
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        uint64_t now = now_ms();
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        if ((n < 0 && errno != EAGAIN) || now >= deadline_ms ||
            poll(&wait, 1, (int)(deadline_ms - now)) <= 0)
            return false;
    }
    return true;
}

static void on_frame(struct talk *talk, enum wire_frame type, const char *payload, size_t n)
{
    struct event event;
    uint32_t code;
    switch (type) {
    case WIRE_ACK: talk->taken_up = true; break;
    case WIRE_EVENT:
        if (!wire_get_event(payload, n, &talk->arena, &event)) {
            talk->ended = true;
            break;
        }
        talk->told = true;
        talk->asking->event(talk->asking->ctx, &event);
        arena_release(&talk->arena);
        break;
    case WIRE_DONE:
        talk->ended = true;
        if (n == sizeof code) {
            memcpy(&code, payload, sizeof code);
            talk->code = (int)code;
        }
        break;
    case WIRE_PING: break;
    case WIRE_NO:
    case WIRE_REQUEST:
    case WIRE_CANCEL:
    case WIRE_N: talk->ended = true; break;
    }
}

/* Takes in what has come. */
static void listen_to(struct talk *talk)
{
    ssize_t got = recv(talk->fd, buf_reserve(&talk->in, PIECE), PIECE, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        talk->ended = true;
        return;
    }
    talk->in.len += (size_t)got;
    enum wire_got found = WIRE_GOT;
    while (!talk->ended && found == WIRE_GOT) {
        enum wire_frame type;
        const char *payload;
        size_t n;
        found = wire_take(&talk->in, &talk->at, WIRE_MAX_FRAME, &type, &payload, &n);
        if (found == WIRE_GOT)
            on_frame(talk, type, payload, n);
        talk->ended |= found == WIRE_BAD;
    }
    memmove(talk->in.data, talk->in.data + talk->at, talk->in.len - talk->at);
    talk->in.len -= talk->at;
    talk->at = 0;
}

static void on_signal(struct talk *talk)
{
    struct signalfd_siginfo info;
    struct buf cancel = BUF_INIT;
    if (read(talk->signals, &info, sizeof info) != sizeof info)
        return;
    if (talk->signal) /* asked twice: no more patience */
        talk->ended = true;
    talk->signal = (int)info.ssi_signo;
    wire_put(&cancel, WIRE_CANCEL, NULL, 0);
    if (!send_all(talk->fd, &cancel, now_ms()))
        talk->ended = true;
    buf_release(&cancel);
}

/* What ends a command, while somebody else does its work: it is passed on. */
static void catch_signals(struct talk *talk, sigset_t *before)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction now;
        /* Under nohup a command outlives its terminal. */
        if (numbers[i] == SIGHUP && sigaction(SIGHUP, NULL, &now) == 0 && now.sa_handler == SIG_IGN)
            continue;
        sigaddset(&set, numbers[i]);
    }
    sigprocmask(SIG_BLOCK, &set, before);
    talk->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void converse(struct talk *talk, uint64_t ack_ms)
{
    uint64_t heard = now_ms();
    while (!talk->ended) {
        uint64_t now = now_ms(), end = talk->taken_up ? heard + WIRE_SILENT_MS : ack_ms;
        uint64_t wait = end > now ? end - now : 0;
        struct pollfd fds[] = {{.fd = talk->fd, .events = POLLIN},
                               {.fd = talk->signals, .events = POLLIN}};
        int n = poll(fds, 2, (int)(wait < TICK_MS ? wait : TICK_MS));
        if (n == 0 && now_ms() >= end)
            return;
        if (n > 0 && fds[1].revents)
            on_signal(talk);
        if (n > 0 && fds[0].revents) {
            listen_to(talk);
            heard = now_ms();
        }
        if (talk->told && !talk->ended)
            talk->asking->tick(talk->asking->ctx);
    }
}

static void say_gone(const struct talk *talk)
{
    struct event event = {
        .type = EVENT_NOTICE,
        .time_ns = clock_realtime_ns(),
        .u.notice = {.level = "warning",
                     .text = "the kiln that watches this project did not finish the run: doing it "
                             "here, from the start"}};
    talk->asking->event(talk->asking->ctx, &event);
}

bool watcher_ask(const struct asking *asking, int *code)
{
    uint64_t deadline = now_ms() + WIRE_ACK_MS;
    struct talk talk = {.asking = asking, .fd = reach(asking), .signals = -1, .code = -1};
    struct buf request = BUF_INIT;
    sigset_t before;
    if (talk.fd < 0)
        return false;
    if (make_request(asking, &request) && send_all(talk.fd, &request, deadline)) {
        catch_signals(&talk, &before);
        converse(&talk, deadline);
        if (talk.signals >= 0)
            close(talk.signals);
        if (talk.told && talk.code < 0 && !talk.signal)
            say_gone(&talk);
        sigprocmask(SIG_SETMASK, &before, NULL);
    }
    *code = talk.signal ? 128 + talk.signal : talk.code;
    close(talk.fd);
    buf_release(&request);
    buf_release(&talk.in);
    arena_release(&talk.arena);
    return *code >= 0;
}
