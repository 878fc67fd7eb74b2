/*
 * serve.c - the watcher's side of watcher.h: a socket, those who ask, and when the answer is no.
 *
 * The newest watcher of a project has the socket's name: it makes its socket under another one and
 * renames it into place, so nothing is to be tidied up after one that was killed.
 */
#include "cli/watcher.h"

#include "base/arena.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/vec.h"
#include "cli/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PIECE        ((size_t)64 * 1024)
#define SEND_BYTES   ((size_t)16 * 1024) /* enough to be worth a system call of its own */
#define MAX_WAITING  ((size_t)8 << 20)   /* for somebody who does not read: then he is dropped */
#define MAX_CLIENTS  64
#define BACKLOG      32
#define CONFIG_BYTES ((size_t)16 << 20)
#define YOUNG_NS     UINT64_C(2000000000) /* a stamp may hide a change made right after it */

struct client {
    struct server *server;
    int fd;
    uv_poll_t poll;
    struct buf in, out;
    size_t sent;
    struct ask *ask;
    bool asked, answered, dropped, closing;
    bool writing; /* the loop is to say when more can be sent */
};

struct server {
    struct app *app;
    struct engine *engine;
    struct wire_stand stand;
    VEC(const char *) names; /* of variables whose values count */
    bool good;               /* app->config is what the engine goes by */
    bool sure;               /* its file's stamp tells every change */
    int dir, fd;
    char name[WIRE_NAME_SIZE];
    uint64_t inode;
    uv_poll_t poll;
    uv_timer_t ping;
    VEC(struct client *) clients;
    size_t n_handles; /* open */
};

static void server_gone(struct server *server)
{
    if (--server->n_handles)
        return;
    close(server->dir);
    vec_release(&server->names);
    vec_release(&server->clients);
    free(server);
}

/* -- talking ----------------------------------------------------------------------------------- */

static void client_event(uv_poll_t *poll, int status, int events);

static void client_closed(uv_handle_t *handle)
{
    struct client *client = handle->data;
    struct server *server = client->server;
    close(client->fd);
    buf_release(&client->in);
    buf_release(&client->out);
    free(client);
    server_gone(server);
}

static void client_close(struct client *client)
{
    struct server *server = client->server;
    if (client->closing)
        return;
    client->closing = true;
    for (size_t i = 0; i < server->clients.n; i++) {
        if (server->clients.v[i] == client)
            server->clients.v[i--] = vec_pop(&server->clients);
    }
    if (!server->clients.n)
        uv_timer_stop(&server->ping);
    if (client->ask)
        engine_ask_end(server->engine, client->ask, true);
    client->ask = NULL;
    uv_close((uv_handle_t *)&client->poll, client_closed);
}

/* Not here and now: the engine may be in the middle of telling something. The end of the stream
 * that this makes is found by the loop. */
static void drop(struct client *client)
{
    client->dropped = true;
    shutdown(client->fd, SHUT_RDWR);
}

static void send_out(struct client *client)
{
    while (!client->dropped && client->sent < client->out.len) {
        ssize_t n = send(client->fd, client->out.data + client->sent,
                         client->out.len - client->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0)
            client->sent += (size_t)n;
        else if (n < 0 && errno == EAGAIN)
            break;
        else if (n == 0 || errno != EINTR)
            drop(client);
    }
    if (client->sent == client->out.len) {
        buf_reset(&client->out);
        client->sent = 0;
    }
    if (client->out.len - client->sent > MAX_WAITING)
        drop(client);
}

/* now: what was said must not wait for more. */
static void said(struct client *client, bool now)
{
    if (client->closing || client->dropped)
        return;
    if (now || client->out.len - client->sent >= SEND_BYTES)
        send_out(client);
    if (client->writing == (client->out.len > 0))
        return;
    client->writing = client->out.len > 0;
    uv_poll_start(&client->poll, UV_READABLE | (client->writing ? UV_WRITABLE : 0), client_event);
}

