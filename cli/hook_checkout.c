/*
 * hook_checkout.c - where the tree that is being committed is checked out (see hook.h).
 *
 *     <cache>/v1/hook/<id>/lock    flock: one hook at a time; its mtime is the last use
 *     <cache>/v1/hook/<id>/<name>  the checkout; the name is that of the working tree's top
 *     <cache>/v1/hook/<id>/bound   when what "bind" names was copied: its mtime is the end; a line
 *                                  with the begin in nanoseconds, one with the project's folder
 *                                  below the top, then one for each name. bound.begin: for its time
 *     <cache>/v1/hook/<id>/passed  what passed in a hook that has not ended (hook_passes.c)
 *
 * id is made from the working tree's path. What has not been used for long is removed by the next
 * hook of any project; clearing the cache removes all.
 */
#include "cli/hook.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/vec.h"
#include "cache/git_checkout.h"
#include "cache/mirror.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ID_HEX    16
#define KEEP_DAYS 30

/* v1/hook below the cache, without links; NULL where there is no cache. */
static char *hooks_folder(void)
{
    char *cache = cache_default_path(), *v1 = cache ? path_join(cache, "v1") : NULL;
    char *real = v1 ? realpath(v1, NULL) : NULL;
    char *folder = real ? path_join(real, "hook") : NULL;
    free(cache);
    free(v1);
    free(real);
    return folder;
}

static char *home_of(const struct hook_commit *commit)
{
    char hex[DIGEST_HEX + 1], *folder = hooks_folder();
    struct digest id = digest_of(commit->place.work_tree, strlen(commit->place.work_tree));
    digest_hex(&id, hex);
    char *home = folder ? mem_printf("%s/%.*s", folder, ID_HEX, hex) : NULL;
    free(folder);
    return home;
}

static char *dir_in(const char *home, const struct hook_commit *commit)
{
    const char *name = strrchr(commit->place.work_tree, '/') + 1;
    bool odd =
        !*name || !strcmp(name, "lock") || !strcmp(name, "passed") || !strncmp(name, "bound", 5);
    return path_join(home, odd ? "tree" : name);
}

static char *root_in(const char *dir, const struct hook_commit *commit)
{
    size_t n = strlen(commit->place.prefix);
    return n ? mem_printf("%s/%.*s", dir, (int)(n - 1), commit->place.prefix) : mem_strdup(dir);
}

char *hook_checkout_root(const struct hook_commit *commit)
{
    char *home = home_of(commit), *dir = home ? dir_in(home, commit) : NULL;
    char *root = dir ? root_in(dir, commit) : NULL;
    free(home);
    free(dir);
    return root;
}

/* -- tidying ----------------------------------------------------------------------------------- */

