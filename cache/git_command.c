#include "cache/git_command.h"

#include "base/mem.h"
#include "base/vec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIECE ((size_t)64 * 1024)

extern char **environ;

struct pipes {
    int in, out, err; /* kiln's ends; -1: closed */
    size_t sent;
    struct buf said; /* on standard error */
};

/* Variables that say which repository, which index, which part: the command has its own. */
static bool is_left_out(const char *variable)
{
    static const char *const names[] = {
        "GIT_DIR",          "GIT_WORK_TREE", "GIT_INDEX_FILE",     "GIT_PREFIX",
        "GIT_COMMON_DIR",   "GIT_NAMESPACE", "GIT_OPTIONAL_LOCKS", "GIT_TERMINAL_PROMPT",
        "GIT_INDEX_VERSION"};
    size_t n = strcspn(variable, "=");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strlen(names[i]) == n && memcmp(names[i], variable, n) == 0)
            return true;
    return false;
}

/* Nothing of the repository's own automatics: no hooks, no daemon that knows another working tree,
 * no index in parts of which some would lie elsewhere. */
static const char *const settings[] = {"core.hooksPath=/dev/null",  "core.fsmonitor=false",
                                       "core.untrackedCache=false", "core.splitIndex=false",
                                       "core.sparseCheckout=false", "submodule.recurse=false",
                                       "clean.requireForce=false"};

typedef VEC(char *) strings;

static void make_environment(const struct git_command *command, strings *env)
{
    const struct git_place *place = command->place;
    for (char **variable = environ; variable && *variable; variable++)
        if (!is_left_out(*variable))
            vec_push(env, mem_strdup(*variable));
    vec_push(env, mem_printf("GIT_DIR=%s", place->git_dir));
    vec_push(env, mem_printf("GIT_COMMON_DIR=%s", place->common));
    vec_push(env, mem_printf("GIT_WORK_TREE=%s",
                             command->work_tree ? command->work_tree : place->work_tree));
    vec_push(env, mem_printf("GIT_INDEX_FILE=%s", command->index ? command->index : place->index));
    vec_push(env, mem_strdup("GIT_OPTIONAL_LOCKS=0"));
    vec_push(env, mem_strdup("GIT_TERMINAL_PROMPT=0"));
    vec_push(env, NULL);
}

static void free_strings(strings *list)
{
    vec_each (char *, s, list)
        free(*s);
    vec_release(list);
}

static void shut(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Its standard input is a socket, so that a command that does not read it ends nobody by SIGPIPE.
 */
static int start(const struct git_command *command, struct pipes *pipes, pid_t *pid)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
    int errnum = 0;
    strings env = VEC_INIT, argv = VEC_INIT;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) != 0 || pipe2(out, O_CLOEXEC) != 0 ||
        pipe2(err, O_CLOEXEC) != 0)
        errnum = errno;
    make_environment(command, &env);
    vec_push(&argv, mem_strdup("git"));
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        vec_push(&argv, mem_strdup("-c"));
        vec_push(&argv, mem_strdup(settings[i]));
    }
    for (const char *const *arg = command->args; *arg; arg++)
        vec_push(&argv, mem_strdup(*arg));
    vec_push(&argv, NULL);
    if (!errnum) {
        posix_spawn_file_actions_t files;
        posix_spawnattr_t attributes;
        sigset_t none;
        sigemptyset(&none);
        posix_spawn_file_actions_init(&files);
        posix_spawn_file_actions_adddup2(&files, in[1], STDIN_FILENO);
        posix_spawn_file_actions_adddup2(&files, out[1], STDOUT_FILENO);
        posix_spawn_file_actions_adddup2(&files, err[1], STDERR_FILENO);
        posix_spawnattr_init(&attributes);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
        errnum = posix_spawnp(pid, "git", &files, &attributes, argv.v, env.v);
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&files);
    }
    free_strings(&env);
    free_strings(&argv);
    shut(&in[1]);
    shut(&out[1]);
    shut(&err[1]);
    *pipes = (struct pipes){.in = in[0], .out = out[0], .err = err[0]};
    return errnum;
}

static void send_more(const struct git_command *command, struct pipes *pipes)
{
    if (pipes->sent < command->n_in) {
        ssize_t n = send(pipes->in, (const char *)command->in + pipes->sent,
                         command->n_in - pipes->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0)
            pipes->sent += (size_t)n;
        else if (errno != EAGAIN && errno != EINTR)
            shut(&pipes->in);
    }
    if (pipes->sent == command->n_in)
        shut(&pipes->in);
}

static void receive(int *fd, struct buf *to)
{
    char piece[PIECE];
    ssize_t n = read(*fd, piece, sizeof(piece));
    if (n > 0 && to)
        buf_add(to, piece, (size_t)n);
    if (n == 0 || (n < 0 && errno != EINTR))
        shut(fd);
}

static void converse(const struct git_command *command, struct pipes *pipes, struct buf *out)
{
    send_more(command, pipes);
    while (pipes->out >= 0 || pipes->err >= 0) {
        struct pollfd fds[] = {{.fd = pipes->in, .events = POLLOUT},
                               {.fd = pipes->out, .events = POLLIN},
                               {.fd = pipes->err, .events = POLLIN}};
        if (poll(fds, 3, -1) < 0)
            continue;
        if (pipes->in >= 0 && fds[0].revents)
            send_more(command, pipes);
        if (pipes->out >= 0 && fds[1].revents)
            receive(&pipes->out, out);
        if (pipes->err >= 0 && fds[2].revents)
            receive(&pipes->err, &pipes->said);
    }
    shut(&pipes->in);
}

static int end(const struct git_command *command, pid_t pid, struct buf *said, struct err *err)
{
    int status;
    pid_t got;
    while ((got = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
        ;
    if (got == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    while (said->len && said->data[said->len - 1] == '\n')
        buf_truncate(said, said->len - 1);
    struct buf shown = BUF_INIT;
    size_t from = said->len > 2000 ? said->len - 2000 : 0;
    buf_add(&shown, buf_str(said) + from, said->len - from);
    if (!shown.len && got == pid && WIFSIGNALED(status))
        buf_addf(&shown, "ended by signal %d", WTERMSIG(status));
    int rc = err_set(err, ERR_CONFIG, "git %s: %s", command->args[0], buf_str(&shown));
    buf_release(&shown);
    return rc;
}

int git_command_run(const struct git_command *command, struct buf *out, struct err *err)
{
    struct pipes pipes;
    pid_t pid = -1;
    int errnum = start(command, &pipes, &pid);
    if (errnum) {
        shut(&pipes.in);
        shut(&pipes.out);
        shut(&pipes.err);
        return err_sys(err, errnum, "cannot run git; install it, or put its folder into PATH");
    }
    converse(command, &pipes, out);
    int rc = end(command, pid, &pipes.said, err);
    buf_release(&pipes.said);
    return rc;
}
