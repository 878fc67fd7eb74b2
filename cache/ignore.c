/*
 * libgit2 finds the repository, reads its configuration and its index; all else is a handful of
 * small files that are read whole and compared by stamp afterwards.
 */
#include "cache/ignore.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/vec.h"
#include "cache/statcache.h"

#include <fcntl.h>
#include <git2.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_RULES_BYTES ((size_t)16 << 20)
#define FIRST           UINT64_C(0xcbf29ce484222325)

/* A file that decides something: by stamp, so that looking again is one stat. */
struct source {
    char *path;
    char *base;         /* repository-relative directory its patterns are relative to */
    struct stamp stamp; /* zero: not there */
    int64_t read_ns;
    struct ignore_rules *rules; /* NULL: not there, or no rules in it */
};

struct ignore {
    char *root;
    git_repository *repo; /* NULL: there is none to speak of */
    git_index *index;     /* NULL: not read yet */
    char *prefix;         /* root relative to the top of the work tree, "" or ending in '/' */
    char *index_path;
    struct stamp index_stamp;
    bool index_bad;
    bool fold;
    bool root_ignored;
    VEC(struct source)
    sources; /* nearest first: .gitignore above the root, info/exclude, core.excludesFile */
    VEC(struct source) watched; /* no rules in them, but a change means starting over */
    uint64_t fingerprint;
    struct buf path; /* scratch: repository-relative */
};

uint64_t ignore_mix(uint64_t fingerprint, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++)
        fingerprint = (fingerprint ^ p[i]) * UINT64_C(0x100000001b3);
    fingerprint = (fingerprint ^ n) * UINT64_C(0x9e3779b97f4a7c15);
    return fingerprint ^ fingerprint >> 32;
}

static struct stamp stamp_of_path(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? stamp_of(&st) : (struct stamp){.dev = 0};
}

/* Adds the file to the fingerprint; rules says whether it holds any. Links are followed only where
 * git does so. */
static void read_source(struct ignore *ignore, struct source *source, bool rules, bool follow)
{
    struct buf text = BUF_INIT;
    source->read_ns = (int64_t)clock_realtime_ns();
    source->stamp = stamp_of_path(source->path);
    int fd = open(source->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW));
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && rules &&
        file_read_fd(fd, source->path, MAX_RULES_BYTES, &text, NULL) == 0)
        source->rules = ignore_rules_new(buf_str(&text), text.len, ignore->fold);
    if (fd >= 0)
        close(fd);
    if (rules) {
        ignore->fingerprint = ignore_mix(ignore->fingerprint, source->base, strlen(source->base));
        ignore->fingerprint = ignore_mix(ignore->fingerprint, buf_str(&text), text.len);
    }
    buf_release(&text);
}

static void add_rules(struct ignore *ignore, char *path, const char *base, bool follow)
{
    struct source source = {.path = path, .base = mem_strdup(base)};
    read_source(ignore, &source, true, follow);
    vec_push(&ignore->sources, source);
}

static void add_watched(struct ignore *ignore, char *path)
{
    struct source source = {.path = path, .base = mem_strdup("")};
    read_source(ignore, &source, false, true);
    vec_push(&ignore->watched, source);
}

static void release_source(struct source *source)
{
    ignore_rules_free(source->rules);
    free(source->path);
    free(source->base);
}

static void close_repo(struct ignore *ignore)
{
    git_index_free(ignore->index);
    git_repository_free(ignore->repo);
    ignore->index = NULL;
    ignore->repo = NULL;
    free(ignore->prefix);
    free(ignore->index_path);
    ignore->prefix = mem_strdup("");
    ignore->index_path = NULL;
    ignore->index_bad = false;
    ignore->index_stamp = (struct stamp){.dev = 0};
    ignore->fold = ignore->root_ignored = false;
    vec_each (struct source, s, &ignore->sources)
        release_source(s);
    vec_each (struct source, w, &ignore->watched)
        release_source(w);
    vec_clear(&ignore->sources);
    vec_clear(&ignore->watched);
    ignore->fingerprint = FIRST;
}

static char *item_path(git_repository *repo, git_repository_item_t item, const char *name)
{
    git_buf dir = {0};
    char *path = NULL;
    if (git_repository_item_path(&dir, repo, item) == 0)
        path = *name ? path_join(dir.ptr, name) : mem_strdup(dir.ptr);
    git_buf_dispose(&dir);
    return path;
}

