/*
 * serve.c - the watcher's side of watcher.h: a socket, and those who ask; serve_match.c says when
 * the answer is no.
 *
 * The newest watcher of a project has the socket's name: it makes its socket under another one and
 * renames it into place, so nothing is to be tidied up after one that was killed.
 */
#include "cli/watcher.h"

#include "base/arena.h"
#include "base/mem.h"
#include "base/vec.h"
#include "cache/git_source.h"
#include "cli/hook.h"
#include "cli/serve_match.h"
#include "cli/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PIECE       ((size_t)64 * 1024)
#define SEND_BYTES  ((size_t)16 * 1024) /* enough to be worth a system call of its own */
#define MAX_WAITING ((size_t)8 << 20)   /* for somebody who does not read: then he is dropped */
#define MAX_CLIENTS 64
#define BACKLOG     32

struct client {
    struct server *server;
    int fd;
    uv_poll_t poll;
    struct buf in, out;
    size_t sent;
    struct ask *ask;
    struct git_source *source; /* that is asked about; NULL: a run is asked for */
    bool asked, answered, dropped, closing;
    bool writing; /* the loop is to say when more can be sent */
};

struct server {
    struct app *app;
    struct engine *engine;
    struct serve_match match;
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
    vec_release(&server->match.names);
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
    if (client->source) {
        int rc = git_source_save(client->source, NULL);
        (void)rc; /* the next one finds it out again */
    }
    git_source_free(client->source);
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

/* Whether the steps of the hook passed on a tree of git; NULL when the engine will say, else why it
 * can't. */
static const char *ask_about_tree(struct client *client, const struct wire_request *request)
{
    struct server *server = client->server;
    const struct app *app = server->app;
    struct hook_commit commit = {.config = (char *)(uintptr_t)app->config->path, .root = app->root};
    const char *why = NULL;
    if (strlen(request->tree) > GIT_TREE_HEX ||
        request->tree[strspn(request->tree, "0123456789abcdef")])
        return "no tree";
    if (git_place_find(app->root, &commit.place, NULL) != 0)
        return "no repository here";
    strcpy(commit.tree, request->tree);
    if (hook_source(&commit, &client->source, NULL) != 0 ||
        !hook_same_pipeline(client->source, &commit, app->config, app->lock_path))
        why = "another pipeline is committed";
    git_place_release(&commit.place);
    if (why)
        return why;
    struct engine_ask options = {
        .git = client->source, .event = on_event, .done = on_done, .ctx = client};
    options.steps = hook_steps(app->config, &options.n_steps);
    client->ask = engine_ask(server->engine, &options);
    free((void *)(uintptr_t)options.steps);
    return client->ask ? NULL : "not now, or not these steps";
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
        const char *why = serve_trouble(&server->match, &request);
        if (!why && *request.tree) {
            why = ask_about_tree(client, &request);
        } else if (!why) {
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
    int dir = serve_is_local(app->root) && wire_stand(&stand) ? wire_dir_open(true) : -1;
    if (dir < 0)
        return NULL;
    struct server *server = mem_zalloc(1, sizeof *server);
    server->app = app;
    server->engine = engine;
    server->match = (struct serve_match){.app = app, .stand = stand};
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

void serve_loaded(struct server *server, bool good)
{
    if (server)
        serve_match_loaded(&server->match, good);
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