static void remove_if_old(int folder, const char *name)
{
    struct stat st;
    char *lock_name = path_join(name, "lock");
    int lock = openat(folder, lock_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    free(lock_name);
    if (lock < 0)
        return;
    if (fstat(lock, &st) == 0 && st.st_mtime < time(NULL) - (time_t)KEEP_DAYS * 24 * 3600 &&
        flock(lock, LOCK_EX | LOCK_NB) == 0)
        (void)!file_remove_tree(folder, name, NULL); /* who comes now finds its lock gone */
    close(lock);
}

static void remove_old(void)
{
    char *path = hooks_folder();
    DIR *dir = path ? opendir(path) : NULL;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            remove_if_old(dirfd(dir), entry->d_name);
    if (dir)
        closedir(dir);
    free(path);
}

/* -- one hook at a time ------------------------------------------------------------------------ */

/* Whether path still is what was opened. */
static bool is_still(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino &&
           a.st_dev == b.st_dev;
}

static int take_lock(const struct options *options, const char *home, int *out, struct err *err)
{
    char *path = path_join(home, "lock");
    int rc = 0, fd = -1;
    while (rc == 0 && fd < 0) {
        rc = file_mkdirs(home, 0700, err);
        if (rc == 0 && (fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0 &&
            errno != ENOENT)
            rc = err_sys(err, errno, "cannot open %s", path);
        if (rc != 0 || fd < 0)
            continue;
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            if (errno == EWOULDBLOCK)
                remark(options, "another hook tests this working tree; waiting for it");
            while ((rc = flock(fd, LOCK_EX)) != 0 && errno == EINTR)
                ;
            if (rc != 0)
                rc = err_sys(err, errno, "cannot lock %s", path);
        }
        if (rc != 0 || !is_still(fd, path)) {
            close(fd);
            fd = -1;
        }
    }
    if (fd >= 0)
        (void)futimens(fd, NULL);
    free(path);
    *out = fd;
    return rc;
}

/* -- the files --------------------------------------------------------------------------------- */

/* A path as a gitignore pattern that means it alone. */
static char *pattern_of(const char *prefix, const char *path)
{
    struct buf out = BUF_INIT;
    buf_addc(&out, '/');
    for (int part = 0; part < 2; part++)
        for (const char *c = part ? path : prefix; *c; c++) {
            if (strchr("*?[]\\ !#", *c))
                buf_addc(&out, '\\');
            buf_addc(&out, *c);
        }
    return buf_detach(&out);
}

/* -- bound directories ------------------------------------------------------------------------- */

/* What of the config's "bind" is to be in the checkout: names in the project's folder. */
struct bound {
    const char **names;
    size_t n;
};

/* A step's output there is what the step makes. */
static bool has_outputs(const struct config *config, const char *path)
{
    for (size_t i = 0; i < config->n_steps; i++)
        for (size_t k = 0; k < config->steps[i].n_outputs; k++)
            if (path_is_below(config->steps[i].outputs[k].text, path) ||
                path_is_below(path, config->steps[i].outputs[k].text))
                return true;
    return false;
}

/* Those that the working tree has and the commit has not: what is committed is what is tested. */
static int find_bound(const struct hook_commit *commit, const struct config *config,
                      struct bound *out, struct err *err)
{
    size_t n = config->hook.n_bind;
    int rc = 0;
    *out = (struct bound){.names = mem_zalloc(n + 1, sizeof *out->names)};
    for (size_t i = 0; rc == 0 && i < n; i++) {
        const char *name = config->hook.bind[i].text;
        char *here = path_join(commit->root, name);
        char *in_tree = mem_printf("%s%s", commit->place.prefix, name);
        bool committed = true;
        if (access(here, F_OK) == 0 && !has_outputs(config, name))
            rc = git_tree_has(&commit->place, commit->tree, in_tree, &committed, err);
        if (!committed)
            out->names[out->n++] = name;
        free(in_tree);
        free(here);
    }
    return rc;
}

/* The file that says when they were copied: when that began, and of which project what. */
static char *describe(const struct hook_commit *commit, const struct bound *bound, int64_t begun_ns)
{
    struct buf out = BUF_INIT;
    buf_addf(&out, "%lld\n%s\n", (long long)begun_ns, commit->place.prefix);
    for (size_t i = 0; i < bound->n; i++)
        buf_addf(&out, "%s\n", bound->names[i]);
    return buf_detach(&out);
}

static struct mirror_times last_times(const struct hook_commit *commit, const struct bound *bound,
                                      const char *path)
{
    struct mirror_times last = {0};
    struct buf text = BUF_INIT;
    struct stat st;
    if (stat(path, &st) == 0 && file_read(path, (size_t)1 << 20, &text, NULL) == 0) {
        int64_t begun_ns = strtoll(buf_str(&text), NULL, 10);
        char *same = describe(commit, bound, begun_ns);
        if (!strcmp(same, buf_str(&text)))
            last = (struct mirror_times){begun_ns, (int64_t)st.st_mtim.tv_sec * 1000000000 +
                                                       st.st_mtim.tv_nsec};
        free(same);
    }
    buf_release(&text);
    return last;
}

/* They are copies, so that whatever steps do, those of the working tree stay as they are; and so
 * that links in them lead to what is tested. */
static int copy_bound(const struct hook_commit *commit, const char *home,
                      const struct hook_checkout *checkout, const struct bound *bound,
                      struct err *err)
{
    if (!bound->n)
        return 0;
    char *path = path_join(home, "bound"), *begin = path_join(home, "bound.begin");
    struct mirror_times last = last_times(commit, bound, path), now = {0};
    int rc = mirror_clock(begin, "", &now.begun_ns, err);
    for (size_t i = 0; rc == 0 && i < bound->n; i++) {
        char *from = path_join(commit->root, bound->names[i]);
        char *to = path_join(checkout->root, bound->names[i]);
        rc = mirror_make(from, to, &last, err);
        if (rc != 0)
            err_wrap(err, "copying %s, as \"bind\" has it, for the hook", bound->names[i]);
        free(to);
        free(from);
    }
    char *text = describe(commit, bound, now.begun_ns);
    if (rc == 0)
        rc = mirror_clock(path, text, &now.ended_ns, err);
    free(text);
    free(begin);
    free(path);
    return rc;
}

static int write_files(const struct hook_commit *commit, const struct config *config,
                       const struct bound *bound, struct hook_checkout *checkout, struct err *err)
{
    VEC(char *) keep = VEC_INIT;
    /* What steps made is there for the next time, as in a working tree. */
    for (size_t i = 0; i < config->n_steps; i++)
        for (size_t k = 0; k < config->steps[i].n_outputs; k++)
            vec_push(&keep, pattern_of(commit->place.prefix, config->steps[i].outputs[k].text));
    for (size_t i = 0; i < bound->n; i++)
        vec_push(&keep, pattern_of(commit->place.prefix, bound->names[i]));
    git_stamps_free(checkout->stamps);
    int rc = git_checkout(&commit->place, commit->tree, checkout->dir, (const char *const *)keep.v,
                          keep.n, &checkout->stamps, err);
    vec_each (char *, pattern, &keep)
        free(*pattern);
    vec_release(&keep);
    return rc;
}

int hook_checkout_again(const struct hook_commit *commit, const struct config *config,
                        struct hook_checkout *checkout, struct err *err)
{
    struct bound bound;
    int rc = find_bound(commit, config, &bound, err);
    if (rc == 0)
        rc = write_files(commit, config, &bound, checkout, err);
    free(bound.names);
    return rc;
}

int hook_checkout_make(const struct options *options, const struct hook_commit *commit,
                       const struct config *config, struct hook_checkout *out, struct err *err)
{
    struct bound bound = {0};
    struct err why = ERR_INIT;
    bool read_only = false;
    char *cache = cache_default_path();
    *out = (struct hook_checkout){.lock = -1};
    /* Nobody clears the cache meanwhile. */
    int rc = cache_open(cache, &out->cache, &read_only, &why);
    if (rc != 0 || read_only)
        rc = err_set(err, ERR_SYSTEM, "the tree can't be checked out for the hook: %s",
                     err_text(&why));
    char *home = rc == 0 ? home_of(commit) : NULL;
    if (rc == 0 && !home)
        rc = err_set(err, ERR_SYSTEM, "the cache at %s can't be found", cache);
    if (rc == 0)
        rc = take_lock(options, home, &out->lock, err);
    if (rc == 0) {
        out->dir = dir_in(home, commit);
        out->root = root_in(out->dir, commit);
        out->passed = path_join(home, "passed");
        rc = hook_passes_recover(commit, out, err);
    }
    if (rc == 0) {
        rc = find_bound(commit, config, &bound, err);
        if (rc == 0)
            rc = write_files(commit, config, &bound, out, err);
    }
    if (rc == 0)
        rc = file_mkdirs(out->root, 0700, err); /* a pipeline that is kept elsewhere */
    if (rc == 0)
        rc = copy_bound(commit, home, out, &bound, err);
    if (rc == 0)
        remove_old();
    free(bound.names);
    err_release(&why);
    free(home);
    free(cache);
    return rc;
}

void hook_checkout_release(struct hook_checkout *checkout)
{
    if (checkout->lock >= 0)
        close(checkout->lock);
    cache_close(checkout->cache);
    git_stamps_free(checkout->stamps);
    free(checkout->dir);
    free(checkout->root);
    free(checkout->passed);
    *checkout = (struct hook_checkout){.lock = -1};
}
