/*
 * test_cache_snapshot.h - snapshots in a scratch cache, and reading them as an overlay would show
 * them, with a mount or without.
 */
#ifndef KILN_TEST_CACHE_SNAPSHOT_H
#define KILN_TEST_CACHE_SNAPSHOT_H

#include "test_cache_cas.h"

#include "base/vec.h"
#include "cache/snapshot.h"
#include "cache/tree.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

/* -- reading what is presented ----------------------------------------------------------------- */

/* A reading of layers, the lowest first, into a store. */
struct view {
    struct trees *trees;
    const char *wrong; /* the first thing that is not as it must be */
    char *where;
};

static inline void view_wrong(struct view *view, const char *what, const char *path)
{
    if (!view->wrong) {
        view->wrong = what;
        view->where = mem_strdup(path);
    }
}

static inline int view_by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

typedef VEC(char *) strings;

static inline void strings_release(strings *list)
{
    vec_each (char *, string, list)
        free(*string);
    vec_release(list);
}

/* All names in the layers, each once, sorted. */
static inline void view_names(struct view *view, const strings *layers, strings *out)
{
    vec_each (char *, layer, layers) {
        DIR *dir = opendir(*layer);
        if (!dir)
            view_wrong(view, "it cannot be read", *layer);
        for (struct dirent *entry; dir && (entry = readdir(dir));)
            if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                vec_push(out, mem_strdup(entry->d_name));
        if (dir)
            closedir(dir);
    }
    if (out->n > 0)
        qsort(out->v, out->n, sizeof(*out->v), view_by_name);
    size_t kept = 0;
    for (size_t i = 0; i < out->n; i++) {
        if (kept > 0 && strcmp(out->v[kept - 1], out->v[i]) == 0)
            free(out->v[i]);
        else
            out->v[kept++] = out->v[i];
    }
    out->n = kept;
}

static inline struct digest view_content(struct view *view, const char *path)
{
    struct buf buf = BUF_INIT;
    if (file_read(path, 1 << 24, &buf, NULL) != 0)
        view_wrong(view, "it cannot be read", path);
    struct digest digest = digest_of(buf_str(&buf), buf.len);
    buf_release(&buf);
    return digest;
}

static inline struct digest view_read(struct view *view, const strings *layers)
{
    strings names = VEC_INIT, kept = VEC_INIT;
    VEC(struct tree_entry) entries = VEC_INIT;
    view_names(view, layers, &names);
    vec_each (char *, name, &names) {
        strings dirs = VEC_INIT; /* the highest first, then turned around */
        struct tree_entry entry = {.name = *name};
        bool there = false, over = false;
        for (size_t i = layers->n; i-- > 0 && !over;) {
            char *path = path_join(layers->v[i], *name);
            struct stat st;
            if (lstat(path, &st) != 0) {
                free(path);
                continue;
            }
            over = !S_ISDIR(st.st_mode);
            if (S_ISCHR(st.st_mode)) {
                if (st.st_rdev != makedev(0, 0))
                    view_wrong(view, "it is a device", path);
            } else if (there) {
                if (S_ISDIR(st.st_mode))
                    vec_push(&dirs, mem_strdup(path));
            } else {
                there = true;
                if (st.st_mtim.tv_sec != SNAPSHOT_MTIME || st.st_mtim.tv_nsec != 0)
                    view_wrong(view, "its time is another", path);
                if (S_ISDIR(st.st_mode)) {
                    entry.kind = TREE_DIR;
                    vec_push(&dirs, mem_strdup(path));
                    if ((st.st_mode & 07777) != 0755)
                        view_wrong(view, "its mode is another", path);
                } else if (S_ISLNK(st.st_mode)) {
                    char target[4096];
                    ssize_t n = readlink(path, target, sizeof(target) - 1);
                    target[n > 0 ? n : 0] = '\0';
                    entry.kind = TREE_SYMLINK;
                    entry.target = mem_strdup(target);
                    vec_push(&kept, (char *)entry.target);
                } else {
                    entry.kind = TREE_FILE;
                    entry.executable = st.st_mode & 0100;
                    entry.digest = view_content(view, path);
                    if ((st.st_mode & 07777) != (entry.executable ? 0755 : 0644))
                        view_wrong(view, "its mode is another", path);
                }
            }
            free(path);
        }
        if (there && entry.kind == TREE_DIR) {
            for (size_t i = 0; i < dirs.n / 2; i++) {
                char *swap = dirs.v[i];
                dirs.v[i] = dirs.v[dirs.n - 1 - i];
                dirs.v[dirs.n - 1 - i] = swap;
            }
            entry.digest = view_read(view, &dirs);
        }
        if (there)
            vec_push(&entries, entry);
        strings_release(&dirs);
    }
    struct digest digest = trees_put(view->trees, entries.v, entries.n);
    vec_release(&entries);
    strings_release(&names);
    strings_release(&kept);
    return digest;
}

/* What the directories show by the rules of overlays; null when something is wrong, which is said.
 */
static inline struct digest view_layers(const char *const *dirs, size_t n)
{
    struct view view = {.trees = trees_new()};
    strings layers = VEC_INIT;
    for (size_t i = 0; i < n; i++)
        vec_push(&layers, mem_strdup(dirs[i]));
    struct digest digest = view_read(&view, &layers);
    if (view.wrong) {
        fprintf(stderr, "%s: %s\n", view.where, view.wrong);
        digest = (struct digest){0};
    }
    free(view.where);
    trees_free(view.trees);
    strings_release(&layers);
    return digest;
}

