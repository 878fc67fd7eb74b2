/*
 * box_remove.c - taking away, or over, what steps and images left, some of which may belong to ids
 * that only a nest may touch.
 */
#include "runners/box.h"

#include "base/file.h"
#include "runners/nest.h"
#include "runners/nest_user.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

/* A program as the nest's root: after a fork nothing of ours may allocate. Returns 0 or an errno.
 */
static int run_inside(const char *const *argv, int user)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        for (int i = 0; i < 3; i++)
            (void)dup2(null, i);
        if (nest_enter_user(user, 0, NULL, NULL) == 0)
            execv(argv[0], (char *const *)argv);
        _exit(127);
    }
    if (pid < 0)
        return errno;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : EACCES;
}

int box_remove(const char *path, struct err *err)
{
    const char *const rm[] = {"/bin/rm", "-rf", "--", path, NULL};
    struct err plain = ERR_INIT;
    struct nest_map map;
    int user;
    if (file_remove_tree(AT_FDCWD, path, &plain) == 0)
        return 0;
    nest_user_map(&map);
    if ((plain.errnum != EACCES && plain.errnum != EPERM) || !map.uid.more) {
        err_move(err, &plain);
        return -(int)ERR_SYSTEM;
    }
    err_release(&plain);
    if (nest_user_open(&(struct nest_ids){0, 0}, &map, &user, err) < 0)
        return -(int)err->kind;
    int errnum = run_inside(rm, user);
    close(user);
    return errnum ? err_sys(err, errnum, "cannot remove %s", path) : 0;
}

int box_own(const char *path, struct err *err)
{
    const char *const chown[] = {"/bin/chown", "-Rh", "0:0", "--", path, NULL};
    const char *const chmod[] = {"/bin/chmod", "-R", "u+rwX", "--", path, NULL};
    struct nest_map map;
    int user;
    if (nest_user_open(&(struct nest_ids){0, 0}, &map, &user, err) < 0)
        return -(int)err->kind;
    int errnum = run_inside(chown, user);
    if (!errnum)
        errnum = run_inside(chmod, user);
    close(user);
    return errnum ? err_sys(err, errnum, "cannot take over %s", path) : 0;
}
