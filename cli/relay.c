#include "cli/relay.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define PIECE 16384

struct side {
    struct relay *relay;
    struct side *other;
    int fd;
    bool open;
    bool polled; /* the handle is there */
    uv_poll_t poll;
    struct buf waiting; /* to be written here; until it is, the other side is not read */
};

struct relay {
    uv_loop_t *loop;
    struct side user;    /* raw's */
    struct side command; /* the leader of its terminal */
    struct runner_terminal terminal;
    struct raw raw; /* the user's */
    bool going, over;
    void (*gone)(void *ctx);
    void *ctx;
};

void relay_resize(struct relay *relay)
{
    struct winsize size;
    if (relay && relay->command.fd >= 0 && ioctl(relay->user.fd, TIOCGWINSZ, &size) == 0)
        (void)ioctl(relay->command.fd, TIOCSWINSZ, &size);
}

/* -- the command's terminal -------------------------------------------------------------------- */

static void close_terminal(struct relay *relay)
{
    if (relay->command.fd >= 0)
        close(relay->command.fd);
    if (relay->terminal.fd >= 0)
        close(relay->terminal.fd);
    relay->command.fd = relay->terminal.fd = -1;
}

/* Its other end is held, too: it is no hang-up when programs have closed theirs for a while. */
static void on_replaced(void *ctx, int leader)
{
    struct relay *relay = ctx;
    if (relay->over || relay->going) {
        close(leader);
        return;
    }
    close_terminal(relay);
    relay->command.fd = leader;
    relay->terminal.fd = ioctl(leader, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    relay_resize(relay);
}

static int open_terminal(struct relay *relay, struct err *err)
{
    if (raw_open(&relay->raw, err) < 0)
        return -(int)err->kind;
    relay->user.fd = relay->raw.fd;
    int leader = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    relay->command.fd = leader;
    if (leader < 0 || grantpt(leader) < 0 || unlockpt(leader) < 0)
        return err_sys(err, errno, "cannot make a terminal for the shell");
    relay->terminal.fd = open(ptsname(leader), O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (relay->terminal.fd < 0)
        return err_sys(err, errno, "cannot open a terminal for the shell");
    (void)tcsetattr(relay->terminal.fd, TCSANOW, &relay->raw.before);
    relay_resize(relay);
    return 0;
}

int relay_new(uv_loop_t *loop, void (*gone)(void *ctx), void *ctx, struct relay **out,
              struct err *err)
{
    struct relay *relay = mem_zalloc(1, sizeof *relay);
    *relay = (struct relay){.loop = loop,
                            .raw = RAW_INIT,
                            .user = {.relay = relay, .other = &relay->command, .fd = -1},
                            .command = {.relay = relay, .other = &relay->user, .fd = -1},
                            .terminal = {.fd = -1, .replaced = on_replaced, .ctx = relay},
                            .gone = gone,
                            .ctx = ctx};
    if (open_terminal(relay, err) < 0) {
        relay_free(relay);
        return -(int)err->kind;
    }
    *out = relay;
    return 0;
}

const struct runner_terminal *relay_terminal(const struct relay *relay)
{
    return &relay->terminal;
}

void relay_free(struct relay *relay)
{
    if (!relay)
        return;
    close_terminal(relay);
    raw_close(&relay->raw);
    buf_release(&relay->user.waiting);
    buf_release(&relay->command.waiting);
    free(relay);
}

/* -- passing on -------------------------------------------------------------------------------- */

static void on_ready(uv_poll_t *poll, int status, int events);

static void listen_to(struct side *side)
{
    int events =
        (side->other->waiting.len ? 0 : UV_READABLE) | (side->waiting.len ? UV_WRITABLE : 0);
    if (side->open && events)
        uv_poll_start(&side->poll, events, on_ready);
    else if (side->polled)
        uv_poll_stop(&side->poll);
}

/* False when nothing can be written there any more. */
static bool flush(struct side *side)
{
    struct buf *waiting = &side->waiting;
    ssize_t n = 1;
    while (waiting->len && n > 0) {
        n = write(side->fd, waiting->data, waiting->len);
        if (n <= 0)
            break;
        memmove(waiting->data, waiting->data + n, waiting->len - (size_t)n);
        waiting->len -= (size_t)n;
    }
    return n > 0 || errno == EAGAIN || errno == EINTR;
}

/* False at its end. */
static bool take(struct side *side)
{
    struct buf *to = &side->other->waiting;
    ssize_t n = read(side->fd, buf_reserve(to, PIECE), PIECE);
    if (n > 0)
        to->len += (size_t)n;
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct side *side = poll->data;
    struct relay *relay = side->relay;
    bool ends = status < 0;
    if (!ends && (events & UV_READABLE) && !side->other->waiting.len) {
        ends = !take(side);
        if (!flush(side->other))
            buf_reset(&side->other->waiting);
    }
    if (!ends && (events & UV_WRITABLE))
        ends = !flush(side);
    if (ends) {
        side->open = false;
        buf_reset(&side->waiting);
    }
    listen_to(&relay->user);
    listen_to(&relay->command);
    if (ends && side == &relay->user) /* of which only its session's leader is told */
        relay->gone(relay->ctx);
}

static void open_side(struct side *side)
{
    side->open = side->polled = uv_poll_init(side->relay->loop, &side->poll, side->fd) == 0;
    side->poll.data = side;
}

void relay_begin(struct relay *relay)
{
    if (!relay || relay->over || relay->going)
        return;
    raw_begin(&relay->raw);
    relay->going = true;
    open_side(&relay->user);
    open_side(&relay->command);
    listen_to(&relay->user);
    listen_to(&relay->command);
}

void relay_stop(struct relay *relay, uv_signal_t *signal, uv_signal_cb cb)
{
    raw_stop(&relay->raw, signal, cb);
    relay_resize(relay);
}

void relay_go_on(struct relay *relay)
{
    if (relay)
        raw_go_on(&relay->raw);
}

static void handle_closed(uv_handle_t *handle)
{
    (void)handle;
}

static void give_back(struct relay *relay)
{
    relay->over = true;
    if (!relay->going)
        return;
    relay->going = false;
    if (relay->user.polled)
        uv_close((uv_handle_t *)&relay->user.poll, handle_closed);
    if (relay->command.polled)
        uv_close((uv_handle_t *)&relay->command.poll, handle_closed);
    raw_end(&relay->raw);
}

void relay_end(struct relay *relay)
{
    if (!relay)
        return;
    struct buf *rest = &relay->user.waiting;
    while (relay->going && relay->user.open) {
        if (rest->len && file_write_all(relay->user.fd, rest->data, rest->len) < 0)
            break;
        buf_reset(rest);
        if (!take(&relay->command) || !rest->len)
            break;
    }
    give_back(relay);
}

void relay_hang_up(struct relay *relay)
{
    if (!relay)
        return;
    give_back(relay);
    close_terminal(relay); /* shells are deaf to SIGTERM */
}
