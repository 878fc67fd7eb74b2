/*
 * plain_annotate.c - the page of a run that failed, shown above a build by Buildkite's own program
 * (see plain_private.h).
 *
 * Each job has its place there, so that jobs of one build do not overwrite one another's.
 */
#include "cli/plain_private.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/spawn.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 10000 }; /* it asks a server, again and again where that is away */

extern char **environ;

/* It reads that descriptor; what it has to say of errors is for who reads the log. */
static int spawn(int page, char *context, pid_t *pid)
{
    char name[] = "buildkite-agent", what[] = "annotate", style[] = "--style=error";
    char *argv[] = {name, what, style, context, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    spawn_apart(&attributes);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, page, 0);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    int errnum = posix_spawnp(pid, name, &files, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return errnum;
}

/* Waits for its end; kills it when it takes too long. True: it ended by itself. */
static bool ends(pid_t pid)
{
    struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
    uint64_t deadline = clock_monotonic_ns() + PATIENCE_MS * UINT64_C(1000000), now;
    bool ended = false;
    while (end.fd >= 0 && !ended && (now = clock_monotonic_ns()) < deadline)
        ended = poll(&end, 1, (int)((deadline - now) / 1000000) + 1) == 1;
    if (!ended)
        kill(-pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (end.fd >= 0)
        close(end.fd);
    return ended;
}

void plain_annotate(const struct buf *page, struct buf *text)
{
    const char *job = getenv("BUILDKITE_JOB_ID");
    char *context = mem_printf("--context=kiln%s%s", job ? "-" : "", job ? job : "");
    int fd = memfd_create("kiln-page", MFD_CLOEXEC);
    pid_t pid;
    if (fd >= 0 && file_write_all(fd, page->data, page->len) == 0 && lseek(fd, 0, SEEK_SET) == 0 &&
        spawn(fd, context, &pid) == 0 && !ends(pid))
        buf_addf(text, "kiln: buildkite-agent was not done with the annotation after %d s\n",
                 PATIENCE_MS / 1000);
    if (fd >= 0)
        close(fd);
    free(context);
}