static void on_event(void *ctx, const struct event *event)
{
    struct client *client = ctx;
    if (client->dropped)
        return;
    wire_put_event(&client->out, event);
    said(client, false);
}

static void say_no(struct client *client, const char *why)
{
    client->answered = true;
    wire_put(&client->out, WIRE_NO, why, strlen(why));
    said(client, true);
}

static void on_done(void *ctx, int exit_code)
{
    struct client *client = ctx;
    uint32_t code = (uint32_t)exit_code;
    client->ask = NULL;
    if (exit_code < 0) {
        say_no(client, "not any more");
        return;
    }
    client->answered = true;
    wire_put(&client->out, WIRE_DONE, &code, sizeof code);
    said(client, true);
}

static void on_ping(uv_timer_t *timer)
{
    struct server *server = timer->data;
    vec_each (struct client *, client, &server->clients) {
        if ((*client)->ask && !(*client)->out.len) {
            wire_put(&(*client)->out, WIRE_PING, NULL, 0);
            said(*client, true);
        }
    }
}

/* -- whether it can be told -------------------------------------------------------------------- */

static const char *variable(const struct wire_request *request, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < request->n_env; i++) {
        if (strncmp(request->env[i], name, n) == 0 && request->env[i][n] == '=')
            return request->env[i] + n + 1;
    }
    return NULL;
}

static bool same_variable(const struct wire_request *request, const char *name)
{
    const char *here = getenv(name), *there = variable(request, name);
    return here && there ? strcmp(here, there) == 0 : here == there;
}

static bool same_environment(const struct server *server, const struct wire_request *request)
{
    /* Where things lie, and what git's rules come from. */
    static const char *const always[] = {"HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME",
                                         "XDG_CONFIG_HOME", "KILN_CACHE_DIR"};
    for (size_t i = 0; i < sizeof always / sizeof *always; i++) {
        if (!same_variable(request, always[i]))
            return false;
    }
    for (size_t i = 0; i < server->names.n; i++) {
        if (!same_variable(request, server->names.v[i]))
            return false;
    }
    return true;
}

/* Whether the file that the asker has seen is the one that was read: by its stamp, and as long as
 * that is too young to tell, by its content. */
static bool same_config(struct server *server, const struct wire_request *request)
{
    const struct config *config = server->app->config;
    uint64_t stamp[5];
    wire_stamp(&server->app->config_stat, stamp);
    if (!server->good || memcmp(stamp, request->stamp, sizeof stamp) != 0)
        return false;
    if (server->sure)
        return true;
    struct buf text = BUF_INIT;
    uint64_t now = clock_realtime_ns();
    bool same = file_read(config->path, CONFIG_BYTES, &text, NULL) == 0;
    struct digest digest = digest_of(buf_str(&text), text.len);
    same = same && digest_eq(&digest, &config->text);
    server->sure = same && stamp[4] < now && now - stamp[4] > YOUNG_NS;
    buf_release(&text);
    return same;
}

/* Whether a step has a secret that may be another one by now without the watcher's knowing. */
static bool has_foreign_secrets(const struct config *config)
{
    for (size_t i = 0; i < config->n_steps; i++) {
        for (size_t k = 0; k < config->steps[i].n_secrets; k++) {
            if (config->steps[i].secrets[k].source != CONFIG_SECRET_ENV)
                return true;
        }
    }
    return false;
}

/* NULL when it can, else why not. */
static const char *trouble(struct server *server, const struct wire_request *request)
{
    const struct app *app = server->app;
    struct stat st;
    if (memcmp(&server->stand, &request->stand, sizeof server->stand) != 0)
        return "another kiln, or in other surroundings";
    if (strcmp(request->root, app->root) != 0 || strcmp(request->config, app->config->path) != 0 ||
        stat(app->root, &st) != 0 || st.st_dev != request->project[0] ||
        st.st_ino != request->project[1])
        return "another project";
    if (app->config->generate)
        return "the pipeline is generated";
    if (!same_config(server, request))
        return "another pipeline";
    if (!same_environment(server, request))
        return "another environment";
    if (has_foreign_secrets(app->config))
        return "secrets are to be fetched";
    return NULL;
}

