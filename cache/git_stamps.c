#include "cache/git_stamps.h"

#include "base/arena.h"
#include "base/crew.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/vec.h"
#include "cache/git_index.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE     64 /* that a thread takes at once */
#define MAX_BYTES (SIZE_MAX / 4)
#define TYPE_LINK 0120000U
#define TYPE_FILE 0100000U

/* What has to be there: the file as the index has it, or a folder with that many names. */
struct thing {
    const char *path; /* "" is the top */
    struct git_index_file file;
    size_t n_names, folder; /* the folder it lies in, by its number */
    bool is_folder;
    bool held; /* by git_stamps_look() */
};

struct git_stamps {
    struct buf bytes; /* of the index */
    struct stat st;   /* of its file */
    struct arena arena;
    VEC(struct thing) things; /* sorted, each folder before what lies in it */
    VEC(size_t) above; /* while reading: the folders that the last file lies in, the top first */
    struct buf fresh;
    size_t id_size;
    enum git_index_answer answer;
    struct git_index_tree tree;
    bool strange;
};

static int64_t ns_of(uint32_t s, uint32_t ns)
{
    return (int64_t)s * 1000000000 + ns;
}

static int64_t index_ns(const struct git_stamps *stamps)
{
    return (int64_t)stamps->st.st_mtim.tv_sec * 1000000000 + stamps->st.st_mtim.tv_nsec;
}

/* -- reading ----------------------------------------------------------------------------------- */

static void add(struct git_stamps *stamps, struct thing *thing, const char *path, size_t len)
{
    thing->path = arena_strndup(&stamps->arena, path, len);
    if (stamps->above.n) {
        thing->folder = stamps->above.v[stamps->above.n - 1];
        stamps->things.v[thing->folder].n_names++;
    }
    if (thing->is_folder)
        vec_push(&stamps->above, stamps->things.n);
    vec_push(&stamps->things, *thing);
}

/* Entries are sorted: what lies in a folder follows one another. */
static void go_to_folder(struct git_stamps *stamps, const char *path)
{
    size_t depth = 1, at = 0;
    for (const char *slash; (slash = strchr(path + at, '/')); depth++) {
        size_t len = (size_t)(slash - path);
        bool same = depth < stamps->above.n;
        if (same) {
            const char *known = stamps->things.v[stamps->above.v[depth]].path;
            same = strlen(known) == len && memcmp(known, path, len) == 0;
        }
        if (!same) {
            stamps->above.n = depth;
            add(stamps, &(struct thing){.is_folder = true}, path, len);
        }
        at = len + 1;
    }
    stamps->above.n = depth;
}

static void take(void *ctx, const struct git_index_file *entry)
{
    struct git_stamps *stamps = ctx;
    uint32_t type = entry->mode & 0170000;
    stamps->strange |= !entry->plain || (type != TYPE_FILE && type != TYPE_LINK);
    if (stamps->strange)
        return;
    struct thing thing = {.file = *entry};
    thing.file.path = NULL; /* the reader's */
    go_to_folder(stamps, entry->path);
    add(stamps, &thing, entry->path, entry->len);
    if (ns_of(entry->ctime_s, entry->ctime_ns) >= index_ns(stamps))
        buf_add(&stamps->fresh, entry->path, entry->len + 1);
}

struct git_stamps *git_stamps_read(const char *path, size_t id_size)
{
    struct git_stamps *stamps = mem_zalloc(1, sizeof *stamps);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    stamps->id_size = id_size;
    bool read = fd >= 0 && fstat(fd, &stamps->st) == 0 && S_ISREG(stamps->st.st_mode) &&
                file_read_fd(fd, path, MAX_BYTES, &stamps->bytes, NULL) == 0;
    if (fd >= 0)
        close(fd);
    if (read) {
        add(stamps, &(struct thing){.is_folder = true}, "", 0);
        stamps->answer = git_index_each(stamps->bytes.data, stamps->bytes.len, id_size, take,
                                        stamps, &stamps->tree);
    }
    if (read && !stamps->strange &&
        (stamps->answer == GIT_INDEX_TREE || stamps->answer == GIT_INDEX_NONE))
        return stamps;
    git_stamps_free(stamps);
    return NULL;
}

