/*
 * cache_verify_snapshots.c - the part of the disk cache's fsck that is about snapshots: the files
 * that they share by their content, then each of them against the plan by which it was made.
 *
 * A tree's file that is the pool's inode was checked there; one that is not is read.
 */
#include "base/mem.h"
#include "cache/beneath.h"
#include "cache/cache_verify_private.h"
#include "cache/snapshot_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define READ_FLAGS (O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

/* -- the pool ---------------------------------------------------------------------------------- */

static const char *remove_file(const struct verify *v, int dirfd, const char *name)
{
    return !v->cache->read_only && unlinkat(dirfd, name, 0) == 0 ? VERIFY_REMOVED : VERIFY_LEFT;
}

struct pool_dir {
    struct verify *v;
    const char *sub;
};

static int pool_file_cb(void *ctx, int dirfd, const char *name)
{
    const struct pool_dir *dir = ctx;
    struct verify *v = dir->v;
    struct digest digest;
    struct stat st;
    bool executable;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    char *rel = mem_printf("%s/%s", dir->sub, name);
    if (S_ISREG(st.st_mode) && pool_parse(name, &digest, &executable) &&
        strncmp(name, dir->sub, 2) == 0) {
        vec_push(&v->pool, (struct verify_pool_file){rel, (uint64_t)st.st_size});
        return 0;
    }
    verify_found(v, "snap/" SNAPSHOT_POOL, rel, "it is none of the pool's files",
                 remove_file(v, dirfd, name));
    free(rel);
    return 0;
}

static int pool_dir_cb(void *ctx, int dirfd, const char *name)
{
    struct pool_dir dir = {.v = ctx, .sub = name};
    if (strlen(name) == 2)
        (void)cache_each_name(dirfd, name, pool_file_cb, &dir);
    return 0;
}

void verify_list_pool(struct verify *v)
{
    (void)cache_each_name(snapshot_place(v->cache, false), SNAPSHOT_POOL, pool_dir_cb, v);
}

static bool has_content(struct hasher *hasher, int fd, const struct digest *digest)
{
    struct digest actual;
    return digest_of_fd(hasher, fd, &actual, NULL) == 0 &&
           memcmp(actual.hash, digest->hash, DIGEST_BYTES) == 0;
}

static bool is_settled(const struct stat *st, mode_t mode)
{
    return st->st_mode == mode && st->st_mtim.tv_sec == SNAPSHOT_MTIME && st->st_mtim.tv_nsec == 0;
}

void verify_pool_file(struct verify *v, struct hasher *hasher, const struct verify_pool_file *file)
{
    char *rel = mem_printf(SNAPSHOT_POOL "/%s", file->rel);
    struct digest digest;
    struct stat st;
    bool executable;
    const char *problem = NULL;
    int place = snapshot_place(v->cache, false), fd = openat(place, rel, READ_FLAGS);
    if (!pool_parse(file->rel + 3, &digest, &executable) || (fd < 0 && errno == ENOENT))
        problem = NULL; /* taken away meanwhile */
    else if (fd < 0 || fstat(fd, &st) != 0)
        problem = "it cannot be read";
    else if (!is_settled(&st, S_IFREG | (executable ? 0755U : 0644U)))
        problem = "its mode or time was changed";
    else if (!has_content(hasher, fd, &digest))
        problem = "its content has another digest";
    if (problem)
        verify_found(v, "snap/" SNAPSHOT_POOL, file->rel, problem, remove_file(v, place, rel));
    if (fd >= 0)
        close(fd);
    free(rel);
}

/* -- trees ------------------------------------------------------------------------------------- */

struct check {
    struct verify *v;
    struct hasher *hasher;
    int root_fd;
};

static bool is_of_pool(struct cache *cache, const char *folder, const struct plan_entry *entry,
                       const struct stat *st)
{
    char rel[POOL_REL_SIZE];
    struct stat pool;
    pool_rel(folder, entry, rel);
    char *path = mem_printf(SNAPSHOT_POOL "/%s", rel);
    bool same = fstatat(snapshot_place(cache, false), path, &pool, AT_SYMLINK_NOFOLLOW) == 0 &&
                pool.st_ino == st->st_ino && pool.st_dev == st->st_dev;
    free(path);
    return same;
}