static void on_request(struct client *client, const char *payload, size_t n)
{
    struct server *server = client->server;
    struct arena arena = ARENA_INIT;
    struct wire_request request;
    client->asked = true;
    if (!wire_get_request(payload, n, &arena, &request)) {
        drop(client);
    } else {
        const char *why = trouble(server, &request);
        if (!why) {
            struct engine_ask options = {.steps = request.steps,
                                         .n_steps = request.n_steps,
                                         .keep_going = request.keep_going,
                                         .event = on_event,
                                         .done = on_done,
                                         .ctx = client};
            client->ask = engine_ask(server->engine, &options);
            why = client->ask ? NULL : "not now, or not these steps";
        }
        if (why) {
            say_no(client, why);
        } else {
            wire_put(&client->out, WIRE_ACK, NULL, 0);
            said(client, true);
            if (!uv_is_active((uv_handle_t *)&server->ping))
                uv_timer_start(&server->ping, on_ping, WIRE_PING_MS, WIRE_PING_MS);
        }
    }
    arena_release(&arena);
}

static void on_frame(struct client *client, enum wire_frame type, const char *payload, size_t n)
{
    if (type == WIRE_REQUEST && !client->asked)
        on_request(client, payload, n);
    else if (type == WIRE_CANCEL && client->asked) {
        if (client->ask)
            engine_ask_end(client->server->engine, client->ask, false);
    } else
        drop(client);
}

/* -- the sockets ------------------------------------------------------------------------------- */