void git_stamps_free(struct git_stamps *stamps)
{
    if (!stamps)
        return;
    buf_release(&stamps->bytes);
    buf_release(&stamps->fresh);
    arena_release(&stamps->arena);
    vec_release(&stamps->things);
    vec_release(&stamps->above);
    free(stamps);
}

bool git_stamps_tree(const struct git_stamps *stamps, char hex[GIT_TREE_HEX + 1])
{
    if (stamps->answer != GIT_INDEX_TREE)
        return false;
    for (size_t i = 0; i < stamps->id_size; i++)
        snprintf(hex + 2 * i, 3, "%02x", stamps->tree.id[i]);
    return true;
}

const struct buf *git_stamps_fresh(const struct git_stamps *stamps)
{
    return &stamps->fresh;
}

/* -- looking ----------------------------------------------------------------------------------- */

struct looking {
    struct thing **things;
    size_t n;
    int top;
    bool alone;  /* there is nothing else */
    bool to_end; /* all are looked at, also when one differs */
    int64_t index_ns, fresh_ns;
    atomic_size_t next;
    atomic_bool differs;
};

static bool file_holds(const struct looking *look, const struct thing *thing)
{
    const struct git_index_file *file = &thing->file;
    struct stat st;
    if (fstatat(look->top, thing->path, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    bool link = (file->mode & 0170000) == TYPE_LINK;
    int64_t changed_ns = ns_of(file->ctime_s, file->ctime_ns);
    return (link ? S_ISLNK(st.st_mode) : S_ISREG(st.st_mode)) &&
           (link || !(st.st_mode & 0100) == !(file->mode & 0100)) &&
           (uint32_t)st.st_size == file->size && (uint32_t)st.st_ino == file->inode &&
           (uint32_t)st.st_uid == file->uid && (uint32_t)st.st_gid == file->gid &&
           (uint32_t)st.st_mtim.tv_sec == file->mtime_s &&
           (uint32_t)st.st_mtim.tv_nsec == file->mtime_ns &&
           (uint32_t)st.st_ctim.tv_sec == file->ctime_s &&
           (uint32_t)st.st_ctim.tv_nsec == file->ctime_ns &&
           (changed_ns < look->index_ns || changed_ns >= look->fresh_ns);
}

/* Where all that has to be there is, there is nothing else if there are no more names. */
static bool folder_holds(const struct looking *look, const struct thing *folder)
{
    struct stat st;
    const char *path = *folder->path ? folder->path : ".";
    if (!look->alone)
        return fstatat(look->top, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
    int fd = openat(look->top, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    size_t n = 0, own = *folder->path ? 2 : 3; /* ".", "..", ".git" */
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    while (readdir(dir))
        n++;
    closedir(dir);
    return n == folder->n_names + own;
}

static void work(void *ctx, size_t hand)
{
    struct looking *look = ctx;
    (void)hand;
    for (size_t at; (look->to_end || !atomic_load(&look->differs)) &&
                    (at = atomic_fetch_add(&look->next, PIECE)) < look->n;)
        for (size_t i = at; i < look->n && i < at + PIECE; i++) {
            struct thing *thing = look->things[i];
            bool holds = thing->is_folder ? folder_holds(look, thing) : file_holds(look, thing);
            if (look->to_end)
                thing->held = holds;
            else if (!holds)
                atomic_store(&look->differs, true);
        }
}

static bool look_at(struct looking *look, const char *dir)
{
    look->top = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (look->top < 0)
        return false;
    size_t n = look->n / PIECE + 1, hands = crew_size();
    if (look->to_end && hands > 1)
        hands--; /* git is at work as well */
    crew_run(hands < n ? hands : n, work, look);
    close(look->top);
    return !atomic_load(&look->differs);
}

static bool look_at_all(const struct git_stamps *stamps, struct looking *look, const char *dir)
{
    look->n = stamps->things.n;
    look->index_ns = index_ns(stamps);
    look->things = mem_zalloc(look->n, sizeof(struct thing *));
    for (size_t i = 0; i < look->n; i++)
        look->things[i] = &stamps->things.v[i];
    bool holds = look_at(look, dir);
    free(look->things);
    return holds;
}

bool git_stamps_hold(const struct git_stamps *stamps, const char *dir)
{
    return look_at_all(stamps, &(struct looking){.fresh_ns = INT64_MIN}, dir);
}

void git_stamps_look(struct git_stamps *stamps, const char *dir)
{
    struct looking look = {.alone = true, .to_end = true, .fresh_ns = INT64_MAX};
    (void)look_at_all(stamps, &look, dir);
}

static bool same_file(const struct git_index_file *a, const struct git_index_file *b)
{
    return a->ctime_s == b->ctime_s && a->ctime_ns == b->ctime_ns && a->mtime_s == b->mtime_s &&
           a->mtime_ns == b->mtime_ns && a->inode == b->inode && a->mode == b->mode &&
           a->uid == b->uid && a->gid == b->gid && a->size == b->size;
}

/* As both lists are sorted: a folder's name counts with its slash. */
static int order(const struct thing *a, const struct thing *b)
{
    size_t i = 0;
    while (a->path[i] && a->path[i] == b->path[i])
        i++;
    int x = a->path[i] ? (unsigned char)a->path[i] : a->is_folder && i ? '/' : 0;
    int y = b->path[i] ? (unsigned char)b->path[i] : b->is_folder && i ? '/' : 0;
    if (x != y)
        return x - y;
    /* One has a slash that the other only stands for: a folder, and what lies in it. */
    return a->path[i] ? 1 : b->path[i] ? -1 : 0;
}

bool git_stamps_follow(const struct git_stamps *stamps, const struct git_stamps *before,
                       const char *dir, int64_t fresh_ns)
{
    size_t n = stamps->things.n, at = 0, n_before = before ? before->things.n : 0;
    bool *again = mem_zalloc(n, sizeof *again);
    for (size_t i = 0; i < n; i++) {
        const struct thing *thing = &stamps->things.v[i], *old = NULL;
        while (at < n_before && order(&before->things.v[at], thing) < 0)
            at++;
        if (at < n_before && order(&before->things.v[at], thing) == 0)
            old = &before->things.v[at];
        bool same = old && old->held && old->is_folder == thing->is_folder &&
                    (thing->is_folder ? old->n_names == thing->n_names
                                      : same_file(&old->file, &thing->file));
        again[i] |= !same;
        /* Names came and went while they were counted. */
        if (!same && !(old && thing->is_folder))
            again[thing->folder] = true;
    }
    struct looking look = {.alone = true, .index_ns = index_ns(stamps), .fresh_ns = fresh_ns};
    look.things = mem_zalloc(n, sizeof(struct thing *));
    for (size_t i = 0; i < n; i++)
        if (again[i])
            look.things[look.n++] = &stamps->things.v[i];
    bool holds = look_at(&look, dir);
    free(look.things);
    free(again);
    return holds;
}
/* -- the index itself -------------------------------------------------------------------------- */

bool git_stamps_are(const struct git_stamps *stamps, const char *path)
{
    struct stat st;
    const struct stat *was = &stamps->st;
    return lstat(path, &st) == 0 && st.st_ino == was->st_ino && st.st_dev == was->st_dev &&
           st.st_size == was->st_size && st.st_ctim.tv_sec == was->st_ctim.tv_sec &&
           st.st_ctim.tv_nsec == was->st_ctim.tv_nsec;
}

int git_stamps_write(const struct git_stamps *stamps, const char *path, struct err *err)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, stamps->st.st_mtim};
    int rc = file_write_atomic(path, buf_str(&stamps->bytes), stamps->bytes.len, 0600, err);
    if (rc == 0 && utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) != 0)
        rc = err_sys(err, errno, "cannot set the time of %s", path);
    return rc;
}
