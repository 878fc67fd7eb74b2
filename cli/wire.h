/*
 * wire.h - what a kiln that watches and a command that asks it say to each other over a socket, and
 * where they meet. The format is described at the head of wire.c.
 *
 * serve.c is the watcher's side, ask.c the other. Plain functions without state; any thread.
 */
#ifndef KILN_CLI_WIRE_H
#define KILN_CLI_WIRE_H

#include "base/arena.h"
#include "base/buf.h"
#include "engine/event.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define WIRE_MAX_REQUEST ((size_t)4 << 20) /* an environment can be big */
#define WIRE_MAX_FRAME   ((size_t)64 << 20)

#define WIRE_ACK_MS    45   /* a watcher that has not taken a request up by then is done without */
#define WIRE_PING_MS   1000 /* between two signs of life while a run goes on */
#define WIRE_SILENT_MS 5000 /* without one the watcher is given up */

enum wire_frame {
    WIRE_REQUEST = 1, /* to the watcher: struct wire_request */
    WIRE_CANCEL,      /* to the watcher: the person wants it ended */
    WIRE_ACK,         /* taken up; what follows may take its time */
    WIRE_EVENT,       /* struct event */
    WIRE_PING,
    WIRE_DONE, /* a uint32_t: the exit code */
    WIRE_NO,   /* it can't be told here (any more): why, for whoever debugs it */
    WIRE_N
};

/* What a process is and where it stands, as far as a step that it runs could tell. Two of them that
 * are equal could run each other's steps. */
struct wire_stand {
    uint64_t exe[3];           /* the program: device, inode, modification time */
    uint64_t top[2];           /* the root directory */
    uint64_t namespaces[5][2]; /* mount, user, network, process, host name */
    uint64_t umask;
};

struct wire_request {
    struct wire_stand stand;
    const char *root, *config; /* absolute */
    uint64_t project[2];       /* the root's device and inode */
    uint64_t stamp[5];         /* the config file's: device, inode, size, times */
    const char *const *env;    /* NAME=VALUE */
    size_t n_env;
    const char *const *steps;
    size_t n_steps;
    bool keep_going;
    const char *tree; /* of git, in hexadecimal: did the steps of the hook pass on it? "": a run */
};

/* False where /proc does not tell. */
bool wire_stand(struct wire_stand *out);
void wire_stamp(const struct stat *st, uint64_t out[5]);

/* Opens the private directory of the sockets (-1: there is none, or it is not private) and tells
 * the socket's name in it. make: makes it when missing. Through the descriptor's entry in /proc the
 * name always fits into an address. */
int wire_dir_open(bool make);
#define WIRE_NAME_SIZE 32
void wire_name(const char *root, const char *config, char name[WIRE_NAME_SIZE]);
struct sockaddr_un;
void wire_address(int dir_fd, const char *name, struct sockaddr_un *out);
/* Whether the other end is the same user, in the same group. */
bool wire_peer_is_me(int fd);

/* Add a frame. */
void wire_put(struct buf *out, enum wire_frame type, const void *payload, size_t n);
void wire_put_request(struct buf *out, const struct wire_request *request);
void wire_put_event(struct buf *out, const struct event *event);

enum wire_got { WIRE_GOT, WIRE_MORE, WIRE_BAD };
/* Takes the frame at *at; then *at is behind it. MORE: it is not all there yet; BAD: no frame, or
 * one of more than max bytes. */
enum wire_got wire_take(const struct buf *in, size_t *at, size_t max, enum wire_frame *type,
                        const char **payload, size_t *n);
/* Read a payload; strings stay in it, lists go into the arena. False when it is none. */
bool wire_get_request(const char *payload, size_t n, struct arena *arena, struct wire_request *out);
bool wire_get_event(const char *payload, size_t n, struct arena *arena, struct event *out);

#endif
