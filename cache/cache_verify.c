/*
 * cache_verify.c - the disk cache's fsck: names and kinds first, then content by two threads, then
 * what results name, then snapshots, then stat caches, beside the files that they tell of.
 */
#include "cache/cache_verify.h"

#include "base/mem.h"
#include "cache/action.h"
#include "cache/cache_gc.h"
#include "cache/cache_verify_private.h"
#include "cache/statcache.h"
#include "cache/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define THREADS  2
#define TREE_MAX ((size_t)1 << 30)
#define STRAY_S  (30 * INT64_C(86400)) /* a stat cache without its project */

void verify_found(struct verify *v, const char *sub, const char *name, const char *problem,
                  const char *done)
{
    struct verify_report *report = v->report;
    pthread_mutex_lock(&v->mutex);
    struct verify_finding finding = {
        .name = arena_printf(&report->arena, "%s/%s", sub, name),
        .problem = arena_strdup(&report->arena, problem),
        .done = done,
    };
    vec_push(&report->findings, finding);
    pthread_mutex_unlock(&v->mutex);
}

/* -- names and kinds --------------------------------------------------------------------------- */

struct walk {
    struct verify *v;
    const char *top; /* "cas" or "ac" */
    cache_files *files;
    const char *sub;
};

static const char *kind_name(mode_t mode)
{
    return S_ISDIR(mode)    ? "a directory"
           : S_ISLNK(mode)  ? "a symbolic link"
           : S_ISFIFO(mode) ? "a FIFO"
           : S_ISSOCK(mode) ? "a socket"
                            : "no file";
}

/* Moves something that has no business there, whatever its name, to bad/. */
static void set_stray_aside(struct walk *walk, int dirfd, const char *name, const char *problem)
{
    struct cache *cache = walk->v->cache;
    char unique[CACHE_NAME_SIZE], to[CACHE_NAME_SIZE + sizeof("bad/")];
    cache_unique_name(cache, "stray", unique);
    snprintf(to, sizeof(to), "bad/%s", unique);
    (void)mkdirat(cache->root_fd, "bad", 0700); /* the rename tells */
    bool aside = !cache->read_only && renameat(dirfd, name, cache->root_fd, to) == 0;
    char *path = walk->sub ? mem_printf("%s/%s", walk->sub, name) : mem_strdup(name);
    verify_found(walk->v, walk->top, path, problem, aside ? VERIFY_ASIDE : VERIFY_LEFT);
    free(path);
}

/* A blob is 0444 but for the umask: what could be written or run in place is not to be trusted to
 * stay what it is. */
static void mend_mode(struct walk *walk, int dirfd, const char *name, const struct stat *st)
{
    if ((st->st_mode & 07333) == 0 && (st->st_mode & S_IRUSR))
        return;
    char *path = mem_printf("%s/%s", walk->sub, name);
    char *problem = mem_printf("its mode is %03o", (unsigned)st->st_mode & 07777);
    bool mended = !walk->v->cache->read_only && fchmodat(dirfd, name, 0444, 0) == 0;
    verify_found(walk->v, walk->top, path, problem, mended ? "set to 444" : VERIFY_LEFT);
    free(problem);
    free(path);
}

