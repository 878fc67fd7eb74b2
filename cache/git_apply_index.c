/*
 * git itself makes the new index, from a copy beside the old one: so extensions, split and sparse
 * indexes are as the repository's settings want them.
 *
 * No lock is taken when the two are exchanged: a process killed meanwhile would leave it, and with
 * it a repository in which nobody can commit. Instead, who has one is seen: a lock that is there
 * before or after, an index that is not the one that was read, or is another one right after. A
 * process that takes the lock later reads what stands there then.
 */
#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "cache/exchange.h"
#include "cache/git_apply.h"
#include "cache/git_command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_BYTES (SIZE_MAX / 4)

/* -- what stands in it ------------------------------------------------------------------------- */

struct making {
    const struct git_place *place;
    const struct git_fixes *fixes;
    const char *staged;
    bool
        committed; /* it is the one that is committed: it has exactly what the fixes were made of */
    struct buf info; /* for update-index --index-info */
    struct map found;
};

static int git(const struct making *m, const char *const *args, const struct buf *in,
               struct buf *out, struct err *err)
{
    struct git_command command = {.place = m->place,
                                  .args = args,
                                  .work_tree = m->place->work_tree,
                                  .index = m->staged,
                                  .in = in ? in->data : NULL,
                                  .n_in = in ? in->len : 0,
                                  .own_index = true};
    return git_command_run(&command, out, err);
}

static int read_blob(const struct making *m, const char *id, struct buf *out, struct err *err)
{
    const char *const args[] = {"cat-file", "blob", id, NULL};
    return git(m, args, NULL, out, err);
}

/* Something else is staged than what is committed now: that keeps its own changes. */
static int merge_blobs(const struct making *m, const struct git_fix *fix, const char *id,
                       struct buf *now, struct err *err)
{
    static const char *const write[] = {"hash-object", "-w", "--stdin", NULL};
    struct buf base = BUF_INIT, ours = BUF_INIT, theirs = BUF_INIT, merged = BUF_INIT;
    size_t clash = 0;
    int rc = read_blob(m, fix->was, &base, err);
    if (rc == 0)
        rc = read_blob(m, id, &ours, err);
    if (rc == 0)
        rc = read_blob(m, fix->is, &theirs, err);
    if (rc == 0)
        rc = git_apply_merge(&base, &ours, &theirs, &merged, &clash, err);
    if (rc == 0 && clash)
        rc = err_set(err, ERR_CONFIG,
                     "what stays staged has other changes where it is fixed, in line %zu; nothing "
                     "was touched: commit or unstage it first",
                     clash);
    if (rc == 0)
        rc = git(m, write, &merged, now, err);
    while (now->len && now->data[now->len - 1] == '\n')
        buf_truncate(now, now->len - 1);
    buf_release(&base);
    buf_release(&ours);
    buf_release(&theirs);
    buf_release(&merged);
    return rc;
}

/* "H 100644 <id> 0\t": the letter is small for a file that git was told to take for unchanged, and
 * S for one that is not to be in the working tree. */
static int take_entry(struct making *m, const struct git_fix *fix, const char *line,
                      struct err *err)
{
    char id[GIT_TREE_HEX + 1], tag;
    unsigned mode, stage;
    struct buf now = BUF_INIT;
    int rc = 0;
    if (sscanf(line, "%c %o %64[0-9a-f] %u", &tag, &mode, id, &stage) != 4)
        return err_set(err, ERR_CONFIG, "git ls-files did not tell what is staged");
    if (tag != 'H')
        return err_set(err, ERR_CONFIG,
                       "%s; fix it yourself (\"git update-index --%s\" and the fixer's own "
                       "command), or let the fixers leave it alone",
                       tag == 'S' ? "not in this sparse working tree"
                                  : "taken for unchanged (git update-index --assume-unchanged)",
                       tag == 'S' ? "no-skip-worktree" : "no-assume-unchanged");
    if (!strcmp(id, fix->was))
        buf_adds(&now, fix->is);
    else if (m->committed)
        return 0; /* not found, then */
    else if (!strcmp(id, fix->is))
        buf_adds(&now, id);
    else
        rc = merge_blobs(m, fix, id, &now, err);
    bool executable =
        fix->was_executable == fix->is_executable ? (mode & 0100) : fix->is_executable;
    if (rc == 0) {
        buf_addf(&m->info, "%s %s\t%s", executable ? "100755" : "100644", buf_str(&now), fix->path);
        buf_addc(&m->info, '\0');
        map_put_str(&m->found, fix->path, m);
    }
    buf_release(&now);
    return rc;
}

