#include "cache/git_apply.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/vec.h"
#include "cache/beneath.h"
#include "cache/changes.h"
#include "cache/exchange.h"
#include "cache/git_command.h"
#include "cache/merge.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_BYTES   (SIZE_MAX / 4)
#define FILES_SHOWN 10

struct work {
    const struct git_fix *fix;
    struct stat was;
    char is[GIT_TREE_HEX + 1]; /* the blob that git would make of it */
    char *staged;              /* its name in the staging directory; NULL: it stays as it is */
    bool merged, swapped;
};

struct applying {
    const struct git_place *place;
    const char *dir;
    const struct git_fixes *fixes;
    int top, staging; /* directories */
    char *staging_path;
    bool stuck;
    VEC(struct work) work;
};

int git_apply_merge(const struct buf *base, const struct buf *ours, const struct buf *theirs,
                    struct buf *out, size_t *clash, struct err *err)
{
    bool text = changes_is_text(buf_str(base), base->len) &&
                changes_is_text(buf_str(ours), ours->len) &&
                changes_is_text(buf_str(theirs), theirs->len);
    *clash = 1;
    if (!text)
        return 0;
    switch (merge_texts(base, ours, theirs, out, clash)) {
    case MERGE_CLEAN: *clash = 0; break;
    case MERGE_CONFLICT: break;
    case MERGE_FAILED: return err_set(err, ERR_CONFIG, "libgit2 can't merge it");
    }
    return 0;
}

/* -- what stands in the working tree ----------------------------------------------------------- */

