#include "runners/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

/* A stream that fills its pipe gets a larger one. Not all do: a user's pipes share one budget. */
#define FULL_PIPE 65536

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

int streams_open(struct streams *streams)
{
    int fds[2], errnum = 0;
    for (int i = 0; i < STREAMS; i++)
        streams->read[i] = streams->write[i] = -1;
    for (int i = 0; i < STREAMS && errnum == 0; i++) {
        if (pipe2(fds, O_CLOEXEC) != 0) {
            errnum = errno;
        } else {
            streams->read[i] = fds[0];
            streams->write[i] = fds[1];
            /* Our end alone: the step's own must block. */
            errnum = fcntl(fds[0], F_SETFL, O_NONBLOCK) != 0 ? errno : 0;
        }
    }
    if (errnum)
        streams_close(streams);
    return errnum;
}

void streams_close(struct streams *streams)
{
    for (int i = 0; i < STREAMS; i++) {
        close_fd(&streams->read[i]);
        close_fd(&streams->write[i]);
    }
}

int streams_watch(const struct streams *streams, int epoll, uint64_t id)
{
    for (int i = 0; i < STREAMS; i++) {
        struct epoll_event event = {.events = EPOLLIN,
                                    .data.u64 = id * STREAMS_WATCHED + (uint64_t)i};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, streams->read[i], &event) != 0)
            return errno;
    }
    return 0;
}

uint64_t streams_take(struct streams *streams, int stream, size_t max)
{
    uint64_t kept = spool_take(&streams->spool, stream + 1, streams->read[stream], max);
    if (!streams->large[stream] && kept >= FULL_PIPE) {
        streams->large[stream] = true;
        fcntl(streams->read[stream], F_SETPIPE_SZ, (int)STREAM_HOLDS);
    }
    return kept;
}

uint64_t streams_end(struct streams *streams, int stream)
{
    return spool_end(&streams->spool, stream + 1);
}