static void read_config(struct ignore *ignore, char **excludes)
{
    git_config *config = NULL;
    git_buf path = {0};
    int fold = 0;
    *excludes = NULL;
    if (git_repository_config_snapshot(&config, ignore->repo) == 0) {
        if (git_config_get_bool(&fold, config, "core.ignorecase") == 0)
            ignore->fold = fold;
        if (git_config_get_path(&path, config, "core.excludesfile") == 0 && path.ptr && *path.ptr)
            *excludes = path_join(git_repository_workdir(ignore->repo), path.ptr);
        git_buf_dispose(&path);
    }
    git_config_free(config);
    const char *home = getenv("HOME"), *xdg = getenv("XDG_CONFIG_HOME");
    if (!*excludes && xdg && *xdg)
        *excludes = path_join(xdg, "git/ignore");
    else if (!*excludes && home && *home)
        *excludes = path_join(home, ".config/git/ignore");
}

/* Whether the folder of the project is ignored: each directory from the top of the work tree down
 * to it is asked for. */
static bool prefix_ignored(struct ignore *ignore)
{
    char *path = mem_strdup(ignore->prefix);
    bool ignored = false;
    for (char *slash = strchr(path, '/'); slash && !ignored; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        enum ignore_match match = IGNORE_UNDECIDED;
        vec_each (struct source, source, &ignore->sources) {
            size_t n = strlen(source->base);
            if (match == IGNORE_UNDECIDED && source->rules && strncmp(path, source->base, n) == 0 &&
                path[n])
                match = ignore_rules_match(source->rules, path + n, true);
        }
        ignored = match == IGNORE_YES;
        *slash = '/';
    }
    free(path);
    return ignored;
}

/* The .gitignore of every directory from the top of the work tree to just above the project's
 * folder, nearest first. */
static void add_above(struct ignore *ignore, const char *workdir)
{
    char *base = mem_strdup(ignore->prefix);
    for (size_t n = strlen(base); n > 0;) {
        base[--n] = '\0';
        while (n > 0 && base[n - 1] != '/')
            base[--n] = '\0';
        char *dir = path_join(workdir, base);
        add_rules(ignore, path_join(dir, ".gitignore"), base, false);
        free(dir);
    }
    free(base);
}

static bool find_prefix(struct ignore *ignore)
{
    const char *workdir = git_repository_workdir(ignore->repo);
    char *top = workdir ? realpath(workdir, NULL) : NULL;
    char *root = realpath(ignore->root, NULL);
    bool found = false;
    if (top && root) {
        size_t n = strcmp(top, "/") == 0 ? 0 : strlen(top);
        found = strncmp(root, top, n) == 0 && (root[n] == '/' || !root[n]);
        if (found && root[n] && root[n + 1]) {
            free(ignore->prefix);
            ignore->prefix = mem_printf("%s/", root + n + 1);
        }
    }
    free(top);
    free(root);
    return found;
}

static void open_repo(struct ignore *ignore)
{
    close_repo(ignore);
    if (git_repository_open_ext(&ignore->repo, ignore->root, 0, NULL) != 0) {
        ignore->repo = NULL;
        add_watched(ignore, path_join(ignore->root, ".git"));
        return;
    }
    if (!find_prefix(ignore)) {
        close_repo(ignore);
        return;
    }
    char *excludes;
    read_config(ignore, &excludes);
    ignore->fingerprint = ignore_mix(ignore->fingerprint, ignore->prefix, strlen(ignore->prefix));
    ignore->fingerprint = ignore_mix(ignore->fingerprint, &ignore->fold, sizeof(ignore->fold));
    add_above(ignore, git_repository_workdir(ignore->repo));
    char *info = item_path(ignore->repo, GIT_REPOSITORY_ITEM_INFO, "exclude");
    if (info)
        add_rules(ignore, info, "", true);
    if (excludes)
        add_rules(ignore, excludes, "", true);
    char *config = item_path(ignore->repo, GIT_REPOSITORY_ITEM_CONFIG, "");
    if (config)
        add_watched(ignore, config);
    ignore->index_path = item_path(ignore->repo, GIT_REPOSITORY_ITEM_INDEX, "");
    if (ignore->index_path)
        ignore->index_stamp = stamp_of_path(ignore->index_path);
    ignore->root_ignored = prefix_ignored(ignore);
    if (ignore->root_ignored && ignore_tracked(ignore, "", true) == IGNORE_UNTRACKED)
        close_repo(ignore);
    ignore->fingerprint =
        ignore_mix(ignore->fingerprint, &ignore->root_ignored, sizeof(ignore->root_ignored));
}