/* What is wrong with an entry, or NULL. */
static const char *check_entry(const struct check *check, int dirfd, const char *folder,
                               const struct plan_entry *entry)
{
    struct stat st;
    if (fstatat(dirfd, entry->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return "is missing";
    if (entry->kind == PLAN_WHITEOUT)
        return S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0) ? NULL : "should not be there";
    if (entry->kind == PLAN_LINK) {
        size_t n = strlen(entry->target);
        char *target = mem_alloc(n + 1);
        bool same = S_ISLNK(st.st_mode) &&
                    readlinkat(dirfd, entry->name, target, n + 1) == (ssize_t)n &&
                    memcmp(target, entry->target, n) == 0;
        free(target);
        return same ? NULL : "is not the link that it should be";
    }
    bool executable = entry->kind == PLAN_EXECUTABLE;
    if (!is_settled(&st, S_IFREG | (executable ? 0755U : 0644U)) ||
        (uint64_t)st.st_size != entry->digest.size)
        return "is not the file that it should be";
    if (is_of_pool(check->v->cache, folder, entry, &st))
        return NULL;
    int fd = openat(dirfd, entry->name, READ_FLAGS);
    bool same = fd >= 0 && has_content(check->hasher, fd, &entry->digest);
    if (fd >= 0)
        close(fd);
    return same ? NULL : "has not the content that it should have";
}

static int count_cb(void *ctx, int dirfd, const char *name)
{
    (void)dirfd;
    (void)name;
    ++*(size_t *)ctx;
    return 0;
}

/* Looks at a directory; what is wrong as words (new string), or NULL. */
static char *check_dir(const struct check *check, const struct snapshot_plan *plan,
                       const struct plan_dir *dir, size_t n_dirs)
{
    size_t n = 0;
    int fd;
    struct stat st;
    if (beneath_open(check->root_fd, dir->path, false, &fd, NULL) != 0)
        return mem_printf("the directory \"%s\" is missing", dir->path);
    const char *problem = NULL, *name = NULL;
    char *words = NULL;
    for (size_t i = 0; i < dir->n && !problem; i++) {
        name = plan->entries.v[dir->first + i].name;
        problem = check_entry(check, fd, dir->path, &plan->entries.v[dir->first + i]);
    }
    if (problem)
        words = mem_printf("\"%s%s%s\" %s", dir->path, *dir->path ? "/" : "", name, problem);
    else if (cache_each_name(fd, ".", count_cb, &n) != 0 || n != dir->n + n_dirs)
        words = mem_printf("the directory \"%s\" holds what it should not", dir->path);
    else if (fstat(fd, &st) != 0 || !is_settled(&st, S_IFDIR | 0755U))
        words = mem_printf("the mode or time of the directory \"%s\" was changed", dir->path);
    close(fd);
    return words;
}

static char *check_layer(struct verify *v, struct hasher *hasher, struct snapshot *snapshot)
{
    struct snapshot_request request = {
        .cache = v->cache, .root = snapshot->digest, .near = snapshot};
    struct check check = {.v = v, .hasher = hasher};
    struct snapshot_plan plan = {0};
    for (size_t i = 0; i < snapshot->n; i++)
        if (!snapshot_meta_index(&snapshot->layers[i]))
            return mem_strdup("what is known of it is damaged");
    if (!snapshot_plan_again(&plan, &request)) {
        snapshot_plan_release(&plan);
        return mem_strdup("what is known of it is damaged");
    }
    char *problem = NULL;
    size_t *children = mem_zalloc(plan.dirs.n, sizeof(*children));
    check.root_fd =
        open(snapshot->dirs[snapshot->n - 1], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    for (size_t i = 1; i < plan.dirs.n; i++)
        children[plan.dirs.v[i].parent]++;
    for (size_t i = 0; i < plan.dirs.n && !problem; i++)
        problem = check_dir(&check, &plan, &plan.dirs.v[i], children[i]);
    if (check.root_fd >= 0)
        close(check.root_fd);
    free(children);
    snapshot_plan_release(&plan);
    return problem;
}

static int tree_cb(void *ctx, int dirfd, const char *name)
{
    struct verify *v = ctx;
    struct snapshot_header header;
    struct snapshot *snapshot = NULL;
    char *meta = mem_printf("%s/meta", name), *problem = NULL;
    int fd = openat(dirfd, meta, READ_FLAGS);
    bool read = fd >= 0 && snapshot_meta_read(fd, name, &header);
    if (fd >= 0)
        close(fd);
    free(meta);
    if (read)
        snapshot = snapshot_peek(v->cache, name, header.uid, header.gid);
    if (snapshot) {
        struct hasher *hasher = hasher_new();
        problem = check_layer(v, hasher, snapshot);
        hasher_free(hasher);
    } else if (faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        problem = mem_strdup(read ? "what it is based on is not there"
                                  : "what is known of it is damaged");
    }
    snapshot_release(snapshot);
    v->report->checked.snapshots++;
    if (problem)
        verify_found(v, "snap/" SNAPSHOT_TREES, name, problem,
                     snapshot_condemn(v->cache, name) ? VERIFY_REMOVED : VERIFY_LEFT);
    free(problem);
    return 0;
}

void verify_snapshots(struct verify *v)
{
    struct cache *cache = v->cache;
    (void)cache_each_name(snapshot_place(cache, false), SNAPSHOT_TREES, tree_cb, v);
    if (!cache->read_only)
        snapshot_sweep(cache);
}