static inline bool view_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* A user namespace of its own with a mount namespace; false where that is not allowed. */
static inline bool view_unshare(void)
{
    char map[64];
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return false;
    (void)view_write("/proc/self/setgroups", "deny");
    snprintf(map, sizeof(map), "0 %u 1", uid);
    if (!view_write("/proc/self/uid_map", map))
        return false;
    snprintf(map, sizeof(map), "0 %u 1", gid);
    return view_write("/proc/self/gid_map", map);
}

/* Mounts the layers at the directory in this (own) namespace. */
static inline bool view_mount(const char *const *dirs, size_t n, const char *at)
{
    struct buf options = BUF_INIT;
    /* A single layer needs another: one that is there and empty. */
    char *empty = mem_printf("%s.empty", at);
    (void)mkdir(empty, 0755);
    buf_addf(&options, "userxattr,lowerdir=");
    for (size_t i = n; i-- > 0;)
        buf_addf(&options, "%s:", dirs[i]);
    buf_adds(&options, empty);
    bool ok = mount("overlay", at, "overlay", MS_RDONLY, buf_str(&options)) == 0;
    if (!ok)
        fprintf(stderr, "mounting %s: %s\n", buf_str(&options), strerror(errno));
    buf_release(&options);
    free(empty);
    return ok;
}

/* Whether overlays can be mounted here at all. */
static inline bool view_mountable(const char *scratch)
{
    char *at = path_join(scratch, "mount"), *lower = path_join(scratch, "lower");
    (void)mkdir(at, 0755);
    (void)mkdir(lower, 0755);
    pid_t pid = fork();
    if (pid == 0) {
        const char *dirs[] = {lower};
        _exit(view_unshare() && view_mount(dirs, 1, at) ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    free(at);
    free(lower);
    return status == 0;
}

/* What a real overlay of them shows. */
static inline struct digest view_mounted(const char *scratch, const char *const *dirs, size_t n)
{
    struct digest digest = {0};
    int ends[2], status;
    char *at = path_join(scratch, "mount");
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        const char *mounted[] = {at};
        if (view_unshare() && view_mount(dirs, n, at)) {
            digest = view_layers(mounted, 1);
            if (write(ends[1], &digest, sizeof(digest)) == (ssize_t)sizeof(digest))
                _exit(0);
        }
        _exit(1);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &digest, sizeof(digest)), sizeof(digest));
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    free(at);
    return digest;
}

/* -- making ------------------------------------------------------------------------------------ */

/* What lies at rel among this boot's snapshots: new string. */
static inline char *snapshot_path(const struct fixture *f, const char *rel)
{
    char *path = NULL, *snap = path_join(f->path, "v1/snap");
    DIR *dir = opendir(snap);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (entry->d_name[0] != '.' && !path)
            path = mem_printf("%s/%s/%s", snap, entry->d_name, rel);
    if (dir)
        closedir(dir);
    free(snap);
    assert_non_null(path);
    return path;
}

static inline char *snapshot_meta_path(const struct fixture *f, const struct digest *root)
{
    char hex[DIGEST_HEX + 1], rel[DIGEST_HEX + 16];
    digest_hex(root, hex);
    snprintf(rel, sizeof(rel), "tree/%s/meta", hex);
    return snapshot_path(f, rel);
}

static inline struct snapshot_options snapshot_ours(const char *root, const char *name)
{
    return (struct snapshot_options){
        .root = root, .name = name, .owner = geteuid(), .group = getegid()};
}

/* Presents the tree; NULL when a file has changed. */
static inline struct snapshot *present(struct cache *cache, const struct trees *trees,
                                       const struct digest *root,
                                       const struct snapshot_options *options)
{
    struct err err = ERR_INIT;
    struct snapshot_request *request;
    enum snapshot_answer answer;
    struct snapshot *snapshot = snapshot_find(cache, root, options);
    if (snapshot)
        return snapshot;
    assert_ok(snapshot_request_new(cache, trees, root, options, &request, &err), &err);
    assert_ok(snapshot_make(request, &answer, &snapshot, &err), &err);
    assert_true(answer == SNAPSHOT_READY ? snapshot != NULL : snapshot == NULL);
    snapshot_request_free(request);
    return snapshot;
}

static inline struct tree_entry entry_of(struct cache *cache, const char *text, bool executable)
{
    struct err err = ERR_INIT;
    struct tree_entry entry = {.kind = TREE_FILE, .executable = executable};
    assert_ok(cache_put(cache, text, strlen(text), &entry.digest, &err), &err);
    return entry;
}

static inline void tree_set(struct trees *trees, struct digest *root, const char *path,
                            const struct tree_entry *entry)
{
    struct err err = ERR_INIT;
    assert_ok(trees_make(trees, root, path, entry, root, &err), &err);
}

static inline void tree_file(struct cache *cache, struct trees *trees, struct digest *root,
                             const char *path, const char *text)
{
    struct tree_entry entry = entry_of(cache, text, false);
    tree_set(trees, root, path, &entry);
}

#endif