struct ignore *ignore_new(const char *root)
{
    struct ignore *ignore = mem_zalloc(1, sizeof(*ignore));
    ignore->root = mem_strdup(root);
    git_libgit2_init();
    /* Who may run commands in a project may also read its ignore rules: the owner of the folder
     * does not matter. */
    git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
    open_repo(ignore);
    return ignore;
}

void ignore_free(struct ignore *ignore)
{
    if (!ignore)
        return;
    close_repo(ignore);
    vec_release(&ignore->sources);
    vec_release(&ignore->watched);
    buf_release(&ignore->path);
    free(ignore->prefix);
    free(ignore->root);
    free(ignore);
    git_libgit2_shutdown();
}

static bool source_changed(const struct source *source)
{
    struct stamp now = stamp_of_path(source->path);
    /* One that was young when it was read may have been written again within the same tick. */
    return !stamp_eq(&now, &source->stamp) || (now.ino && !stamp_settled(&now, source->read_ns));
}

unsigned ignore_refresh(struct ignore *ignore)
{
    unsigned news = IGNORE_SAME;
    bool changed = false;
    vec_each (struct source, s, &ignore->sources)
        changed |= source_changed(s);
    vec_each (struct source, w, &ignore->watched)
        changed |= source_changed(w);
    uint64_t rules = ignore->fingerprint, index = ignore_index_fingerprint(ignore);
    if (changed) {
        open_repo(ignore);
    } else if (ignore->index_path) {
        struct stamp now = stamp_of_path(ignore->index_path);
        if (!stamp_eq(&now, &ignore->index_stamp)) {
            git_index_free(ignore->index);
            ignore->index = NULL;
            ignore->index_bad = false;
            ignore->index_stamp = now;
        }
    }
    if (rules != ignore->fingerprint)
        news |= IGNORE_NEW_RULES;
    if (index != ignore_index_fingerprint(ignore))
        news |= IGNORE_NEW_INDEX;
    return news;
}

uint64_t ignore_rules_fingerprint(const struct ignore *ignore)
{
    return ignore->fingerprint;
}

uint64_t ignore_index_fingerprint(const struct ignore *ignore)
{
    const struct stamp *stamp = &ignore->index_stamp;
    uint64_t parts[] = {stamp->dev, stamp->ino, stamp->size, (uint64_t)stamp->mtime_ns,
                        (uint64_t)stamp->ctime_ns};
    return ignore_mix(FIRST, parts, sizeof(parts));
}

bool ignore_folds_case(const struct ignore *ignore)
{
    return ignore->fold;
}

bool ignore_root_ignored(const struct ignore *ignore)
{
    return ignore->root_ignored;
}

enum ignore_match ignore_outer(const struct ignore *ignore, const char *path, bool directory)
{
    if (!ignore->sources.n)
        return IGNORE_UNDECIDED;
    struct buf joined = BUF_INIT;
    const char *full = path;
    if (*ignore->prefix) {
        buf_adds(&joined, ignore->prefix);
        buf_adds(&joined, path);
        full = buf_str(&joined);
    }
    enum ignore_match match = IGNORE_UNDECIDED;
    for (size_t i = 0; i < ignore->sources.n && match == IGNORE_UNDECIDED; i++) {
        const struct source *source = &ignore->sources.v[i];
        if (source->rules)
            match = ignore_rules_match(source->rules, full + strlen(source->base), directory);
    }
    buf_release(&joined);
    return match;
}

enum ignore_tracked ignore_tracked(struct ignore *ignore, const char *path, bool directory)
{
    if (!ignore->repo || ignore->index_bad)
        return IGNORE_UNTRACKED;
    if (!ignore->index && git_repository_index(&ignore->index, ignore->repo) != 0) {
        ignore->index = NULL;
        ignore->index_bad = true;
        return IGNORE_UNTRACKED;
    }
    buf_reset(&ignore->path);
    buf_adds(&ignore->path, ignore->prefix);
    buf_adds(&ignore->path, path);
    for (int stage = 0; stage <= 3 && *path; stage++) {
        const git_index_entry *entry =
            git_index_get_bypath(ignore->index, buf_str(&ignore->path), stage);
        if (entry && (!directory || entry->mode == GIT_FILEMODE_COMMIT))
            return IGNORE_TRACKED;
    }
    if (!directory)
        return IGNORE_UNTRACKED;
    if (*path)
        buf_addc(&ignore->path, '/');
    size_t at;
    return git_index_find_prefix(&at, ignore->index, buf_str(&ignore->path)) == 0
               ? IGNORE_ABOVE
               : IGNORE_UNTRACKED;
}
