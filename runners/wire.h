/*
 * wire.h - kiln's end of the conversation with the warden: making one, packing commands, sending
 * messages in order.
 *
 * What goes over it is described in warden.h. Loop thread; nothing here waits.
 */
#ifndef KILN_RUNNERS_WIRE_H
#define KILN_RUNNERS_WIRE_H

#include "base/buf.h"
#include "base/vec.h"
#include "runners/runner.h"
#include "runners/warden.h"

#include <stdbool.h>

struct wire_message {
    struct warden_request request;
    int fds[WARDEN_FDS]; /* START: the caller's, open until it is answered; -1 behind the last */
    char *payload;       /* owned, or NULL; request.size bytes; crypt_alloc()'s when secret */
    bool secret;         /* what it holds shall be nowhere once it is answered */
};

/* A piece of the shared memory. */
struct wire_payload {
    uint64_t id;
    size_t at, end;
    bool secret; /* to be wiped */
};

struct wire {
    pid_t warden; /* 0 once it has ended */
    int sock;     /* -1 once closed */
    char *shared;
    VEC(struct wire_payload) payloads; /* of STARTs without answer, by place */
    VEC(struct wire_message) queue;    /* what there was no room for ... */
    bool full;                         /* ... in the socket; else it waits for answers */
};

/* Forks a warden. Returns 0 or an errno, and then nothing is left open. */
int wire_open(struct wire *wire);
/* Closes what is open and drops what waits; the warden ends with it. */
void wire_close(struct wire *wire);
/* Makes the START of a request that is to be run in folder. nest: a packed one (nest.h), or NULL.
 */
struct wire_message wire_start(const struct runner_request *request, const char *folder,
                               const struct buf *nest, uint64_t id);
/* Sends the message, or keeps it for later; takes its payload. Failing for good means that the
 * warden is gone, which the end of the socket tells too. */
void wire_post(struct wire *wire, struct wire_message *message);
/* Sends what has been kept, as far as there is room. */
void wire_flush(struct wire *wire);
/* A START has been answered: its payload is no longer needed. */
void wire_answered(struct wire *wire, uint64_t id);
/* Forgets what has been kept. */
void wire_drop(struct wire *wire);

#endif