/* False at the end of the stream. */
static bool take_in(struct client *client)
{
    ssize_t got = recv(client->fd, buf_reserve(&client->in, PIECE), PIECE, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (got <= 0)
        return false;
    client->in.len += (size_t)got;
    size_t at = 0;
    enum wire_got found = WIRE_GOT;
    while (found == WIRE_GOT && !client->dropped) {
        enum wire_frame type;
        const char *payload;
        size_t n;
        found = wire_take(&client->in, &at, WIRE_MAX_REQUEST, &type, &payload, &n);
        if (found == WIRE_GOT)
            on_frame(client, type, payload, n);
    }
    memmove(client->in.data, client->in.data + at, client->in.len - at);
    client->in.len -= at;
    return found != WIRE_BAD;
}

static void client_event(uv_poll_t *poll, int status, int events)
{
    struct client *client = poll->data;
    bool open = status == 0;
    if (open && (events & UV_READABLE))
        open = take_in(client);
    if (open && (events & UV_WRITABLE))
        said(client, true);
    if (!open || (client->answered && !client->out.len))
        client_close(client);
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct server *server = poll->data;
    (void)status;
    (void)events;
    int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    struct client *client = mem_zalloc(1, sizeof *client);
    if (server->clients.n >= MAX_CLIENTS || !wire_peer_is_me(fd) ||
        uv_poll_init(&server->app->loop, &client->poll, fd) < 0) {
        close(fd);
        free(client);
        return;
    }
    client->server = server;
    client->fd = fd;
    client->poll.data = client;
    server->n_handles++;
    vec_push(&server->clients, client);
    uv_poll_start(&client->poll, UV_READABLE, client_event);
}

/* Whether every change there passes this machine's kernel, so that the watch sees it. */
static bool is_local(const char *root)
{
    static const uint32_t remote[] = {
        0x6969,     /* nfs */
        0x517b,     /* smb */
        0xff534d42, /* cifs */
        0xfe534d42, /* smb2 */
        0x65735546, /* fuse: who knows; virtiofs */
        0x01021997, /* 9p */
        0x00c36400, /* ceph */
        0x5346414f, /* afs */
        0x6b414653, /* kafs */
        0x73757245, /* coda */
        0x786f4256, /* vboxsf */
        0xbacbacbc, /* vmhgfs */
        0x7c7c6673, /* prl_fs */
        0x0bd00bd0, /* lustre */
        0x47504653, /* gpfs */
        0x01161970, /* gfs2 */
        0x7461636f, /* ocfs2 */
    };
    struct statfs fs;
    if (statfs(root, &fs) != 0)
        return false;
    for (size_t i = 0; i < sizeof remote / sizeof *remote; i++) {
        if ((uint32_t)fs.f_type == remote[i])
            return false;
    }
    return true;
}

static int open_socket(struct server *server)
{
    struct sockaddr_un address;
    struct stat st;
    char fresh[WIRE_NAME_SIZE + 16];
    wire_name(server->app->root, server->app->config->path, server->name);
    snprintf(fresh, sizeof fresh, "%s.%ld", server->name, (long)getpid());
    (void)!unlinkat(server->dir, fresh, 0); /* of a process of that number, long ago */
    wire_address(server->dir, fresh, &address);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (fchmod(fd, 0600) == 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0) {
        if (listen(fd, BACKLOG) == 0 &&
            fstatat(server->dir, fresh, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            renameat(server->dir, fresh, server->dir, server->name) == 0) {
            server->inode = st.st_ino;
            return fd;
        }
        (void)!unlinkat(server->dir, fresh, 0);
    }
    close(fd);
    return -1;
}

struct server *serve_open(struct app *app, struct engine *engine)
{
    struct wire_stand stand;
    int dir = is_local(app->root) && wire_stand(&stand) ? wire_dir_open(true) : -1;
    if (dir < 0)
        return NULL;
    struct server *server = mem_zalloc(1, sizeof *server);
    server->app = app;
    server->engine = engine;
    server->stand = stand;
    server->dir = dir;
    server->fd = open_socket(server);
    if (server->fd < 0 || uv_poll_init(&app->loop, &server->poll, server->fd) < 0) {
        if (server->fd >= 0)
            close(server->fd);
        close(dir);
        free(server);
        return NULL;
    }
    uv_timer_init(&app->loop, &server->ping);
    server->n_handles = 2;
    server->poll.data = server->ping.data = server;
    uv_poll_start(&server->poll, UV_READABLE, on_connection);
    serve_loaded(server, true);
    return server;
}

static void add_name(struct server *server, const char *name)
{
    vec_each (const char *, have, &server->names) {
        if (strcmp(*have, name) == 0)
            return;
    }
    vec_push(&server->names, name);
}

void serve_loaded(struct server *server, bool good)
{
    if (!server)
        return;
    const struct config *config = server->app->config;
    server->good = good;
    server->sure = false;
    vec_clear(&server->names);
    for (size_t i = 0; good && i < config->n_steps; i++) {
        for (size_t k = 0; k < config->steps[i].n_pass_env; k++)
            add_name(server, config->steps[i].pass_env[k].text);
        for (size_t k = 0; k < config->steps[i].n_secrets; k++) {
            const struct config_secret *secret = &config->steps[i].secrets[k];
            if (secret->source == CONFIG_SECRET_ENV)
                add_name(server, secret->from);
        }
    }
}

static void handle_closed(uv_handle_t *handle)
{
    server_gone(handle->data);
}

void serve_close(struct server *server)
{
    struct stat st;
    if (!server)
        return;
    while (server->clients.n)
        client_close(vec_last(&server->clients));
    if (fstatat(server->dir, server->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_ino == server->inode)
        (void)!unlinkat(server->dir, server->name, 0);
    uv_close((uv_handle_t *)&server->poll, handle_closed);
    uv_close((uv_handle_t *)&server->ping, handle_closed);
    close(server->fd);
}