/* A file that is not there any more, or is something else by now, is not to be fixed. */
static void find_files(struct applying *a)
{
    for (size_t i = 0; i < a->fixes->n; i++) {
        struct work work = {.fix = &a->fixes->v[i]};
        const char *name;
        int parent;
        if (beneath_open_parent(a->top, work.fix->path, false, &parent, &name, NULL) != 0)
            continue;
        if (fstatat(parent, name, &work.was, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(work.was.st_mode))
            vec_push(&a->work, work);
        close(parent);
    }
}

static void add_quoted(struct buf *out, const char *path)
{
    buf_addc(out, '"');
    for (; *path; path++) {
        if (*path == '"' || *path == '\\')
            buf_addc(out, '\\');
        buf_addc(out, *path);
    }
    buf_adds(out, "\"\n");
}

static int find_blobs(struct applying *a, struct err *err)
{
    static const char *const args[] = {"hash-object", "--stdin-paths", NULL};
    struct buf in = BUF_INIT, out = BUF_INIT;
    vec_each (struct work, work, &a->work)
        add_quoted(&in, work->fix->path);
    struct git_command command = {.place = a->place,
                                  .args = args,
                                  .work_tree = a->place->work_tree,
                                  .in = in.data,
                                  .n_in = in.len};
    int rc = a->work.n ? git_command_run(&command, &out, err) : 0;
    const char *at = buf_str(&out);
    vec_each (struct work, work, &a->work) {
        size_t n = strspn(at, "0123456789abcdef");
        if (rc != 0)
            break;
        if ((n != 40 && n != GIT_TREE_HEX) || at[n] != '\n') {
            rc = err_set(err, ERR_CONFIG, "git hash-object did not tell what files hold");
            break;
        }
        memcpy(work->is, at, n);
        work->is[n] = '\0';
        at += n + 1;
    }
    buf_release(&in);
    buf_release(&out);
    return rc;
}

/* -- what is to stand there -------------------------------------------------------------------- */

static int read_file(const char *dir, const char *path, struct buf *out, struct err *err)
{
    char *full = path_join(dir, path);
    int rc = file_read(full, MAX_BYTES, out, err);
    free(full);
    return rc;
}

/* As a checkout would have written what is staged. */
static int read_staged(const struct applying *a, const struct git_fix *fix, struct buf *out,
                       struct err *err)
{
    char *path = mem_printf("--path=%s", fix->path);
    const char *const args[] = {"cat-file", "--filters", path, fix->was, NULL};
    struct git_command command = {.place = a->place, .args = args, .work_tree = a->dir};
    int rc = git_command_run(&command, out, err);
    free(path);
    return rc;
}

/* *same: the fix is in the file already. */
static int merge(const struct applying *a, const struct work *work, struct buf *out, bool *same,
                 struct buf *clashes, struct err *err)
{
    struct buf base = BUF_INIT, ours = BUF_INIT, theirs = BUF_INIT;
    size_t clash = 0;
    int rc = read_staged(a, work->fix, &base, err);
    if (rc == 0)
        rc = read_file(a->place->work_tree, work->fix->path, &ours, err);
    if (rc == 0)
        rc = read_file(a->dir, work->fix->path, &theirs, err);
    if (rc == 0)
        rc = git_apply_merge(&base, &ours, &theirs, out, &clash, err);
    if (rc == 0 && clash) {
        buf_adds(clashes, clashes->len ? ", " : "");
        buf_add_shown(clashes, work->fix->path, strlen(work->fix->path));
        buf_addf(clashes, ":%zu", clash);
    }
    *same = out->len == ours.len && !memcmp(buf_str(out), buf_str(&ours), ours.len);
    buf_release(&base);
    buf_release(&ours);
    buf_release(&theirs);
    return rc;
}

/* Whether it was executable in the working tree is kept where the fix does not tell. */
static mode_t mode_of(const struct work *work)
{
    bool executable = work->was.st_mode & S_IXUSR;
    if (work->fix->was_executable != work->fix->is_executable)
        executable = work->fix->is_executable;
    return exchange_mode(&work->was, executable);
}

static int stage(struct applying *a, struct work *work, const struct buf *bytes, struct err *err)
{
    const char *slash = strrchr(work->fix->path, '/');
    work->staged =
        mem_printf("%zu-%.200s", (size_t)(work - a->work.v), slash ? slash + 1 : work->fix->path);
    int fd = openat(a->staging, work->staged, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good = fd >= 0 && file_write_all(fd, buf_str(bytes), bytes->len) == 0;
    if (good && (geteuid() == 0 || getegid() != work->was.st_gid))
        (void)!fchown(fd, geteuid() == 0 ? work->was.st_uid : (uid_t)-1, work->was.st_gid);
    good = good && fchmod(fd, mode_of(work)) == 0 && fsync(fd) == 0;
    int errnum = errno;
    if (fd >= 0 && close(fd) != 0 && good) {
        errnum = errno;
        good = false;
    }
    return good ? 0
                : err_sys(err, errnum, "cannot write %s/%s for %s", a->staging_path, work->staged,
                          work->fix->path);
}

static int prepare(struct applying *a, struct work *work, struct buf *clashes, struct err *err)
{
    const struct git_fix *fix = work->fix;
    struct buf bytes = BUF_INIT;
    size_t clashed = clashes->len;
    int rc = 0;
    bool same = !strcmp(work->is, fix->is); /* somebody did it before */
    if (same) {
        rc = read_file(a->place->work_tree, fix->path, &bytes, err);
    } else if (!strcmp(work->is, fix->was)) {
        rc = read_file(a->dir, fix->path, &bytes, err);
    } else {
        work->merged = true;
        rc = merge(a, work, &bytes, &same, clashes, err);
    }
    same = same && mode_of(work) == (work->was.st_mode & 07777);
    if (rc == 0 && clashes->len == clashed && !same)
        rc = stage(a, work, &bytes, err);
    buf_release(&bytes);
    return rc;
}

static int prepare_files(struct applying *a, struct err *err)
{
    struct buf clashes = BUF_INIT;
    find_files(a);
    int rc = find_blobs(a, err);
    vec_each (struct work, work, &a->work)
        if (rc == 0)
            rc = prepare(a, work, &clashes, err);
    if (rc == 0 && clashes.len)
        rc = err_set(err, ERR_CONFIG,
                     "%s: edits that are not staged are where it is fixed; nothing was touched: "
                     "\"git add\" or \"git stash\" them, then call git again",
                     buf_str(&clashes));
    buf_release(&clashes);
    return rc;
}

/* -- doing it ---------------------------------------------------------------------------------- */

static int swap(struct applying *a, struct work *work, struct err *err)
{
    struct stat is;
    const char *name;
    int parent;
    int rc = beneath_open_parent(a->top, work->fix->path, false, &parent, &name, err);
    if (rc != 0)
        return rc;
    bool same =
        fstatat(parent, name, &is, AT_SYMLINK_NOFOLLOW) == 0 && exchange_same(&is, &work->was);
    if (same && !exchange_names(a->staging, work->staged, parent, name))
        rc = err_sys(err, errno, "cannot replace %s", work->fix->path);
    work->swapped = same && rc == 0;
    if (work->swapped)
        same = fstatat(a->staging, work->staged, &is, AT_SYMLINK_NOFOLLOW) == 0 &&
               exchange_same(&is, &work->was);
    if (!same)
        rc = err_set(err, ERR_CONFIG, "%s was edited meanwhile; nothing was fixed, call git again",
                     work->fix->path);
    close(parent);
    return rc;
}

/* What can't be put back stays where it is: in the staging directory. */
static void swap_back(struct applying *a, struct work *work)
{
    const char *name;
    int parent;
    if (!work->swapped)
        return;
    bool back = beneath_open_parent(a->top, work->fix->path, false, &parent, &name, NULL) == 0;
    if (back) {
        back = exchange_names(a->staging, work->staged, parent, name);
        close(parent);
    }
    a->stuck |= !back;
}

static int swap_all(struct applying *a, struct git_next_indexes *indexes, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < a->work.n; i++)
        if (a->work.v[i].staged)
            rc = swap(a, &a->work.v[i], err);
    if (rc == 0)
        rc = git_next_indexes_swap(a->place, indexes, err);
    for (size_t i = a->work.n; rc != 0 && i-- > 0;)
        swap_back(a, &a->work.v[i]);
    return rc;
}

/* -- not in the middle ------------------------------------------------------------------------- */

static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
enum { N_ENDS = sizeof ends / sizeof *ends };

struct held_signals {
    sigset_t set, mask;
    struct sigaction actions[N_ENDS];
};

/* Another thread got it, which does not hold it back: it waits for the main thread's. */
static void hand_on(int number)
{
    int errnum = errno;
    (void)syscall(SYS_tgkill, getpid(), getpid(), number);
    errno = errnum;
}

/* Those that are ignored stay so. */
static void hold_signals(struct held_signals *held)
{
    struct sigaction action = {.sa_handler = hand_on, .sa_flags = SA_RESTART};
    sigemptyset(&held->set);
    for (size_t i = 0; i < N_ENDS; i++) {
        sigaction(ends[i], NULL, &held->actions[i]);
        if (held->actions[i].sa_handler != SIG_IGN)
            sigaddset(&held->set, ends[i]);
    }
    pthread_sigmask(SIG_BLOCK, &held->set, &held->mask);
    for (size_t i = 0; i < N_ENDS; i++)
        if (sigismember(&held->set, ends[i]))
            sigaction(ends[i], &action, NULL);
}

static int check_signals(const struct held_signals *held, struct err *err)
{
    sigset_t waiting;
    sigpending(&waiting);
    for (size_t i = 0; i < N_ENDS; i++)
        if (sigismember(&held->set, ends[i]) && sigismember(&waiting, ends[i]))
            return err_set(err, ERR_CONFIG, "ended before anything was fixed");
    return 0;
}

static void let_signals_go(const struct held_signals *held)
{
    for (size_t i = 0; i < N_ENDS; i++)
        sigaction(ends[i], &held->actions[i], NULL);
    pthread_sigmask(SIG_SETMASK, &held->mask, NULL);
}

/* -- where new files wait ---------------------------------------------------------------------- */

/* Beside git's own files; where these lie on another file system, at the top of the working tree,
 * and git does not look at it. What a killed hook left is set aside: it may have been replaced. */
static int open_staging(struct applying *a, struct err *err)
{
    static const char ignore[] = "*\n";
    struct stat top, git;
    bool same =
        fstat(a->top, &top) == 0 && stat(a->place->git_dir, &git) == 0 && top.st_dev == git.st_dev;
    a->staging_path = mem_printf("%s/%skiln-fix", same ? a->place->git_dir : a->place->work_tree,
                                 same ? "" : ".");
    char *left = mem_printf("%s.left", a->staging_path);
    int rc = 0;
    if (rmdir(a->staging_path) != 0 && errno == ENOTEMPTY) {
        rc = file_remove_tree(AT_FDCWD, left, err);
        if (rc == 0 && rename(a->staging_path, left) != 0)
            rc = err_sys(err, errno, "cannot move %s away", a->staging_path);
    }
    if (rc == 0)
        rc = file_mkdirs(a->staging_path, 0700, err);
    if (rc == 0 && (a->staging = open(a->staging_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        rc = err_sys(err, errno, "cannot open %s", a->staging_path);
    if (rc == 0 && !same) {
        char *path = path_join(a->staging_path, ".gitignore");
        rc = file_write_atomic(path, ignore, sizeof ignore - 1, 0600, err);
        free(path);
    }
    free(left);
    return rc;
}

static void tell(const struct applying *a, struct git_applied *out)
{
    out->written = mem_zalloc(a->work.n + 1, sizeof(*out->written));
    out->merged = mem_zalloc(a->work.n + 1, sizeof(*out->merged));
    vec_each (struct work, work, &a->work) {
        if (work->swapped)
            out->written[out->n_written++] = work->fix;
        if (work->merged)
            out->merged[out->n_merged++] = work->fix;
    }
}

int git_fixes_apply(const struct git_place *place, const char *dir, const struct git_fixes *fixes,
                    bool index, struct git_applied *out, struct err *err)
{
    struct applying a = {
        .place = place, .dir = dir, .fixes = fixes, .staging = -1, .work = VEC_INIT};
    struct git_next_indexes indexes = {0};
    struct held_signals held;
    int rc = 0;
    *out = (struct git_applied){0};
    hold_signals(&held);
    if ((a.top = open(place->work_tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        rc = err_sys(err, errno, "cannot open %s", place->work_tree);
    if (rc == 0)
        rc = open_staging(&a, err);
    if (rc == 0)
        rc = prepare_files(&a, err);
    if (rc == 0 && index)
        rc = git_next_indexes_make(place, fixes, &indexes, err);
    if (rc == 0)
        rc = check_signals(&held, err);
    if (rc == 0)
        rc = swap_all(&a, &indexes, err);
    if (rc == 0)
        tell(&a, out);
    git_next_indexes_release(&indexes);
    if (a.stuck)
        err_wrap(err, "some files could not be put back and are in %s", a.staging_path);
    if (a.staging >= 0) {
        close(a.staging);
        if (!a.stuck)
            (void)!file_remove_tree(AT_FDCWD, a.staging_path, NULL);
    }
    if (a.top >= 0)
        close(a.top);
    free(a.staging_path);
    vec_each (struct work, work, &a.work)
        free(work->staged);
    vec_release(&a.work);
    let_signals_go(&held);
    return rc;
}

void git_applied_release(struct git_applied *applied)
{
    free(applied->written);
    free(applied->merged);
    *applied = (struct git_applied){0};
}
