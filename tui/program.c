#include "tui/program.h"

#include "base/mem.h"
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct program {
    uv_signal_t child;
    int fd;
    pid_t pid;
    void (*ended)(void *ctx, int status);
    void *ctx;
};

/* From the background this would stop us. */
static void set_foreground(int fd, pid_t group)
{
    sigset_t ttou, before;
    sigemptyset(&ttou);
    sigaddset(&ttou, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &ttou, &before);
    while (tcsetpgrp(fd, group) != 0 && errno == EINTR)
        ;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void release(struct program *program)
{
    set_foreground(program->fd, getpgrp());
    uv_close((uv_handle_t *)&program->child, on_closed);
}

static void on_child(uv_signal_t *handle, int number)
{
    struct program *program = handle->data;
    int status = 0;
    (void)number;
    pid_t pid = waitpid(program->pid, &status, WNOHANG | WUNTRACED);
    if (pid == program->pid && WIFSTOPPED(status)) {
        set_foreground(program->fd, program->pid);
        kill(-program->pid, SIGCONT);
        return;
    }
    if (pid == 0 || (pid < 0 && errno == EINTR))
        return;
    void (*ended)(void *ctx, int status) = program->ended;
    void *ctx = program->ctx;
    release(program);
    ended(ctx, status);
}

/* A job of its own. */
static int spawn(const struct program_options *options, pid_t *pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    spawn_apart(&attributes);
    posix_spawn_file_actions_init(&files);
    for (int fd = 0; fd < 3; fd++)
        posix_spawn_file_actions_addopen(&files, fd, "/dev/tty", O_RDWR, 0);
    if (options->cwd)
        posix_spawn_file_actions_addchdir_np(&files, options->cwd);
    int errnum = posix_spawnp(pid, options->argv[0], &files, &attributes,
                              (char *const *)(uintptr_t)options->argv, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    return errnum;
}

int program_start(const struct program_options *options, struct program **out, struct err *err)
{
    pid_t pid = 0;
    int errnum = spawn(options, &pid);
    *out = NULL;
    if (errnum)
        return err_sys(err, errnum, "%s cannot be started", options->argv[0]);
    struct program *program = mem_zalloc(1, sizeof *program);
    program->fd = options->fd;
    program->pid = pid;
    program->ended = options->ended;
    program->ctx = options->ctx;
    /* It stops for reading before this; then it is told to go on. */
    set_foreground(options->fd, pid);
    uv_signal_init(options->loop, &program->child);
    program->child.data = program;
    uv_signal_start(&program->child, on_child, SIGCHLD);
    *out = program;
    /* What it did before anybody listened. */
    raise(SIGCHLD);
    return 0;
}

void program_kill(struct program *program)
{
    if (!program)
        return;
    kill(-program->pid, SIGHUP);
    kill(-program->pid, SIGCONT);
    release(program);
}
