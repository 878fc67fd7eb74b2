/*
 * wire.h - kiln's end of the conversation with the warden: making one, packing a command, sending
 * one message.
 *
 * What goes over it is described in warden.h. Loop thread; nothing here waits.
 */
#ifndef KILN_RUNNERS_WIRE_H
#define KILN_RUNNERS_WIRE_H

#include "runners/runner.h"
#include "runners/warden.h"

struct wire_message {
    struct warden_request request;
    int fds[WARDEN_FDS]; /* owned; all -1 when there are none */
};

/* Forks a warden. Returns its pid and in *sock kiln's end of the socket, or -1 with errno. */
pid_t wire_open(int *sock);
/* Returns a memfd with the payload of the request, to be run in folder, and its size; or -1 with
 * errno. */
int wire_pack(const struct runner_request *request, const char *folder, uint64_t *size);
/* Sends without waiting; the descriptors stay the message's. Returns 0, or errno: EAGAIN when there
 * is no room. */
int wire_send(int sock, struct wire_message *message);
/* Closes the descriptors. */
void wire_drop(struct wire_message *message);

#endif