static int changed_since(struct err *err)
{
    return err_set(err, ERR_CONFIG,
                   "the index has changed since the hook began; nothing was fixed, call git again");
}

static int read_entries(struct making *m, struct err *err)
{
    static const char *const list[] = {"ls-files", "-v", "-s", "-z", NULL};
    struct buf out = BUF_INIT;
    struct map by_path = MAP_INIT;
    for (size_t i = 0; i < m->fixes->n; i++)
        map_put_str(&by_path, m->fixes->v[i].path, &m->fixes->v[i]);
    int rc = git(m, list, NULL, &out, err);
    for (size_t at = 0; rc == 0 && at < out.len; at += strlen(out.data + at) + 1) {
        const char *tab = strchr(out.data + at, '\t');
        const struct git_fix *fix = tab ? map_get_str(&by_path, tab + 1) : NULL;
        if (!fix || (rc = take_entry(m, fix, out.data + at, err)) == 0)
            continue;
        struct buf shown = BUF_INIT;
        buf_add_shown(&shown, fix->path, strlen(fix->path));
        err_wrap(err, "%s", buf_str(&shown));
        buf_release(&shown);
    }
    for (size_t i = 0; rc == 0 && m->committed && i < m->fixes->n; i++)
        if (!map_get_str(&m->found, m->fixes->v[i].path))
            rc = changed_since(err);
    map_release(&by_path);
    buf_release(&out);
    return rc;
}

static bool is_locked(const char *path)
{
    struct stat st;
    char *lock = mem_printf("%s.lock", path);
    bool there = lstat(lock, &st) == 0;
    free(lock);
    return there;
}

static int locked(const char *path, struct err *err)
{
    return err_set(err, ERR_CONFIG,
                   "%s is locked by another git; nothing was fixed, call git again when that has "
                   "ended",
                   path);
}

/* -- the new one ------------------------------------------------------------------------------- */

static void remove_beside(const char *staged)
{
    char *lock = mem_printf("%s.lock", staged);
    unlink(lock);
    unlink(staged);
    free(lock);
}

