#include "runners/probe_try.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Nothing here takes long; a hanging file system must not hang whoever asks. */
#define DEADLINE_S 30
/* Where the child, in a mount namespace of its own, mounts what it tries. */
#define STAGE "/tmp"

static void note(struct trial *trial, enum try_stage stage, long rc)
{
    trial->errnum[stage] = rc < 0 ? errno : 0;
}

static int loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int rc = fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &request);
    int errnum = errno;
    if (fd >= 0)
        close(fd);
    errno = errnum;
    return rc;
}

/* As the first process of a pid namespace. */
static void try_inside(struct trial *trial)
{
    note(trial, TRY_PROC,
         mkdir(STAGE "/proc", 0755) < 0
             ? -1
             : mount("proc", STAGE "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
    note(trial, TRY_NET, unshare(CLONE_NEWNET) < 0 ? -1 : loopback_up());
    note(trial, TRY_NESTED, unshare(CLONE_NEWUSER));
}

static void try_processes(struct trial *trial)
{
    pid_t child;
    if (unshare(CLONE_NEWPID) < 0 || (child = fork()) < 0) {
        note(trial, TRY_PROC, -1);
        return;
    }
    if (child == 0) {
        alarm(DEADLINE_S);
        try_inside(trial);
        _exit(0);
    }
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
}

/* As an edit does it: what the upper directory can't say about the lower one shows only here. */
static void try_overlay(struct trial *trial, const int fds[3])
{
    char options[160];
    snprintf(options, sizeof options,
             "lowerdir=/proc/self/fd/%d,upperdir=/proc/self/fd/%d,workdir=/proc/self/fd/%d,"
             "userxattr",
             fds[0], fds[1], fds[2]);
    note(trial, TRY_OVERLAY,
         mkdir(STAGE "/over", 0755) < 0 ? -1
                                        : mount("overlay", STAGE "/over", "overlay", 0, options));
    if (trial->errnum[TRY_OVERLAY])
        return;
    note(trial, TRY_DELETE, unlink(STAGE "/over/file"));
    note(trial, TRY_REPLACE,
         rmdir(STAGE "/over/dir") < 0 || mkdir(STAGE "/over/dir", 0755) < 0
             ? -1
             : access(STAGE "/over/dir", X_OK));
}

/* The parent answers with one byte when ids are mapped, and closes the pipe when they can't be. */
static void try_all(struct trial *trial, const char *const paths[3], int ready, int mapped)
{
    char byte = 0;
    int fds[3] = {-1, -1, -1};
    alarm(DEADLINE_S);
    note(trial, TRY_USER, unshare(CLONE_NEWUSER));
    if (trial->errnum[TRY_USER] || write(ready, "", 1) != 1 || read(mapped, &byte, 1) != 1)
        return;
    note(trial, TRY_MOUNTS, unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS));
    if (trial->errnum[TRY_MOUNTS])
        return;
    /* While this is still whom the way there is open to: root's home is closed to others. */
    for (size_t i = 0; i < 3 && paths[i]; i++)
        fds[i] = open(paths[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
    (void)!setgroups(0, NULL);
    note(trial, TRY_MAP, setresgid(0, 0, 0) < 0 ? -1 : setresuid(0, 0, 0));
    if (trial->errnum[TRY_MAP])
        return;
    note(trial, TRY_TMPFS,
         mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0
             ? -1
             : mount("tmpfs", STAGE, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755"));
    if (trial->errnum[TRY_TMPFS])
        return;
    if (fds[2] >= 0)
        try_overlay(trial, fds);
    try_processes(trial);
}

static int write_map(pid_t pid, const char *name, const char *text)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : file_write_all(fd, text, strlen(text));
    int errnum = errno;
    if (fd >= 0)
        close(fd);
    errno = errnum;
    return rc;
}

/* setgroups(2) has to be given up where only one's own group is mapped. */
static int map_ids(pid_t pid, const struct try_ids *ids)
{
    char uids[64], gids[64];
    snprintf(uids, sizeof uids, "0 %u %u\n", ids->uid, ids->count);
    snprintf(gids, sizeof gids, "0 %u %u\n", ids->gid, ids->count);
    if (ids->count == 1 && write_map(pid, "setgroups", "deny") < 0 && errno != ENOENT)
        return -1;
    return write_map(pid, "uid_map", uids) < 0 ? -1 : write_map(pid, "gid_map", gids);
}

static void end_child(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

static int run(const struct try_ids *ids, const char *const paths[3], struct trial *out,
               struct err *err)
{
    int ready[2] = {-1, -1}, mapped[2] = {-1, -1}, rc = 0;
    char byte;
    struct trial *trial =
        mmap(NULL, sizeof *trial, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (trial == MAP_FAILED)
        return err_sys(err, errno, "no memory to try namespaces with");
    for (size_t i = 0; i < TRY_N; i++)
        trial->errnum[i] = TRY_NOT;
    if (pipe2(ready, O_CLOEXEC) < 0 || pipe2(mapped, O_CLOEXEC) < 0)
        rc = err_sys(err, errno, "no pipe to try namespaces with");
    pid_t pid = rc ? -1 : fork();
    if (pid == 0) {
        close(ready[0]);
        close(mapped[1]);
        try_all(trial, paths, ready[1], mapped[0]);
        _exit(0);
    }
    if (pid < 0 && !rc)
        rc = err_sys(err, errno, "no process to try namespaces with");
    for (size_t i = 0; i < 2; i++) {
        int fd = i ? mapped[0] : ready[1];
        if (fd >= 0)
            close(fd);
    }
    if (pid > 0 && read(ready[0], &byte, 1) == 1) {
        if (map_ids(pid, ids) < 0)
            note(trial, TRY_MAP, -1);
        else
            (void)!write(mapped[1], "", 1);
    }
    if (ready[0] >= 0)
        close(ready[0]);
    if (mapped[1] >= 0)
        close(mapped[1]);
    if (pid > 0)
        end_child(pid);
    *out = *trial;
    munmap(trial, sizeof *trial);
    return rc;
}

/* The directories of an overlay, as the ids inside would have made them. */
static int make_layers(const char *dir, const struct try_ids *ids, struct err *err)
{
    static const struct {
        const char *name;
        mode_t type;
    } parts[] = {{"", S_IFDIR},           {"/lower", S_IFDIR}, {"/lower/file", S_IFREG},
                 {"/lower/dir", S_IFDIR}, {"/upper", S_IFDIR}, {"/work", S_IFDIR}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char *path = mem_printf("%s%s", dir, parts[i].name);
        int rc = !*parts[i].name            ? 0
                 : parts[i].type == S_IFDIR ? mkdir(path, 0755)
                                            : mknod(path, S_IFREG | 0644, 0);
        if (rc == 0 && geteuid() == 0)
            rc = chown(path, ids->uid, ids->gid);
        if (rc < 0)
            rc = err_sys(err, errno, "%s", path);
        free(path);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int trial_run(const struct try_ids *ids, const char *dir, struct trial *out, struct err *err)
{
    char *base, *paths[3] = {NULL, NULL, NULL};
    int rc;
    if (!dir)
        return run(ids, (const char *const *)paths, out, err);
    base = mem_printf("%s/.probe-XXXXXX", dir);
    if (!mkdtemp(base)) {
        rc = err_sys(err, errno, "%s", dir);
        free(base);
        return rc;
    }
    rc = make_layers(base, ids, err);
    paths[0] = mem_printf("%s/lower", base);
    paths[1] = mem_printf("%s/upper", base);
    paths[2] = mem_printf("%s/work", base);
    if (rc == 0)
        rc = run(ids, (const char *const *)paths, out, err);
    struct err removal = ERR_INIT;
    if (file_remove_tree(AT_FDCWD, base, &removal) < 0 && rc == 0)
        rc = err_move(err, &removal);
    err_release(&removal);
    for (size_t i = 0; i < 3; i++)
        free(paths[i]);
    free(base);
    return rc;
}

/* -- newuidmap and newgidmap ------------------------------------------------------------------- */

/* Runs it with what it writes in said; 0 when it exits with 0. */
static int run_map(const char *program, pid_t pid, uint32_t own, uint32_t first, uint32_t count,
                   char *said, size_t size)
{
    char words[4][16];
    int out[2], status = -1;
    snprintf(words[0], sizeof words[0], "%d", (int)pid);
    snprintf(words[1], sizeof words[1], "%u", own);
    snprintf(words[2], sizeof words[2], "%u", first);
    snprintf(words[3], sizeof words[3], "%u", count);
    if (pipe2(out, O_CLOEXEC) < 0)
        return -1;
    pid_t child = fork();
    if (child == 0) {
        alarm(DEADLINE_S);
        dup2(out[1], STDOUT_FILENO);
        dup2(out[1], STDERR_FILENO);
        execl(program, program, words[0], "0", words[1], "1", "1", words[2], words[3],
              (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    size_t n = 0;
    ssize_t got = 1;
    while (child > 0 && n + 1 < size && got > 0) {
        got = read(out[0], said + n, size - 1 - n);
        n += got > 0 ? (size_t)got : 0;
    }
    said[n] = '\0';
    said[strcspn(said, "\n")] = '\0';
    close(out[0]);
    if (child > 0) {
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
    }
    return status == 0 ? 0 : -1;
}

int trial_subids(const char *newuidmap, const char *newgidmap, const struct try_ids *ids,
                 char *said, size_t size)
{
    int ready[2], hold[2], rc = -1;
    char byte;
    *said = '\0';
    if (pipe2(ready, O_CLOEXEC) < 0)
        return -1;
    if (pipe2(hold, O_CLOEXEC) < 0) {
        close(ready[0]);
        close(ready[1]);
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        alarm(DEADLINE_S);
        close(hold[1]);
        if (unshare(CLONE_NEWUSER) == 0 && write(ready[1], "", 1) == 1)
            (void)!read(hold[0], &byte, 1);
        _exit(0);
    }
    close(ready[1]);
    close(hold[0]);
    if (pid > 0 && read(ready[0], &byte, 1) == 1) {
        rc = run_map(newuidmap, pid, (uint32_t)geteuid(), ids->uid, ids->count, said, size);
        if (rc == 0)
            rc = run_map(newgidmap, pid, (uint32_t)getegid(), ids->gid, ids->count, said, size);
    }
    close(ready[0]);
    close(hold[1]);
    if (pid > 0)
        end_child(pid);
    return rc;
}