static int file_cb(void *ctx, int dirfd, const char *name)
{
    struct walk *walk = ctx;
    struct cache_file file;
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    if (!digest_parse(name, 0, &file.digest)) {
        set_stray_aside(walk, dirfd, name, "its name is no digest");
    } else if (strncmp(name, walk->sub, 2) != 0) {
        set_stray_aside(walk, dirfd, name, "it lies in a directory of other digests");
    } else if (!S_ISREG(st.st_mode)) {
        char *problem = mem_printf("it is %s", kind_name(st.st_mode));
        set_stray_aside(walk, dirfd, name, problem);
        free(problem);
    } else {
        mend_mode(walk, dirfd, name, &st);
        file.digest.size = (uint64_t)st.st_size;
        file.mtime_ns = cache_mtime_ns(&st);
        vec_push(walk->files, file);
    }
    return 0;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static int dir_cb(void *ctx, int dirfd, const char *name)
{
    struct walk *walk = ctx;
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    walk->sub = NULL;
    if (!S_ISDIR(st.st_mode) || strlen(name) != 2 || !is_hex(name[0]) || !is_hex(name[1])) {
        set_stray_aside(walk, dirfd, name, "it is none of the cache's directories");
        return 0;
    }
    walk->sub = name;
    return cache_each_name(dirfd, name, file_cb, walk) != 0 && errno != ENOENT ? -1 : 0;
}

static int by_digest(const void *a, const void *b)
{
    return digest_cmp(&((const struct cache_file *)a)->digest,
                      &((const struct cache_file *)b)->digest);
}

static int list(struct verify *v, const char *top, int dirfd, cache_files *files, struct err *err)
{
    struct walk walk = {.v = v, .top = top, .files = files};
    if (dirfd >= 0 && cache_each_name(dirfd, ".", dir_cb, &walk) != 0)
        return err_sys(err, errno, "cannot read the cache directory %s/v1/%s", v->cache->path, top);
    if (files->n > 0)
        qsort(files->v, files->n, sizeof(*files->v), by_digest);
    return 0;
}

/* -- content ----------------------------------------------------------------------------------- */

static const char *quarantine(struct verify *v, int dirfd, const char *rel, const char *kind)
{
    return cache_quarantine(v->cache, dirfd, rel, kind, NULL) ? VERIFY_ASIDE : VERIFY_LEFT;
}

static void check_blob(struct verify *v, struct hasher *hasher, const struct cache_file *file)
{
    char rel[CACHE_REL_SIZE];
    struct digest actual;
    struct err err = ERR_INIT;
    int dirfd = v->cache->cas_fd;
    cache_rel(&file->digest, rel);
    int fd = openat(dirfd, rel, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == ENOENT)
        return; /* taken away meanwhile */
    if (fd < 0)
        err_sys(&err, errno, "it cannot be read");
    else if (digest_of_fd(hasher, fd, &actual, &err) == 0 &&
             memcmp(actual.hash, file->digest.hash, DIGEST_BYTES) != 0)
        err_set(&err, ERR_CORRUPT,
                file->digest.size == 0 ? "it is empty" : "its content has another digest");
    if (fd >= 0)
        close(fd);
    if (err.kind != ERR_NONE)
        verify_found(v, "cas", rel, err_text(&err), quarantine(v, dirfd, rel, "cas"));
    err_release(&err);
}

static void check_blobs(struct verify *v, bool tell)
{
    struct hasher *hasher = hasher_new();
    size_t i;
    while ((i = atomic_fetch_add(&v->next, 1)) < v->blobs.n + v->pool.n) {
        uint64_t size;
        if (i < v->blobs.n) {
            check_blob(v, hasher, &v->blobs.v[i]);
            size = v->blobs.v[i].digest.size;
        } else {
            verify_pool_file(v, hasher, &v->pool.v[i - v->blobs.n]);
            size = v->pool.v[i - v->blobs.n].size;
        }
        uint64_t done = atomic_fetch_add(&v->done, size) + size;
        if (tell && v->progress)
            v->progress(v->ctx, done, v->all);
    }
    hasher_free(hasher);
}

static void *thread(void *ctx)
{
    check_blobs(ctx, false);
    return NULL;
}

static void check_content(struct verify *v)
{
    pthread_t threads[THREADS];
    int n = 1;
    vec_each (struct cache_file, file, &v->blobs)
        v->all += file->digest.size;
    vec_each (struct verify_pool_file, file, &v->pool)
        v->all += file->size;
    while (n < THREADS && pthread_create(&threads[n], NULL, thread, v) == 0)
        n++;
    check_blobs(v, true);
    while (--n > 0)
        pthread_join(threads[n], NULL);
}

/* -- what results name ------------------------------------------------------------------------- */

struct missing {
    const struct verify *v;
    bool any;
};

static void look_for_files(void *ctx, const void *bytes, size_t n, const struct tree_dir *dir)
{
    struct missing *missing = ctx;
    (void)bytes;
    (void)n;
    for (size_t i = 0; i < dir->n; i++)
        if (dir->entries[i].kind == TREE_FILE &&
            !cache_has(missing->v->cache, &dir->entries[i].digest))
            missing->any = true;
}

/* Whether a directory's Tree is there, is one, and all its files are. */
static bool tree_is_whole(struct verify *v, const struct digest *digest)
{
    static char yes, no;
    void **known = map_get(&v->trees, digest, sizeof(*digest));
    if (known)
        return *known == &yes;
    struct buf message = BUF_INIT;
    struct missing missing = {.v = v};
    bool whole = cache_peek(v->cache, digest, TREE_MAX, &message) &&
                 tree_each(buf_str(&message), message.len, look_for_files, &missing, NULL) == 0 &&
                 !missing.any;
    buf_release(&message);
    map_put(&v->trees, digest, sizeof(*digest), whole ? &yes : &no, NULL);
    return whole;
}

/* What of the result is not there, as words; NULL when nothing is. */
static char *dangling(struct verify *v, const struct action_result *result)
{
    for (size_t i = 0; i < result->n_outputs; i++) {
        const struct action_output *output = &result->outputs[i];
        if (output->kind == OUTPUT_FILE && !cache_has(v->cache, &output->digest))
            return mem_printf("the content of its output \"%s\" is not there", output->path);
        if (output->kind == OUTPUT_DIR && !tree_is_whole(v, &output->digest))
            return mem_printf("not all of its output \"%s\" is there", output->path);
    }
    const struct digest *logs[] = {&result->stdout_digest, &result->stderr_digest};
    for (size_t i = 0; i < 2; i++)
        if (!digest_is_null(logs[i]) && !cache_has(v->cache, logs[i]))
            return mem_strdup("its log is not there");
    return NULL;
}

static void check_result(struct verify *v, const struct cache_file *file)
{
    struct arena arena = ARENA_INIT;
    struct action_result result;
    struct buf message = BUF_INIT;
    struct stat st;
    char rel[CACHE_REL_SIZE], *problem = NULL;
    int dirfd = v->cache->ac_fd;
    cache_rel(&file->digest, rel);
    if (cache_peek_result(v->cache, &file->digest, &message) &&
        action_result_decode(message.data, message.len, &arena, &result, NULL) == 0)
        problem = dangling(v, &result);
    else if (fstatat(dirfd, rel, &st, AT_SYMLINK_NOFOLLOW) == 0)
        problem = mem_strdup(st.st_size == 0 ? "it is empty"
                                             : "it is damaged, or the result of another action");
    if (problem)
        verify_found(v, "ac", rel, problem, quarantine(v, dirfd, rel, "ac"));
    free(problem);
    arena_release(&arena);
    buf_release(&message);
}

/* -- stat caches, and what was set aside ------------------------------------------------------- */

/* Whether it is the temporary file of file_write_atomic(), and young enough to have a writer. */
static bool is_being_written(int dirfd, const char *name)
{
    struct stat st;
    return name[0] == '.' && (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
                              st.st_mtime >= time(NULL) - UNFINISHED_S);
}

/* What a whole one says that is not so, in words (new string), or NULL. */
static char *lie_of(const struct verify *v, const char *name, const char *root)
{
    char *path = mem_printf("%s/v1/stat/%s", v->cache->path, name);
    struct statcache *cache = statcache_load(path, root);
    char *lie = statcache_find_lie(cache, root), *words = NULL;
    if (lie)
        words = mem_printf("%s/%s is not what it says", root, lie);
    statcache_free(cache);
    free(lie);
    free(path);
    return words;
}

static int stat_cb(void *ctx, int dirfd, const char *name)
{
    struct verify *v = ctx;
    struct stat st;
    struct digest id;
    char *root = NULL, *lie = NULL, hex[DIGEST_HEX + 1] = "";
    const char *problem = NULL;
    if (is_being_written(dirfd, name))
        return 0;
    v->report->stat_caches++;
    bool whole = statcache_check(dirfd, name, &root);
    if (whole) {
        id = digest_of(root, strlen(root));
        digest_hex(&id, hex);
    }
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        problem = NULL;
    else if (!whole)
        problem = "it is damaged, or of another version";
    else if (strcmp(hex, name) != 0)
        problem = "it is of another project";
    else if (st.st_mtime < time(NULL) - STRAY_S && lstat(root, &st) != 0 && errno == ENOENT)
        problem = "its project is gone";
    else
        problem = lie = lie_of(v, name, root);
    if (problem) {
        bool gone = !v->cache->read_only &&
                    (unlinkat(dirfd, name, 0) == 0 || unlinkat(dirfd, name, AT_REMOVEDIR) == 0);
        verify_found(v, "stat", name, problem, gone ? VERIFY_REMOVED : VERIFY_LEFT);
    }
    free(lie);
    free(root);
    return 0;
}

static int count_cb(void *ctx, int dirfd, const char *name)
{
    struct verify *v = ctx;
    (void)dirfd;
    (void)name;
    v->report->aside++;
    return 0;
}

static int check_all(struct verify *v, struct err *err)
{
    struct cache *cache = v->cache;
    (void)cache_each_name(cache->root_fd, "bad", count_cb, v);
    int rc = list(v, "cas", cache->cas_fd, &v->blobs, err);
    if (rc == 0)
        rc = list(v, "ac", cache->ac_fd, &v->results, err);
    if (rc != 0)
        return rc;
    verify_list_pool(v);
    check_content(v);
    vec_each (struct cache_file, file, &v->results)
        check_result(v, file);
    verify_snapshots(v);
    (void)cache_each_name(cache->root_fd, "stat", stat_cb, v);
    struct cache_stats *checked = &v->report->checked;
    checked->blobs = v->blobs.n;
    checked->actions = v->results.n;
    checked->bytes = v->all;
    vec_each (struct cache_file, file, &v->results)
        checked->bytes += file->digest.size;
    return 0;
}

int cache_verify(struct cache *cache, verify_progress_cb *progress, void *ctx,
                 struct verify_report *report, struct err *err)
{
    struct verify v = {.cache = cache, .report = report, .progress = progress, .ctx = ctx};
    *report = (struct verify_report){0};
    if (cache->root_fd < 0)
        return 0;
    int lock = cache->read_only ? -1 : cache_gc_lock(cache, true);
    pthread_mutex_init(&v.mutex, NULL);
    int rc = check_all(&v, err);
    if (lock >= 0)
        close(lock);
    pthread_mutex_destroy(&v.mutex);
    map_release(&v.trees);
    vec_release(&v.blobs);
    vec_release(&v.results);
    vec_each (struct verify_pool_file, file, &v.pool)
        free(file->rel);
    vec_release(&v.pool);
    return rc;
}

void verify_report_release(struct verify_report *report)
{
    vec_release(&report->findings);
    arena_release(&report->arena);
}
