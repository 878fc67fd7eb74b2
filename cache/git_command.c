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
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIECE ((size_t)64 * 1024)

extern char **environ;

/* Variables that say which repository, which index, which part: the command has its own. */
static bool is_left_out(const char *variable)
{
    static const char *const names[] = {
        "GIT_DIR",           "GIT_WORK_TREE",         "GIT_INDEX_FILE",     "GIT_PREFIX",
        "GIT_COMMON_DIR",    "GIT_NAMESPACE",         "GIT_OPTIONAL_LOCKS", "GIT_TERMINAL_PROMPT",
        "GIT_INDEX_VERSION", "GIT_NO_REPLACE_OBJECTS"};
    size_t n = strcspn(variable, "=");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strlen(names[i]) == n && memcmp(names[i], variable, n) == 0)
            return true;
    return false;
}

/* Nothing of the repository's own automatics: no hooks, no daemon that knows another working tree,
 * no index in parts of which some would lie elsewhere. Nor what somebody has told git not to look
 * at in a working tree: in kiln's own directories every change counts. */
static const char *const settings[] = {"core.hooksPath=/dev/null",  "submodule.recurse=false",
                                       "clean.requireForce=false",  "core.fsmonitor=false",
                                       "core.untrackedCache=false", "core.splitIndex=false",
                                       "core.sparseCheckout=false", "core.trustctime=true",
                                       "core.checkStat=default",    "core.fileMode=true"};
enum { N_SETTINGS = sizeof(settings) / sizeof(settings[0]), N_NOT_OF_INDEX = 3 };

static size_t n_settings(const struct git_command *command)
{
    return command->own_settings ? 0 : command->own_index ? N_NOT_OF_INDEX : N_SETTINGS;
}

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
    /* An object's id stands for what it holds, for good: replacements would come and go. */
    vec_push(env, mem_strdup("GIT_NO_REPLACE_OBJECTS=1"));
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

static int spawn(char *const *argv, char *const *env, const int fds[3], pid_t *pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    for (int i = 0; i < 3; i++)
        posix_spawn_file_actions_adddup2(&files, fds[i], i);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    int errnum = posix_spawnp(pid, "git", &files, &attributes, argv, env);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return errnum;
}

/* Its standard input is a socket, so that a command that does not read it ends nobody by SIGPIPE;
 * what it complains of goes to a file in memory, so that nobody has to listen meanwhile. */
int git_command_start(const struct git_command *command, struct git_running *out, struct err *err)
{
    int in[2] = {-1, -1}, from[2] = {-1, -1};
    strings env = VEC_INIT, argv = VEC_INIT;
    *out = (struct git_running){.pid = -1, .in = -1, .out = -1, .said = -1};
    int errnum = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) != 0 ||
        pipe2(from, O_CLOEXEC) != 0 || (out->said = memfd_create("kiln-git", MFD_CLOEXEC)) < 0)
        errnum = errno;
    make_environment(command, &env);
    vec_push(&argv, mem_strdup("git"));
    if (command->work_tree) { /* git looks for attributes from where it stands */
        vec_push(&argv, mem_strdup("-C"));
        vec_push(&argv, mem_strdup(command->work_tree));
    }
    for (size_t i = 0; i < n_settings(command); i++) {
        vec_push(&argv, mem_strdup("-c"));
        vec_push(&argv, mem_strdup(settings[i]));
    }
    for (const char *const *arg = command->args; *arg; arg++)
        vec_push(&argv, mem_strdup(*arg));
    vec_push(&argv, NULL);
    if (!errnum)
        errnum = spawn(argv.v, env.v, (const int[3]){in[1], from[1], out->said}, &out->pid);
    free_strings(&env);
    free_strings(&argv);
    shut(&in[1]);
    shut(&from[1]);
    out->in = in[0];
    out->out = from[0];
    out->name = command->args[0];
    if (!errnum)
        return 0;
    shut(&out->in);
    shut(&out->out);
    shut(&out->said);
    return err_sys(err, errnum, "cannot run git; install it, or put its folder into PATH");
}

int git_command_end(struct git_running *running, struct err *err)
{
    int status;
    pid_t got;
    char said[2001];
    shut(&running->in);
    shut(&running->out);
    while ((got = waitpid(running->pid, &status, 0)) < 0 && errno == EINTR)
        ;
    off_t size = lseek(running->said, 0, SEEK_END);
    off_t from = size > (off_t)sizeof(said) - 1 ? size - (off_t)sizeof(said) + 1 : 0;
    ssize_t n = pread(running->said, said, sizeof(said) - 1, from);
    while (n > 0 && said[n - 1] == '\n')
        n--;
    said[n > 0 ? n : 0] = '\0';
    shut(&running->said);
    if (got == running->pid && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (!*said && got == running->pid && WIFSIGNALED(status))
        return err_set(err, ERR_CONFIG, "git %s was ended by signal %d", running->name,
                       WTERMSIG(status));
    return err_set(err, ERR_CONFIG, "git %s: %s", running->name, said);
}

static bool send_more(const struct git_command *command, struct git_running *running, size_t *sent)
{
    ssize_t n = *sent < command->n_in ? send(running->in, (const char *)command->in + *sent,
                                             command->n_in - *sent, MSG_NOSIGNAL | MSG_DONTWAIT)
                                      : 0;
    if (n > 0)
        *sent += (size_t)n;
    return *sent < command->n_in && (n >= 0 || errno == EAGAIN || errno == EINTR);
}

int git_command_run(const struct git_command *command, struct buf *out, struct err *err)
{
    struct git_running running;
    char piece[PIECE];
    size_t sent = 0;
    int rc = git_command_start(command, &running, err);
    if (rc != 0)
        return rc;
    for (ssize_t n = 1; n != 0;) {
        if (running.in >= 0 && !send_more(command, &running, &sent))
            shut(&running.in);
        struct pollfd fds[] = {{.fd = running.out, .events = POLLIN},
                               {.fd = running.in, .events = POLLOUT}};
        if (poll(fds, 2, -1) < 0 || !fds[0].revents)
            continue;
        n = read(running.out, piece, sizeof(piece));
        if (n > 0 && out)
            buf_add(out, piece, (size_t)n);
        if (n < 0 && errno != EINTR)
            break;
    }
    return git_command_end(&running, err);
}