/* Under its own name at once: what a killed hook leaves is what the next one removes. */
static int write_staged(const struct git_next_index *index, const struct buf *bytes,
                        struct err *err)
{
    int fd = open(index->staged, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good = fd >= 0 && file_write_all(fd, bytes->data, bytes->len) == 0;
    int errnum = errno;
    if (fd >= 0 && close(fd) != 0 && good) {
        errnum = errno;
        good = false;
    }
    return good ? 0 : err_sys(err, errnum, "cannot write %s", index->staged);
}

static int copy(struct git_next_index *index, struct err *err)
{
    struct buf bytes = BUF_INIT;
    int fd = open(index->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int rc = fd < 0 || fstat(fd, &index->was) != 0
                 ? err_sys(err, errno, "cannot open %s", index->path)
                 : file_read_fd(fd, index->path, MAX_BYTES, &bytes, err);
    if (fd >= 0)
        close(fd);
    remove_beside(index->staged);
    if (rc == 0)
        rc = write_staged(index, &bytes, err);
    buf_release(&bytes);
    return rc;
}

static int check_tree(const struct making *m, struct err *err)
{
    static const char *const write[] = {"write-tree", NULL};
    struct buf out = BUF_INIT;
    int rc = git(m, write, NULL, &out, err);
    if (rc == 0 && strncmp(buf_str(&out), m->fixes->to, strlen(m->fixes->to)) != 0)
        rc = changed_since(err);
    buf_release(&out);
    return rc;
}

static int make(const struct git_place *place, const struct git_fixes *fixes, bool committed,
                struct git_next_index *index, struct err *err)
{
    static const char *const update[] = {"update-index", "-z", "--index-info", NULL};
    struct making m = {.place = place,
                       .fixes = fixes,
                       .staged = index->staged,
                       .committed = committed,
                       .info = BUF_INIT,
                       .found = MAP_INIT};
    int rc = is_locked(index->path) ? locked(index->path, err) : copy(index, err);
    if (rc == 0)
        rc = read_entries(&m, err);
    if (rc == 0 && m.info.len)
        rc = git(&m, update, &m.info, NULL, err);
    if (rc == 0 && committed)
        rc = check_tree(&m, err);
    buf_release(&m.info);
    map_release(&m.found);
    return rc;
}

/* The index that "git commit PATH" leaves behind, a new string; or NULL. */
static char *other_index(const char *path)
{
    static const char begin[] = "next-index-", end[] = ".lock";
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t n = strlen(name);
    if (strncmp(name, begin, sizeof begin - 1) != 0 || n < sizeof end ||
        strcmp(name + n - (sizeof end - 1), end) != 0)
        return NULL;
    return mem_printf("%.*sindex.lock", (int)(name - path), path);
}

int git_next_indexes_make(const struct git_place *place, const struct git_fixes *fixes,
                          struct git_next_indexes *out, struct err *err)
{
    *out = (struct git_next_indexes){0};
    char *path = realpath(place->index, NULL);
    if (!path)
        return err_sys(err, errno, "cannot find %s", place->index);
    char *other = other_index(path);
    int rc = 0;
    if (other && access(other, F_OK) != 0)
        rc = err_set(err, ERR_CONFIG,
                     "\"git commit PATH\" with an index of your own does not tell hooks which: "
                     "nothing was fixed; \"git add\" what you want to commit, then commit without "
                     "naming it");
    if (other)
        out->v[out->n++].path = other;
    out->v[out->n++].path = path;
    for (size_t i = 0; i < out->n; i++)
        out->v[i].staged = mem_printf("%s.kiln", out->v[i].path);
    if (other) { /* its name has a process in it: what a killed hook left would stay for good */
        struct git_next_index *next = &out->v[out->n - 1];
        free(next->staged);
        next->staged =
            mem_printf("%.*snext-index.kiln", (int)(strrchr(path, '/') + 1 - path), path);
    }
    for (size_t i = 0; rc == 0 && i < out->n; i++)
        rc = make(place, fixes, i + 1 == out->n, &out->v[i], err);
    return rc;
}

void git_next_indexes_release(struct git_next_indexes *indexes)
{
    for (size_t i = 0; i < indexes->n; i++) {
        if (indexes->v[i].staged)
            remove_beside(indexes->v[i].staged);
        free(indexes->v[i].staged);
        free(indexes->v[i].path);
    }
    *indexes = (struct git_next_indexes){0};
}

/* -- the exchange ------------------------------------------------------------------------------ */

/* Files that were fixed are as their entries say: git need not look again. */
static void refresh(const struct git_place *place, const struct git_next_index *index)
{
    static const char *const args[] = {"update-index", "-q", "--refresh", NULL};
    struct git_command command = {.place = place,
                                  .args = args,
                                  .work_tree = place->work_tree,
                                  .index = index->staged,
                                  .own_index = true};
    if (git_command_run(&command, NULL, NULL) != 0) {
        /* It says so by failing that others differ. */
    }
}

static int swap_one(const struct git_place *place, struct git_next_index *index, struct err *err)
{
    struct stat ours, is;
    refresh(place, index);
    if (chmod(index->staged, index->was.st_mode & 07777) != 0 || stat(index->staged, &ours) != 0)
        return err_sys(err, errno, "cannot prepare %s", index->staged);
    if (ours.st_uid != index->was.st_uid || ours.st_gid != index->was.st_gid)
        (void)!chown(index->staged, index->was.st_uid, index->was.st_gid);
    if (is_locked(index->path))
        return locked(index->path, err);
    if (!exchange_names(AT_FDCWD, index->staged, AT_FDCWD, index->path))
        return err_sys(err, errno, "cannot replace %s", index->path);
    index->swapped = true;
    bool same = stat(index->staged, &is) == 0 && exchange_same(&is, &index->was);
    bool held = is_locked(index->path);
    bool there = stat(index->path, &is) == 0 && is.st_ino == ours.st_ino;
    if (same && !held && there)
        return 0;
    index->swapped = there; /* else it is somebody's newer one, and stays */
    return held ? locked(index->path, err) : changed_since(err);
}

int git_next_indexes_swap(const struct git_place *place, struct git_next_indexes *indexes,
                          struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < indexes->n; i++)
        rc = swap_one(place, &indexes->v[i], err);
    for (size_t i = indexes->n; rc != 0 && i-- > 0;)
        if (indexes->v[i].swapped)
            (void)exchange_names(AT_FDCWD, indexes->v[i].staged, AT_FDCWD, indexes->v[i].path);
    return rc;
}
