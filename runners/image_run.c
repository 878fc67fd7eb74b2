/* Running a program for an image, with all that it says kept: in memory, for it is little. */
#include "runners/image_private.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MOST_WORDS ((uint64_t)16 << 20)
#define GRACE_MS   5000

static int on_spool(void *ctx)
{
    return ((struct image_run *)ctx)->spool;
}

static void on_output(void *ctx, int stream, uint64_t offset, uint64_t n)
{
    struct image_run *run = ctx;
    struct buf *to = stream == 1 ? &run->out : &run->words;
    while (n) {
        char *at = buf_reserve(to, (size_t)n);
        ssize_t got = pread(run->spool, at, (size_t)n, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        to->len += (size_t)got;
        to->data[to->len] = '\0';
        offset += (uint64_t)got;
        n -= (uint64_t)got;
    }
    if (stream == 1 && run->said)
        run->said(run->ctx, run);
}

static void on_exited(void *ctx, const struct runner_exit *exit)
{
    struct image_run *run = ctx;
    run->exec = NULL;
    run->exit_code = exit->exit_code;
    if (exit->lost) {
        run->lost = true;
        buf_reset(&run->words);
        buf_adds(&run->words, exit->lost);
    } else if (exit->signal) {
        buf_addf(&run->words, "%sended by the signal %d (%s)", run->words.len ? "\n" : "",
                 exit->signal, strsignal(exit->signal));
    }
    if (exit->truncated && run->exit_code == 0)
        run->exit_code = 1; /* what is not all there is of no use */
    run->done(run->ctx, run);
}

static void on_started(void *ctx, pid_t pid)
{
    (void)ctx;
    (void)pid;
}

int image_run_start(struct image_store *store, struct runner *runner, const char *cwd,
                    const char *const *argv, struct image_run *run, struct err *err)
{
    static const struct runner_callbacks callbacks = {
        .started = on_started, .spool = on_spool, .output = on_output, .exited = on_exited};
    const struct runner_request request = {
        .argv = argv,
        .envp = store->envp,
        .root = store->dir,
        .cwd = cwd,
        .spool_limit = MOST_WORDS,
        .grace_ms = GRACE_MS,
        .nest_uid = run->uid,
        .nest_gid = run->gid,
    };
    image_run_release(run);
    run->exit_code = -1;
    run->lost = false;
    run->spool = memfd_create("kiln-image", MFD_CLOEXEC);
    if (run->spool < 0)
        return err_sys(err, errno, "cannot make a file in memory");
    return runner_start(runner, &request, &callbacks, run, &run->exec, err);
}

void image_run_release(struct image_run *run)
{
    if (run->spool > 0)
        close(run->spool);
    run->spool = 0;
    buf_release(&run->out);
    buf_release(&run->words);
}
